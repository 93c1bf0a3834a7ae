package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ipwarden/ipwarden"
)

func TestOpenAPIDocumentIsValid(t *testing.T) {
	w := newAPI(t, nil).answer(t, "GET", "/openapi.json")
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" || len(doc.Servers) != 1 || doc.Servers[0].URL != "http://ip.example" {
		t.Errorf("version %q, servers %+v", doc.OpenAPI, doc.Servers)
	}
}

// The document has every field of the vocabulary, in its order, and no other.
func TestOpenAPIDocumentHasTheVocabulary(t *testing.T) {
	doc, err := readOpenAPI("")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, f := range schemaFields(doc.Components.Schemas["Answer"]) {
		got = append(got, f.Name)
		if f.Type == "" || f.Description == "" {
			t.Errorf("%s has no type or no description", f.Name)
		}
	}
	for f := range ipwarden.AllFields() {
		want = append(want, f.String())
	}
	want = append(want, "evidence")
	if !slices.Equal(got, want) {
		t.Errorf("the document has\n%v\nwant\n%v", got, want)
	}
}

// Each route of the document is served, with the status and the type it says.
func TestOpenAPIDocumentIsServed(t *testing.T) {
	doc, err := readOpenAPI("")
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, nil)
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if slices.Contains(op.Tags, "Gate") || slices.Contains(op.Tags, "Account") || slices.Contains(op.Tags, "People") {
				continue // TestGateAgreesWithTheSchema, TestUsageAgreesWithTheSchema, peoplehttp.TestDocumented
			}
			o := doc.operation("", path, method, op)
			target := strings.Fields(o.Curl)[len(strings.Fields(o.Curl))-1]
			var body *strings.Reader
			if b, ok := op.RequestBody.Content["application/json"]; ok {
				body = strings.NewReader(string(b.Example))
			} else {
				body = strings.NewReader("")
			}
			r := httptest.NewRequest(strings.ToUpper(method), "/", body)
			r.RequestURI = target
			w := httptest.NewRecorder()
			a.Handler().ServeHTTP(w, r)
			kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
			if _, ok := op.Responses["200"].Content[kind]; w.Code != http.StatusOK || !ok {
				t.Errorf("%s %s: %d %s, which the document does not say", method, target, w.Code, kind)
			}
		}
	}
}

// The examples of the document have only fields that there are.
func TestOpenAPIExamples(t *testing.T) {
	doc, err := readOpenAPI("")
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for f := range ipwarden.AllFields() {
		fields = append(fields, f.String())
	}
	example := doc.Paths["/v1/ip/{ip}"]["get"].Responses["200"].Content["application/json"].Example
	n, err := parseNode(example)
	if err != nil {
		t.Fatal(err)
	}
	var walk func(n node, path string)
	walk = func(n node, path string) {
		if n.kind != '{' {
			if !slices.Contains(fields, path) {
				t.Errorf("the example has %s, which is no field", path)
			}
			return
		}
		for _, m := range n.members {
			walk(m.node, strings.TrimPrefix(path+"."+m.name, "."))
		}
	}
	walk(n, "")
}

// Answers agree with the schema that the document gives them.
func TestAnswersAgreeWithTheSchema(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, nil)
	for _, tt := range []struct{ target, schema string }{
		{"/v1/ip/8.8.8.8?explain=1", "Answer"},
		{"/v1/ip/185.220.101.4?explain=1", "Answer"},
		{"/v1/ip/126.1.2.3?fields=ip,location.time_zone,location.time_zone.current_time,carrier", "Answer"},
		{"/v1/ip/198.51.100.20", "Answer"},
		{"/v1/ip/localhost", "Problem"},
		{"/v1/ip/8.8.8.8?format=xml", "Problem"},
		{"/v1/asn/15169?limit=1", "AutonomousSystem"},
		{"/v1/network/0.0.0.0/0?limit=3", "Network"},
		{"/v1/dataset", "Dataset"},
	} {
		w := a.answer(t, "GET", tt.target)
		var v any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Errorf("%s: %v", tt.target, err)
			continue
		}
		if err := doc.Components.Schemas[tt.schema].Value.VisitJSON(v, openapi3.MultiErrors()); err != nil {
			t.Errorf("%s is no %s: %v", tt.target, tt.schema, err)
		}
	}
}
