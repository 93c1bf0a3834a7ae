package compile

import (
	"errors"
	"net/netip"
	"net/textproto"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// This file is what a condition sees when it runs on CEL itself.

// world is the activation of one request.
type world struct{ in *policy.Input }

// ResolveName is part of cel.Activation.
func (w *world) ResolveName(name string) (any, bool) {
	switch name {
	case "ip":
		return structValue{ipType, w}, true
	case "lists":
		return structValue{listsType, w}, true
	case "account", "event":
		return &mapValue{get: w.in.Account}, true
	case "tier":
		return w.in.TierName(), true
	case "outcome":
		return w.in.Outcome().Event, true
	case "response":
		return structValue{responseRoot.typ, w}, true
	}
	switch name { // of roots, whose types are called so
	case "request":
		return structValue{"ipwarden.request", w}, true
	case "risk":
		return structValue{"ipwarden.risk", w}, true
	case "client":
		return structValue{"ipwarden.client", w}, true
	case "crawler":
		return structValue{"ipwarden.crawler", w}, true
	}
	return nil, false
}

// Parent is part of cel.Activation.
func (w *world) Parent() cel.Activation { return nil }

// value gives a type what CEL wants of every value and ours do not need.
type value struct{}

func (value) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("there is no such conversion")
}
func (value) ConvertToType(ref.Type) ref.Val { return types.NewErr("there is no such conversion") }

// structValue is a group of fields, of one request.
type structValue struct {
	name  string
	world *world
}

func (s structValue) ConvertToNative(t reflect.Type) (any, error) { return value{}.ConvertToNative(t) }

func (s structValue) ConvertToType(t ref.Type) ref.Val { return value{}.ConvertToType(t) }
func (s structValue) Equal(o ref.Val) ref.Val          { return types.Bool(s == o) }
func (s structValue) Type() ref.Type                   { return cel.ObjectType(s.name) }
func (s structValue) Value() any                       { return s }

func inputOf(target any) *world {
	if s, ok := target.(structValue); ok {
		return s.world
	}
	return nil
}

// listValue is a list, by its number.
type listValue struct {
	number int
	world  *world
}

func (l listValue) ConvertToNative(t reflect.Type) (any, error) { return value{}.ConvertToNative(t) }
func (l listValue) ConvertToType(t ref.Type) ref.Val            { return value{}.ConvertToType(t) }
func (l listValue) Equal(o ref.Val) ref.Val                     { return types.Bool(l == o) }
func (l listValue) Type() ref.Type                              { return listOf() }
func (l listValue) Value() any                                  { return l }

// mapValue is the header, the cookies or the account: a map in which what is
// missing is the empty text. It is no traits.Mapper, of which a missing key is an
// error.
type mapValue struct {
	get func(key string) (string, bool)
}

var (
	_ traits.Indexer     = (*mapValue)(nil)
	_ traits.Container   = (*mapValue)(nil)
	_ traits.FieldTester = (*mapValue)(nil)
)

func (m *mapValue) ConvertToNative(t reflect.Type) (any, error) { return value{}.ConvertToNative(t) }
func (m *mapValue) ConvertToType(t ref.Type) ref.Val            { return value{}.ConvertToType(t) }
func (m *mapValue) Equal(o ref.Val) ref.Val                     { return types.Bool(m == o) }
func (m *mapValue) Type() ref.Type                              { return types.MapType }
func (m *mapValue) Value() any                                  { return m }

// Get is part of traits.Indexer.
func (m *mapValue) Get(key ref.Val) ref.Val {
	s, ok := key.(types.String)
	if !ok {
		return types.String("")
	}
	v, _ := m.get(string(s))
	return types.String(v)
}

// Contains is part of traits.Container: it tells what is really there.
func (m *mapValue) Contains(key ref.Val) ref.Val {
	s, ok := key.(types.String)
	if !ok {
		return types.False
	}
	_, ok = m.get(string(s))
	return types.Bool(ok)
}

// IsSet is part of traits.FieldTester, which has() asks.
func (m *mapValue) IsSet(key ref.Val) ref.Val { return m.Contains(key) }

func fieldValue(w *world, f ipwarden.Field) any {
	switch policy.TypeOf(f) {
	case policy.Bool:
		return types.Bool(w.in.FieldBool(f))
	case policy.Int:
		return types.Int(w.in.FieldInt(f))
	case policy.Double:
		return types.Double(w.in.FieldDouble(f))
	case policy.Strings:
		items := make([]string, w.in.FieldSize(f))
		for i := range items {
			items[i] = w.in.FieldItem(f, i)
		}
		return types.DefaultTypeAdapter.NativeToValue(items)
	}
	return types.String(w.in.FieldText(f))
}

// rootValue is the field of one of the roots.
func rootValue(w *world, typ, name string) any {
	in, q := w.in, w.in.Request
	switch typ + "." + name {
	case "ipwarden.request.method":
		return types.String(q.Method)
	case "ipwarden.request.host":
		return types.String(q.Host)
	case "ipwarden.request.path":
		return types.String(q.Path)
	case "ipwarden.request.query":
		return types.String(q.Query)
	case "ipwarden.request.scheme":
		return types.String(q.Scheme)
	case "ipwarden.request.headers":
		return &mapValue{get: func(name string) (string, bool) {
			name = textproto.CanonicalMIMEHeaderKey(name)
			return in.Header(name), in.HasHeader(name)
		}}
	case "ipwarden.request.cookies":
		return &mapValue{get: in.Cookie}
	case "ipwarden.risk.score":
		return types.Int(in.RiskScore())
	case "ipwarden.risk.shared":
		return types.Bool(in.Shared)
	case "ipwarden.client.status":
		return types.String(in.ClientStatus)
	case "ipwarden.crawler.verified":
		return types.Bool(in.Crawler == policy.Verified)
	case "ipwarden.crawler.pending":
		return types.Bool(in.Crawler == policy.Pending)
	case "ipwarden.crawler.failed":
		return types.Bool(in.Crawler == policy.Failed)
	case "ipwarden.crawler.name":
		return types.String(in.CrawlerName)
	case "ipwarden.response.status":
		return types.Int(in.Outcome().Status)
	}
	return types.NewErr("there is no %s.%s", typ, name)
}

// isSet is what has() says: whether a field differs from the zero of its type.
func isSet(v any) bool {
	switch v := v.(type) {
	case types.Bool:
		return bool(v)
	case types.Int:
		return v != 0
	case types.Double:
		return v != 0
	case types.String:
		return v != ""
	case traits.Lister:
		return v.Size() != types.IntZero
	}
	return true
}

// withinValue is ip.within("10.0.0.0/8").
func withinValue(ip, prefix ref.Val) ref.Val {
	s, ok := ip.(structValue)
	text, isText := prefix.(types.String)
	if !ok || !isText {
		return types.False
	}
	p, err := netip.ParsePrefix(string(text))
	if err != nil {
		return types.NewErr("%q is no prefix", string(text))
	}
	return types.Bool(s.world.in.Within(p.Masked()))
}

// Contains is part of traits.Container: x in lists.NAME.
func (l listValue) Contains(x ref.Val) ref.Val {
	in := l.world.in
	set := in.Set(l.number)
	if set == nil {
		return types.False
	}
	switch x := x.(type) {
	case structValue:
		return types.Bool(set.Holds(in))
	case types.Int:
		return types.Bool(set.HoldsNumber(in, int64(x)))
	case types.String:
		return types.Bool(set.HoldsText(in, string(x)))
	}
	return types.False
}
