package dialect

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The numbers that the vendor documents, or that are in wide use, are sums of
// our bits.
func TestAPINumbers(t *testing.T) {
	var low, all uint32
	for f, k := range apiKeys {
		if k.name == "" || k.bit&(k.bit-1) != 0 || all&k.bit != 0 {
			t.Errorf("field %d is called %q and has the bits %b", f, k.name, k.bit)
		}
		all |= k.bit
		if k.bit < 1<<16 && f != int(apiReverse) {
			low |= k.bit
		}
	}
	if low != 61439 || all != 66846719 {
		t.Errorf("the default is %d and all is %d, not 61439 and 66846719", low, all)
	}
	if parseAPIFields("66846719") != 1<<numAPIFields-1 {
		t.Error("66846719 are not all fields")
	}
	for list, want := range map[string]apiFields{
		"": apiDefault, "61439": apiDefault, "query, as": 1<<apiQuery | 1<<apiAS, "3": 1<<apiCountry | 1<<apiCountryCode,
		"nothing": 0, "0": 0, "18446744073709551616": 0, "-1": 0, "country,nothing,country": 1 << apiCountry,
	} {
		if got := parseAPIFields(list); got != want {
			t.Errorf("fields=%s: %b, not %b", list, got, want)
		}
	}
}

// All formats say the same about the same address.
func TestAPIFormatsAgree(t *testing.T) {
	const all = "?fields=66846719"
	for _, addr := range corpus {
		var want map[string]any
		if err := json.Unmarshal(get(t, "ip-api", "/json/"+addr+all).Out, &want); err != nil {
			t.Fatalf("%s: %v", addr, err)
		}
		var values []string
		for f, k := range apiKeys {
			if v, ok := want[k.name]; ok {
				values = append(values, plain(v))
			} else if want["status"] == "success" && (apiField(f) == apiLat || apiField(f) == apiLon || apiField(f) == apiOffset) {
				values = append(values, "") // keeps its place in a row
			}
		}
		rows, err := csv.NewReader(strings.NewReader(string(get(t, "ip-api", "/csv/"+addr+all).Out))).ReadAll()
		if err != nil || len(rows) != 1 || strings.Join(rows[0], "\n") != strings.Join(values, "\n") {
			t.Errorf("%s: CSV has %q, JSON %q; %v", addr, rows, values, err)
		}
		if got := string(get(t, "ip-api", "/line/"+addr+all).Out); got != strings.Join(values, "\n")+"\n" {
			t.Errorf("%s: lines are %q, JSON has %q", addr, got, values)
		}
		var doc struct {
			Fields []struct {
				XMLName xml.Name
				Text    string `xml:",chardata"`
			} `xml:",any"`
		}
		if err := xml.Unmarshal(get(t, "ip-api", "/xml/"+addr+all).Out, &doc); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
		for _, f := range doc.Fields {
			if v, ok := want[f.XMLName.Local]; !ok || plain(v) != f.Text {
				t.Errorf("%s: XML says %s=%q, JSON %v", addr, f.XMLName.Local, f.Text, v)
			}
		}
		php := unserialize(t, get(t, "ip-api", "/php/"+addr+all).Out)
		if len(doc.Fields) != len(want) || len(php) != len(want) {
			t.Errorf("%s: %d fields in XML and %d in PHP, %d in JSON", addr, len(doc.Fields), len(php), len(want))
		}
		for name, v := range php {
			if fmt.Sprint(v) != fmt.Sprint(want[name]) {
				t.Errorf("%s: PHP says %s=%v, JSON %v", addr, name, v, want[name])
			}
		}
		colours := regexp.MustCompile("\x1b\\[[0-9]+m")
		var human map[string]any
		if err := json.Unmarshal(colours.ReplaceAll(get(t, "ip-api", "/"+addr+all).Out, nil), &human); err != nil || fmt.Sprint(human) != fmt.Sprint(want) {
			t.Errorf("%s: a terminal gets %v, JSON has %v; %v", addr, human, want, err)
		}
	}
}

