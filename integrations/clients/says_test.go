package clients

import (
	"encoding/json"
	"reflect"
	"testing"
)

// says makes sure that what a client decoded says all of want, which is JSON;
// it may say more.
func says(t *testing.T, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		t.Errorf("%v: %s", err, got)
		return
	}
	compare(t, "", g, w)
}

func compare(t *testing.T, at string, got, want any) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is %v, not an object", at, got)
			return
		}
		for k, v := range w {
			if _, there := g[k]; !there {
				t.Errorf("%s has no %s", at, k)
				continue
			}
			compare(t, at+"."+k, g[k], v)
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			t.Errorf("%s is %v, not %d items", at, got, len(w))
			return
		}
		for i := range w {
			compare(t, at+"[]", g[i], w[i])
		}
	default:
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, not %v", at, got, want)
		}
	}
}
