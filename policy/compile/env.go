package compile

import (
	"sort"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// Names of the types that conditions see.
const (
	ipType    = "ipwarden.ip"
	listType  = "ipwarden.list"
	listsType = "ipwarden.lists"
)

// A root is a variable of conditions that has fields: their names and types.
type root struct {
	typ    string
	fields map[string]*types.Type
}

var textMap = cel.MapType(cel.StringType, cel.StringType)

// listOf is the type of lists.NAME.
func listOf() *types.Type { return cel.ObjectType(listType, traits.ContainerType) }

// roots are the variables beside ip and lists.
func roots() map[string]root {
	return map[string]root{
		"request": {"ipwarden.request", map[string]*types.Type{
			"method": cel.StringType, "host": cel.StringType, "path": cel.StringType, "query": cel.StringType,
			"scheme": cel.StringType, "headers": textMap, "cookies": textMap,
		}},
		"risk":    {"ipwarden.risk", map[string]*types.Type{"score": cel.IntType, "shared": cel.BoolType}},
		"client":  {"ipwarden.client", map[string]*types.Type{"status": cel.StringType}},
		"crawler": {"ipwarden.crawler", map[string]*types.Type{"verified": cel.BoolType, "pending": cel.BoolType, "failed": cel.BoolType, "name": cel.StringType}},
	}
}

// responseRoot is what counts see besides outcome.
var responseRoot = root{"ipwarden.response", map[string]*types.Type{"status": cel.IntType}}

// provider knows the fields of the variables: those of the JSON below ip, and
// the names of the lists below lists.
type provider struct {
	types.Provider
	structs map[string]map[string]*types.FieldType
}

func newProvider(base types.Provider, lists []string) *provider {
	p := &provider{base, map[string]map[string]*types.FieldType{}}
	for f := range ipwarden.AllFields() {
		p.addField(f.String(), f)
	}
	p.addField("address", ipwarden.FieldIP)
	for _, r := range roots() {
		p.addRoot(r)
	}
	p.addRoot(responseRoot)
	p.structs[listType] = map[string]*types.FieldType{}
	p.structs[listsType] = map[string]*types.FieldType{}
	for i, name := range lists {
		p.structs[listsType][name] = &types.FieldType{
			Type:    listOf(),
			IsSet:   func(any) bool { return true },
			GetFrom: func(target any) (any, error) { return listValue{i, inputOf(target)}, nil },
		}
	}
	return p
}

// addField declares a field of ip, and the groups on the way to it.
func (p *provider) addField(path string, f ipwarden.Field) {
	at, group := ipType, ""
	for {
		head, rest, deeper := strings.Cut(path, ".")
		if p.structs[at] == nil {
			p.structs[at] = map[string]*types.FieldType{}
		}
		if !deeper {
			p.structs[at][head] = leaf(f)
			return
		}
		group = strings.TrimPrefix(group+"."+head, ".")
		inner := ipType + "." + group
		if p.structs[at][head] == nil {
			p.structs[at][head] = &types.FieldType{
				Type:    cel.ObjectType(inner),
				IsSet:   func(any) bool { return true },
				GetFrom: func(target any) (any, error) { return structValue{inner, inputOf(target)}, nil },
			}
		}
		at, path = inner, rest
	}
}

func leaf(f ipwarden.Field) *types.FieldType {
	get := func(target any) any { return fieldValue(inputOf(target), f) }
	return &types.FieldType{
		Type:    celType(policy.TypeOf(f)),
		IsSet:   func(target any) bool { return isSet(get(target)) },
		GetFrom: func(target any) (any, error) { return get(target), nil },
	}
}

func celType(t policy.Type) *types.Type {
	switch t {
	case policy.Bool:
		return cel.BoolType
	case policy.Int:
		return cel.IntType
	case policy.Double:
		return cel.DoubleType
	case policy.Strings:
		return cel.ListType(cel.StringType)
	}
	return cel.StringType
}

func (p *provider) addRoot(r root) {
	fields := map[string]*types.FieldType{}
	for name, t := range r.fields {
		get := func(target any) any { return rootValue(inputOf(target), r.typ, name) }
		fields[name] = &types.FieldType{
			Type:    t,
			IsSet:   func(target any) bool { return isSet(get(target)) },
			GetFrom: func(target any) (any, error) { return get(target), nil },
		}
	}
	p.structs[r.typ] = fields
}

// FindStructType is part of types.Provider.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if p.structs[name] != nil {
		return types.NewTypeTypeWithParam(cel.ObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames is part of types.Provider.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	fields, ok := p.structs[name]
	if !ok {
		return p.Provider.FindStructFieldNames(name)
	}
	names := make([]string, 0, len(fields))
	for n := range fields {
		names = append(names, n)
	}
	sort.Strings(names)
	return names, true
}

// FindStructFieldType is part of types.Provider.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	fields, ok := p.structs[name]
	if !ok {
		return p.Provider.FindStructFieldType(name, field)
	}
	f, ok := fields[field]
	return f, ok
}

// NewValue is part of types.Provider: a condition makes no values of ours.
func (p *provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if p.structs[name] != nil {
		return types.NewErr("%s cannot be made", name)
	}
	return p.Provider.NewValue(name, fields)
}

// Bounds of a condition's text.
const (
	maxCondition = 8 << 10 // characters
	maxRecursion = 100
)

// newEnv makes the environment of conditions; counts is that of count.
func newEnv(lists []string, counts bool) (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	ip, list := cel.ObjectType(ipType), listOf()
	opts := []cel.EnvOption{
		cel.CustomTypeProvider(newProvider(registry, lists)),
		ext.Strings(),
		cel.ParserRecursionLimit(maxRecursion),
		cel.ParserExpressionSizeLimit(maxCondition),
	}
	if counts {
		opts = append(opts, cel.Variable("response", cel.ObjectType(responseRoot.typ)), cel.Variable("outcome", cel.StringType))
		return cel.NewEnv(opts...)
	}
	opts = append(opts,
		cel.Variable("ip", ip), cel.Variable("lists", cel.ObjectType(listsType)),
		cel.Variable("account", textMap), cel.Variable("tier", cel.StringType),
		cel.Function("within", cel.MemberOverload("ip_within_string", []*cel.Type{ip, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(withinValue))),
		// What "in" does is asked of what stands on its right: listValue.Contains.
		cel.Function(operators.In,
			cel.Overload("in_list_ip", []*cel.Type{ip, list}, cel.BoolType),
			cel.Overload("in_list_int", []*cel.Type{cel.IntType, list}, cel.BoolType),
			cel.Overload("in_list_string", []*cel.Type{cel.StringType, list}, cel.BoolType)),
	)
	for name, r := range roots() {
		opts = append(opts, cel.Variable(name, cel.ObjectType(r.typ)))
	}
	return cel.NewEnv(opts...)
}
