package api

import (
	"bytes"
	_ "embed" // the document
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
)

//go:embed openapi.json
var openAPIFile []byte

// openAPIDoc is as much of an OpenAPI 3.1 document as the reference page shows.
type openAPIDoc struct {
	raw  []byte
	Info struct{ Title, Summary, Description string }
	Tags []struct{ Name, Description string }
	// Paths in the document's order are pathOrder; a map has none.
	Paths      map[string]map[string]openAPIOperation
	pathOrder  []string
	Components struct {
		Parameters map[string]openAPIParameter
		Schemas    map[string]json.RawMessage
	}
}

type openAPIOperation struct {
	Tags                              []string
	OperationID, Summary, Description string
	Parameters                        []openAPIParameter
	RequestBody                       struct {
		Content map[string]struct{ Example json.RawMessage }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Example json.RawMessage }
	}
}

type openAPIParameter struct {
	Ref         string `json:"$ref"`
	Name        string
	In          string
	Description string
	Example     string
	Schema      struct {
		Enum             []any
		Minimum, Maximum *int
		Default          any
	}
}

// readOpenAPI reads the embedded document and adds where the server is.
func readOpenAPI(publicURL string) (*openAPIDoc, error) {
	doc := &openAPIDoc{raw: openAPIFile}
	if err := json.Unmarshal(openAPIFile, doc); err != nil {
		return nil, fmt.Errorf("openapi.json: %w", err)
	}
	root, err := parseNode(openAPIFile)
	if err != nil {
		return nil, fmt.Errorf("openapi.json: %w", err)
	}
	for _, m := range root.members {
		if m.name != "paths" {
			continue
		}
		for _, p := range m.members {
			doc.pathOrder = append(doc.pathOrder, p.name)
		}
	}
	if publicURL != "" {
		u := string(ipwarden.AppendString(nil, publicURL))
		doc.raw = []byte(strings.Replace(string(openAPIFile), `"url": "/"`, `"url": `+u, 1))
	}
	return doc, nil
}

// reference is what the page /docs shows.
type reference struct {
	Title, Summary, Description string
	Tags                        []referenceTag
	Fields, ProblemFields       []referenceField
	Problem                     string
}

type referenceTag struct {
	Name, Description string
	Operations        []referenceOperation
}

type referenceOperation struct {
	ID, Method, Path, Summary, Description string
	Curl, Output                           string
	Parameters                             []referenceParameter
	Responses                              []referenceResponse
}

type referenceParameter struct{ Name, In, Description, Values string }

type referenceResponse struct{ Status, Description, Types string }

type referenceField struct{ Name, Type, Description string }

func (d *openAPIDoc) reference(base string) *reference {
	r := &reference{Title: d.Info.Title, Summary: d.Info.Summary, Description: d.Info.Description}
	for _, t := range d.Tags {
		tag := referenceTag{Name: t.Name, Description: t.Description}
		for _, path := range d.pathOrder {
			for _, method := range []string{"get", "post", "patch", "delete"} {
				op, ok := d.Paths[path][method]
				if ok && slices.Contains(op.Tags, t.Name) {
					tag.Operations = append(tag.Operations, d.operation(base, path, method, op))
				}
			}
		}
		r.Tags = append(r.Tags, tag)
	}
	r.Fields = schemaFields(d.Components.Schemas["Answer"])
	r.ProblemFields = schemaFields(d.Components.Schemas["Problem"])
	r.Problem = strings.ReplaceAll(string(badAddress("localhost", ipwarden.ErrAddrNotPlain).append(nil, "/v1/ip/localhost")), `,"`, ",\n \"")
	return r
}

func (d *openAPIDoc) operation(base, path, method string, op openAPIOperation) referenceOperation {
	o := referenceOperation{
		ID: op.OperationID, Method: strings.ToUpper(method), Path: path, Summary: op.Summary, Description: op.Description,
	}
	example := path
	for _, p := range op.Parameters {
		if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			p = d.Components.Parameters[name]
		}
		o.Parameters = append(o.Parameters, referenceParameter{p.Name, p.In, p.Description, values(p)})
		if p.In == "path" {
			example = strings.Replace(example, "{"+p.Name+"}", p.Example, 1)
		}
	}
	o.Curl = "curl " + base + example
	if body, ok := op.RequestBody.Content["application/json"]; ok {
		o.Curl = "curl --json '" + strings.Join(strings.Fields(string(body.Example)), "") + "' " + base + example
	}
	statuses := make([]string, 0, len(op.Responses))
	for s := range op.Responses {
		statuses = append(statuses, s)
	}
	slices.Sort(statuses)
	for _, s := range statuses {
		res := op.Responses[s]
		types := make([]string, 0, len(res.Content))
		for t, body := range res.Content {
			if len(body.Example) > 0 && s == "200" {
				o.Output = output(body.Example)
			}
			if t != "application/problem+json" {
				types = append(types, t)
			}
		}
		slices.Sort(types)
		o.Responses = append(o.Responses, referenceResponse{s, res.Description, strings.Join(types, ", ")})
	}
	return o
}

// output shows an example as the API would send it.
func output(example json.RawMessage) string {
	var text string
	if json.Unmarshal(example, &text) == nil {
		return text
	}
	var b bytes.Buffer
	if json.Indent(&b, example, "", "  ") != nil {
		return ""
	}
	return b.String()
}

// values lists what a parameter may be.
func values(p openAPIParameter) string {
	if len(p.Schema.Enum) > 0 {
		var s []string
		for _, v := range p.Schema.Enum {
			s = append(s, fmt.Sprint(v))
		}
		return "One of " + strings.Join(s, ", ") + "."
	}
	if p.Schema.Minimum != nil && p.Schema.Maximum != nil {
		s := strconv.Itoa(*p.Schema.Minimum) + " to " + strconv.Itoa(*p.Schema.Maximum)
		if p.Schema.Default != nil {
			s += ", default " + fmt.Sprint(p.Schema.Default)
		}
		return s + "."
	}
	return ""
}

// schemaFields lists the leaves of an object's schema by their dotted paths, in
// the document's order.
func schemaFields(schema json.RawMessage) []referenceField {
	n, err := parseNode(schema)
	if err != nil {
		return nil // the document was read before
	}
	return leaves(nil, n, "")
}

func leaves(dst []referenceField, n node, path string) []referenceField {
	properties := n.get("properties")
	for _, m := range properties.members {
		name := m.name
		if path != "" {
			name = path + "." + name
		}
		if len(m.get("properties").members) > 0 {
			dst = leaves(dst, m.node, name)
			continue
		}
		f := referenceField{Name: name, Type: m.get("type").text, Description: m.get("description").text}
		if enum := m.get("enum"); len(enum.members) > 0 && f.Type == "string" {
			var s []string
			for _, e := range enum.members {
				s = append(s, e.text)
			}
			f.Description += " One of " + strings.Join(s, ", ") + "."
		}
		dst = append(dst, f)
	}
	return dst
}

// get returns a member of an object, the zero node when there is none.
func (n node) get(name string) node {
	for _, m := range n.members {
		if m.name == name {
			return m.node
		}
	}
	return node{}
}
