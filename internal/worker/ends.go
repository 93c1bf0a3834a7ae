package worker

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

// An End is an input or an output of a file.
type End struct {
	Name string // of an output
	Values
	kind *Kind
}

// OpenInput opens it for reading.
func (e *End) OpenInput() (Input, error) { return e.kind.Input(e.Values) }

// OpenOutput opens it for writing.
func (e *End) OpenOutput() (Output, error) { return e.kind.Output(e.Values) }

// OpenBack opens an input for putting events back; nil when its kind cannot.
func (e *End) OpenBack() (Output, error) {
	if e.kind.Back == nil {
		return nil, nil
	}
	return e.kind.Back(e.Values)
}

// OpenDead opens an output for reading dead letters; nil when its kind cannot.
func (e *End) OpenDead() (Input, error) {
	if e.kind.Dead == nil {
		return nil, nil
	}
	return e.kind.Dead(e.Values)
}

func (r *reader) outputNames() string {
	var names []string
	for _, e := range r.f.Outputs {
		names = append(names, e.Name)
	}
	sort.Strings(names)
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// names are those of outputs.
func (r *reader) names(n ast.Node, what string) (all []string) {
	for _, item := range r.Sequence(n, what) {
		if text, ok := r.Text(item, what); ok {
			if slices.Contains(all, text) {
				r.At(yamldoc.Start(item), what+" has "+text+" twice")
				continue
			}
			all, r.named = append(all, text), append(r.named, named{text, item})
		}
	}
	return all
}

func (r *reader) outputs(n ast.Node) {
	pairs, _ := r.Mapping(n, "outputs")
	seen := map[string]yamldoc.Pair{}
	for _, p := range pairs {
		if r.twice(seen, p) {
			continue
		}
		if !isName(p.Key) {
			r.At(p.Token, fmt.Sprintf("%q is no name of an output: small letters, digits, _ and -, such as review", p.Key))
		}
		if p.Key == "dead_letters" {
			r.At(p.Token, "dead_letters stands beside outputs, not among them")
			continue
		}
		e, _ := r.end(p.Value, "outputs."+p.Key, Out)
		e.Name = p.Key
		r.f.Outputs = append(r.f.Outputs, e)
	}
	if len(r.f.Outputs) > 50 {
		r.At(yamldoc.Start(n), "outputs has more than 50")
	}
}

// end is an input or an output: one key that says its kind.
func (r *reader) end(n ast.Node, what string, side Side) (End, bool) {
	pairs, ok := r.Mapping(n, what)
	if !ok {
		return End{}, false
	}
	var kinds []string
	for i := range r.kinds {
		if side == In && r.kinds[i].Input != nil || side == Out && r.kinds[i].Output != nil {
			kinds = append(kinds, r.kinds[i].Name)
		}
	}
	if len(pairs) != 1 {
		r.At(yamldoc.Start(n), what+" is of one kind, a key with what belongs to it below; the kinds are "+strings.Join(kinds, ", "))
		return End{}, false
	}
	if !slices.Contains(kinds, pairs[0].Key) {
		r.UnknownKey(pairs[0], what, kinds)
		return End{}, false
	}
	kind := &r.kinds[slices.IndexFunc(r.kinds, func(k Kind) bool { return k.Name == pairs[0].Key })]
	e := End{kind: kind, Values: Values{Kind: kind.Name, texts: map[string]string{}, lists: map[string][]string{}}}
	before := r.Count()
	r.values(pairs[0], what+"."+kind.Name, kind, side, &e.Values)
	if r.Count() == before && kind.Check != nil {
		if err := kind.Check(e.Values, side); err != nil {
			r.At(pairs[0].Token, what+"."+kind.Name+": "+err.Error())
		}
	}
	return e, true
}

// values reads the keys of a kind.
func (r *reader) values(of yamldoc.Pair, what string, kind *Kind, side Side, v *Values) {
	pairs, _ := r.Mapping(of.Value, what)
	seen := map[string]yamldoc.Pair{}
	var known []string
	for i := range kind.Keys {
		if k := &kind.Keys[i]; k.on(side) {
			known = append(known, k.Name)
			if k.Default != "" {
				v.texts[k.Name] = k.Default
			}
		}
	}
	for _, p := range pairs {
		if r.twice(seen, p) {
			continue
		}
		i := slices.IndexFunc(kind.Keys, func(k Key) bool { return k.Name == p.Key && k.on(side) })
		if i < 0 {
			r.UnknownKey(p, what, known)
			continue
		}
		r.value(&kind.Keys[i], p, what+"."+p.Key, v)
	}
	for i := range kind.Keys {
		k := &kind.Keys[i]
		if _, ok := seen[k.Name]; !ok && k.on(side) && k.Needed {
			r.At(of.Token, fmt.Sprintf("%s has no %s, which it needs; such as %s: %s", what, k.Name, k.Name, k.Example))
		}
	}
}

func (k *Key) on(side Side) bool { return k.Side == 0 || k.Side&side != 0 }

// value reads one key.
func (r *reader) value(k *Key, p yamldoc.Pair, what string, v *Values) {
	switch k.Shape {
	case Truth:
		if yes, ok := r.Boolean(p.Value, what); ok {
			v.texts[k.Name] = fmt.Sprint(yes)
		}
	case List:
		for _, item := range r.Sequence(p.Value, what) {
			if text, ok := r.Text(item, what); ok {
				if strings.TrimSpace(text) == "" {
					r.At(yamldoc.Start(item), what+" has an empty item")
				}
				v.lists[k.Name] = append(v.lists[k.Name], text)
			}
		}
		if k.Needed && len(v.lists[k.Name]) == 0 {
			r.At(p.Token, what+" is empty; it is a list such as "+k.Example)
		}
	default:
		text, ok := r.Text(p.Value, what)
		if !ok {
			return
		}
		if wrong := k.checkText(text); wrong != "" {
			r.At(yamldoc.Start(p.Value), what+" "+wrong)
			return
		}
		v.texts[k.Name] = text
	}
}
