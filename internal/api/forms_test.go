package api

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/ipwarden/ipwarden"
)

// nasty are strings that a careless writer of YAML or CSV would break on.
var nasty = []string{
	"plain", "two words", "NO", "yes", "null", "~", "1.5", "0x1f", "12:30", "- item", "a: b", "a #b", "#a", "'", `"`, "{a}", "[a]", "*a", "&a", "!a", "|", ">", "%a", "@a", "`a`",
	" leading", "trailing ", "a,b", "a\nb", "a\r\nb", "tab\there", "é", "日本語", "🇸🇪", "a\u2028b", "-", "--- ", "...", "?", "key:", "=", "\\", "\u0085", "\ufeff", "true", "Off", "y", ".inf", "2026-11-20", "a\x00b",
}

// YAML says what JSON says.
func TestYAMLAgreesWithJSON(t *testing.T) {
	doc := []byte(`{"a":{},"b":[],"c":null,"d":[[1,2],[{"x":1,"y":[true]}]],"n":{"m":{"o":-1.5e3}}`)
	for i, s := range nasty {
		doc = fmt.Appendf(doc, `,"s%d":`, i)
		doc = ipwarden.AppendString(doc, s)
	}
	doc = append(doc, '}')
	docs := [][]byte{doc}
	a := newAPI(t, nil)
	for _, target := range []string{"/v1/ip/185.220.101.4?explain=1", "/v1/ip/126.1.2.3", "/v1/asn/15169", "/v1/network/0.0.0.0/0", "/v1/dataset"} {
		docs = append(docs, a.answer(t, "GET", target).Body.Bytes())
	}
	for _, doc := range docs {
		var want, got any
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatal(err)
		}
		out := appendYAML(nil, doc)
		if err := yaml.Unmarshal(out, &got); err != nil {
			t.Errorf("%v in\n%s", err, out)
			continue
		}
		// The numbers' types differ; their JSON does not.
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		if err := json.Unmarshal(again, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nread back is\n%s", out, again)
		}
	}
}

// CSV reads back as what was written.
func TestCSVReadsBack(t *testing.T) {
	for _, s := range nasty {
		rec := ipwarden.NewRecord(netip.MustParseAddr("192.0.2.1"), ipwarden.Full{Company: ipwarden.Company{Name: s, Kind: "business"}})
		v := ipwarden.View{Fields: ipwarden.FieldsOf(ipwarden.FieldIP, ipwarden.FieldCompanyName, ipwarden.FieldCompanyKind)}
		out := appendCSVRecord(appendCSVHeader(nil, v.Fields), &v, rec)
		rows, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
		want := strings.ReplaceAll(s, "\r\n", "\n") // as encoding/csv reads it
		if err != nil || len(rows) != 2 || len(rows[1]) != 3 || rows[1][1] != want || rows[0][1] != "company.name" {
			t.Errorf("%q: %q %v", s, rows, err)
		}
	}
}

// No value breaks out of its line of text.
func TestTextKeepsToItsLine(t *testing.T) {
	for _, s := range nasty {
		rec := ipwarden.NewRecord(netip.MustParseAddr("192.0.2.1"), ipwarden.Full{Company: ipwarden.Company{Name: s}})
		v := ipwarden.View{Fields: ipwarden.FieldsOf(ipwarden.FieldCompanyName)}
		if out := string(appendCard(nil, &v, rec)); strings.Count(out, "\n") != 1 || strings.ContainsAny(strings.TrimSuffix(out, "\n"), "\r\x00\t") {
			t.Errorf("%q: %q", s, out)
		}
	}
}
