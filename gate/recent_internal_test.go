package gate

import (
	"reflect"
	"testing"
)

// The collector has nothing to look for in the decisions that are remembered.
func TestRememberedPointsToNothing(t *testing.T) {
	var look func(where string, typ reflect.Type)
	look = func(where string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				look(where+"."+typ.Field(i).Name, typ.Field(i).Type)
			}
		case reflect.Array:
			look(where, typ.Elem())
		case reflect.Pointer, reflect.UnsafePointer, reflect.String, reflect.Slice, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan:
			t.Errorf("%s is a %s", where, typ)
		}
	}
	look("slot", reflect.TypeFor[slot]())
}
