package catalogue

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden/feed"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

// Bounds of a catalogue file. The embedded one is of 50 KiB and nests six deep.
const (
	maxFile  = 4 << 20
	maxFeeds = 1000
)

// decoder reads a file into Specs and collects mistakes where a decoder into
// structs would stop at the first.
type decoder struct {
	*yamldoc.Document
	where map[string]position
}

// entry is one feed of a file.
type entry struct {
	feed.Spec
	Disabled bool `yaml:"disabled"` // removes the feed of this name

	at   position            // of the entry
	keys map[string]position // of each value, by dotted path
}

// top reads the top of the file: one key, feeds.
func (d *decoder) top(body ast.Node, c *Catalogue) {
	if isEmpty(body) {
		return
	}
	top, ok := d.pairs(body, "the file")
	if !ok {
		return
	}
	seen := map[string]position{}
	for _, pair := range top {
		if key := pair.Key.String(); key != "feeds" {
			d.add(at(pair.Key), fmt.Sprintf("there is no key %q here; the only one is \"feeds\", a list", clip(key)))
			continue
		}
		list, ok := pair.Value.(*ast.SequenceNode)
		if !ok {
			if !isEmpty(pair.Value) {
				d.add(at(pair.Value), "\"feeds\" is a list of entries")
			}
			continue
		}
		if len(list.Values) > maxFeeds {
			d.add(at(list), fmt.Sprintf("more than %d feeds", maxFeeds))
			continue
		}
		for _, node := range list.Values {
			d.entry(node, c, seen)
		}
	}
}

func (d *decoder) entry(node ast.Node, c *Catalogue, seen map[string]position) {
	e := entry{at: at(node), keys: map[string]position{}}
	before := d.Count()
	d.decode(node, reflect.ValueOf(&e).Elem(), "", e.keys)
	if before != d.Count() {
		return // what it says is not known: checking it would only add noise
	}
	d.check(&e)
	if first, ok := seen[e.Name]; ok && e.Name != "" {
		d.add(e.pos("name"), fmt.Sprintf("the name %q was given before, in line %d", clip(e.Name), first.line))
	}
	seen[e.Name] = e.at
	d.where[e.Name] = e.pos("format")
	if e.Disabled {
		c.Removed = append(c.Removed, e.Name)
	} else {
		c.Feeds = append(c.Feeds, e.Spec)
	}
}

// pos returns where the value at path is, or the entry when it has none.
func (e *entry) pos(path string) position {
	if p, ok := e.keys[path]; ok {
		return p
	}
	return e.at
}

// decode reads node into v and notes where each value is.
func (d *decoder) decode(node ast.Node, v reflect.Value, path string, keys map[string]position) {
	keys[path] = at(node)
	switch {
	case isEmpty(node):
	case v.Kind() == reflect.Struct:
		d.decodeStruct(node, v, path, keys)
	case v.Kind() == reflect.Slice:
		list, ok := node.(*ast.SequenceNode)
		if !ok {
			if !d.indirect(node) {
				d.add(at(node), fmt.Sprintf("%q is a list", path))
			}
			return
		}
		for i, el := range list.Values {
			item := reflect.New(v.Type().Elem()).Elem()
			d.decode(el, item, fmt.Sprintf("%s[%d]", path, i), keys)
			v.Set(reflect.Append(v, item))
		}
	default:
		d.decodeScalar(node, v, path)
	}
}

func (d *decoder) decodeStruct(node ast.Node, v reflect.Value, path string, keys map[string]position) {
	what := "an entry"
	if path != "" {
		what = "\"" + path + "\""
	}
	pairs, ok := d.pairs(node, what)
	if !ok {
		return
	}
	fields := fieldsOf(v)
	for _, pair := range pairs {
		key := pair.Key.String()
		field, ok := fields[key]
		if !ok {
			d.add(at(pair.Key), fmt.Sprintf("%s has no key %q%s", what, clip(key), meant(key, fields)))
			continue
		}
		full := key
		if path != "" {
			full = path + "." + key
		}
		d.decode(pair.Value, field, full, keys)
	}
}

// decodeScalar accepts plain values of the right type and nothing clever.
func (d *decoder) decodeScalar(node ast.Node, v reflect.Value, path string) {
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
	default:
		if !d.indirect(node) {
			d.add(at(node), fmt.Sprintf("%q is %s", path, kindOf(v)))
		}
		return
	}
	// The library reads 5 into a string and "5" into a number; a catalogue
	// should mean what it says.
	if _, isText := node.(*ast.StringNode); isText != (v.Kind() == reflect.String || isDuration(v)) {
		if _, block := node.(*ast.LiteralNode); !block {
			d.add(at(node), fmt.Sprintf("%q is %s", path, kindOf(v)))
			return
		}
	}
	if err := yaml.NodeToValue(node, v.Addr().Interface()); err != nil {
		d.add(at(node), fmt.Sprintf("%q is %s", path, kindOf(v)))
	}
}

// pairs returns the keys and values of a mapping.
func (d *decoder) pairs(node ast.Node, what string) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	if !d.indirect(node) {
		d.add(at(node), what+" is a mapping of keys to values")
	}
	return nil, false
}

// indirect refuses anchors and aliases: an entry that is read by itself is one
// that can be checked by itself, and a file cannot grow while it is read.
func (d *decoder) indirect(node ast.Node) bool {
	switch node.Type() {
	case ast.AnchorType, ast.AliasType, ast.TagType:
		d.add(at(node), "anchors, aliases and tags are not read: write the value itself")
		return true
	}
	return false
}

// fieldsOf finds the fields of a struct, and of those it embeds, by key.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			for key, field := range fieldsOf(v.Field(i)) {
				fields[key] = field
			}
		} else if key := f.Tag.Get("yaml"); key != "" {
			fields[key] = v.Field(i)
		}
	}
	return fields
}

// meant suggests the key with the same beginning or ending.
func meant(key string, fields map[string]reflect.Value) string {
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, n := range names {
		if strings.EqualFold(n, key) || len(key) > 2 && (strings.HasPrefix(n, key[:3]) || strings.HasSuffix(n, key[len(key)-3:])) {
			return fmt.Sprintf("; did you mean %q?", n)
		}
	}
	return "; there are " + strings.Join(names, ", ")
}

func kindOf(v reflect.Value) string {
	switch {
	case isDuration(v):
		return "a duration like 24h"
	case v.Kind() == reflect.String:
		return "text"
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.Kind() == reflect.Float64:
		return "a number"
	}
	return "a whole number that is not negative and not too large"
}

func isDuration(v reflect.Value) bool { return v.Type() == reflect.TypeFor[time.Duration]() }

func isEmpty(n ast.Node) bool {
	return n == nil || n.Type() == ast.NullType || n.Type() == ast.CommentType
}

func at(n ast.Node) position {
	t := yamldoc.Start(n)
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{t.Position.Line, t.Position.Column}
}