// plain is a value of JSON as rows and XML write it.
func plain(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// unserialize reads a flat array as PHP writes one.
func unserialize(t *testing.T, b []byte) map[string]any {
	t.Helper()
	s := string(b)
	upTo := func(mark string) string {
		v, rest, ok := strings.Cut(s, mark)
		if !ok {
			t.Fatalf("no %q in %q of %q", mark, s, b)
		}
		s = rest
		return v
	}
	take := func(n int) string { v := s[:n]; s = s[n:]; return v }
	count := func(mark string) int {
		n, err := strconv.Atoi(upTo(mark))
		if err != nil {
			t.Fatalf("%v in %q", err, b)
		}
		return n
	}
	str := func() string {
		if take(2) != "s:" {
			t.Fatalf("no text at %q of %q", s, b)
		}
		n := count(`:"`)
		v := take(n)
		if take(2) != `";` {
			t.Fatalf("a text of another length than it says before %q of %q", s, b)
		}
		return v
	}
	upTo("a:")
	n := count(":{")
	m := make(map[string]any, n)
	for range n {
		name := str()
		switch s[0] {
		case 's':
			m[name] = str()
		case 'b':
			take(2)
			m[name] = upTo(";") == "1"
		default:
			take(2)
			f, err := strconv.ParseFloat(upTo(";"), 64)
			if err != nil {
				t.Fatal(err)
			}
			m[name] = f
		}
	}
	if s != "}" {
		t.Fatalf("%q is left of %q", s, b)
	}
	return m
}

func TestCallbacks(t *testing.T) {
	for _, name := range []string{"cb", "jQuery33102_1604", "a.b.c", "$", "_x$1"} {
		c := get(t, "ip-api", "/json/8.8.8.8?fields=query&callback="+name)
		if got := string(c.Out); got != name+`({"query":"8.8.8.8"});` || c.ContentType != "text/javascript; charset=utf-8" {
			t.Errorf("%s: %s %s", name, c.ContentType, got)
		}
	}
	for _, name := range []string{"alert(1)", "a..b", ".a", "a.", "1a", "a-b", "a%3C/script%3E", "a%0Ab", "a%5B0%5D", strings.Repeat("a", 65)} {
		c := get(t, "ip-api", "/json/8.8.8.8?callback="+name)
		if c.ContentType != typeJSONUTF || !strings.HasPrefix(string(c.Out), `{"status":"fail","message":"invalid callback"`) {
			t.Errorf("%s: %s %s", name, c.ContentType, c.Out)
		}
	}
}

func TestAPIBatchIsBounded(t *testing.T) {
	items := func(n int) string { return "[" + strings.Repeat(`"8.8.8.8",`, n-1) + `"8.8.8.8"]` }
	if c := post(t, "ip-api", "/batch?fields=query", items(100)); c.Status != 200 || strings.Count(string(c.Out), "8.8.8.8") != 100 {
		t.Errorf("100: %d %s", c.Status, c.Out)
	}
	if c := post(t, "ip-api", "/batch", items(101)); c.Status != http.StatusUnprocessableEntity {
		t.Errorf("101: %d %s", c.Status, c.Out)
	}
}

// A callback is written into a script: only a name may be.
func FuzzCallback(f *testing.F) {
	for _, s := range []string{"cb", "a.b", "alert(1)", "", "a.", "\u2028", "é", "$_9"} {
		f.Add(s)
	}
	names := regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*(\.[A-Za-z_$][A-Za-z0-9_$]*)*$`)
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := goodCallback(s), len(s) <= maxCallback && names.MatchString(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	})
}

// Any list of fields is read, and every answer with it is one of its format.
func FuzzAPIFields(f *testing.F) {
	for _, s := range []string{"", "61439", "66846719", "query,as", ",,", "999999999999999999999", "0x10", "status,status"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fields := parseAPIFields(s)
		if fields >= 1<<numAPIFields {
			t.Fatalf("%q: %b", s, fields)
		}
		q := apiQuestion{fields: fields, tongue: english, text: "126.1.2.3"}
		c := newCall("ip-api", http.MethodGet, "/json", "")
		var ans apiAnswer
		if !(ipapi{}).find(c, &q, &ans) || ans.failed != "" {
			t.Fatal(ans.failed)
		}
		if out := ans.append(nil, fields, apiJSON); !json.Valid(out) {
			t.Errorf("%q: %s", s, out)
		}
		if err := xml.Unmarshal(ans.append(nil, fields, apiXML), new(struct{})); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		unserialize(t, ans.append(nil, fields, apiPHP))
	})
}

// The answer to any body is JSON, with an answer for each item.
func FuzzAPIBatch(f *testing.F) {
	for _, s := range []string{
		`["8.8.8.8"]`, `[]`, `{}`, `[{"query":"1.1.1.1","fields":"isp","lang":"de"}]`, `[{"query":"1.1.1.1","fields":8192}]`,
		`["8.8.8.8",]`, `["8.8.8.8"]x`, `[[]]`, `[null,1,true]`, `[{"query":1}]`, "[\"\xff\"]", `["10.0.0.1","fe80::1%eth0"]`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, name := range []string{"ip-api", "ipregistry"} {
			path := map[string]string{"ip-api": "/batch", "ipregistry": "/"}[name]
			c := newCall(name, http.MethodPost, path, body)
			sample.Named(name).Serve(c)
			if !json.Valid(c.Out) {
				t.Fatalf("%s: %s", name, c.Out)
			}
			var items []json.RawMessage
			if json.Unmarshal([]byte(body), &items) == nil && items != nil && len(items) <= maxAPIBatch {
				var answers []json.RawMessage
				out := c.Out
				if name == "ipregistry" {
					out = out[len(`{"results":`) : len(out)-1]
				}
				if err := json.Unmarshal(out, &answers); c.Status != 200 || err != nil || len(answers) != len(items) {
					t.Errorf("%s: %d answers to %d items: %d %s", name, len(answers), len(items), c.Status, c.Out)
				}
			}
		}
	})
}
