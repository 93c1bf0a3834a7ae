package dialect

import (
	"encoding/json"
	"iter"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
)

// Every key is there whatever is known, and has the same kind of value or null.
func TestRegistryHasEveryKey(t *testing.T) {
	full := keysOf(t, get(t, "ipregistry", "/8.8.8.8").Out)
	for _, addr := range corpus {
		c := get(t, "ipregistry", "/"+addr)
		if c.Status != 200 {
			if !strings.Contains(string(c.Out), `"RESERVED_IP_ADDRESS"`) {
				t.Errorf("%s: %d %s", addr, c.Status, c.Out)
			}
			continue
		}
		if got := keysOf(t, c.Out); !reflect.DeepEqual(got, full) {
			t.Errorf("%s has the keys %v, not %v", addr, got, full)
		}
	}
}

// keysOf are the paths of the keys of an object, outside of lists.
func keysOf(t *testing.T, doc []byte) map[string]bool {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatalf("%v: %s", err, doc)
	}
	paths := map[string]bool{}
	var walk func(string, map[string]any)
	walk = func(at string, m map[string]any) {
		for k, v := range m {
			paths[at+k] = true
			if sub, ok := v.(map[string]any); ok {
				walk(at+k+".", sub)
			}
		}
	}
	walk("", v)
	return paths
}

func TestRegistryFilter(t *testing.T) {
	const object = `{"a":1,"b":{"c":"x,\"}","d":[{"e":1,"f":2},{"e":3}],"g":null},"h":[1,2],"i":{"j":true}}`
	for _, tt := range []struct{ fields, want string }{
		{"a", `{"a":1}`},
		{"h,a", `{"a":1,"h":[1,2]}`},
		{"b.c", `{"b":{"c":"x,\"}"}}`},
		{"b[c,g]", `{"b":{"c":"x,\"}","g":null}}`},
		{"b{c,g}, a", `{"a":1,"b":{"c":"x,\"}","g":null}}`},
		{"b.d.e", `{"b":{"d":[{"e":1},{"e":3}]}}`},
		{"b[d[f],g]", `{"b":{"d":[{"f":2},{}],"g":null}}`},
		{"b", `{"b":{"c":"x,\"}","d":[{"e":1,"f":2},{"e":3}],"g":null}}`},
		{"-b", `{"a":1,"h":[1,2],"i":{"j":true}}`},
		{"**,-b,-h", `{"a":1,"i":{"j":true}}`},
		{"*,-b.d", `{"a":1,"b":{"c":"x,\"}","g":null},"h":[1,2],"i":{"j":true}}`},
		{"-b.d,-b.c,-h", `{"a":1,"b":{"g":null},"i":{"j":true}}`},
		{"b,-b.d", `{"b":{"c":"x,\"}","g":null}}`},
		{"a,-b.d", `{"a":1}`},
		{"**,b.c", object},
		{"nothing", `{}`},
		{"b.nothing", `{"b":{}}`},
		{"a.x", `{"a":1}`},
	} {
		f, err := parseFilter(tt.fields)
		if err != nil {
			t.Errorf("%s: %v", tt.fields, err)
			continue
		}
		if got := string(f.append(nil, []byte(object))); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.fields, got, tt.want)
		}
	}
	for fields, want := range map[string]error{
		"a,": errFilterEmpty, ".a": errFilterEmpty, "a..b": errFilterEmpty, "-": errFilterEmpty, "a[b": errFilterOpen, "a]": errFilterOpen,
		"a[b}": errFilterOpen, "a[b]c": errFilterOpen, "**a": nil, "**.a": errFilterOpen,
		strings.Repeat("a.", 9) + "a":                    errFilterDeep,
		strings.Repeat("a[", 9) + strings.Repeat("]", 9): errFilterDeep,
		strings.Repeat("a,", 300) + "a":                  errFilterLong,
		strings.Repeat("a", 3000):                        errFilterLong,
	} {
		if _, err := parseFilter(fields); err != want {
			t.Errorf("%.40s: %v, not %v", fields, err, want)
		}
	}
}

// Whatever the filter, the answer is an object, and says nothing that the whole
// one does not say.
func FuzzRegistryFilter(f *testing.F) {
	for _, s := range []string{"ip", "-location", "**,-security", "location.country[code,name]", "a[b{c}]", "-a[b,-c]", "location.*", "*,*", "a[-*]"} {
		f.Add(s)
	}
	whole := newCall("ipregistry", "GET", "/8.8.8.8", "")
	sample.Named("ipregistry").Serve(whole)
	var all any
	if err := json.Unmarshal(whole.Out, &all); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		flt, err := parseFilter(s)
		if err != nil || flt == nil {
			return
		}
		out := flt.append(nil, whole.Out)
		var some any
		if err := json.Unmarshal(out, &some); err != nil {
			t.Fatalf("%q: %v: %s", s, err, out)
		}
		if !within(some, all) {
			t.Errorf("%q: %s", s, out)
		}
	})
}

// within reports whether part is whole with keys left out.
func within(part, whole any) bool {
	switch p := part.(type) {
	case map[string]any:
		w, ok := whole.(map[string]any)
		for k, v := range p {
			if !ok || !within(v, w[k]) {
				return false
			}
		}
		return ok
	case []any:
		w, ok := whole.([]any)
		if !ok || len(p) != len(w) {
			return false
		}
		for i := range p {
			if !within(p[i], w[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(part, whole)
}

func TestRegistryBatchIsBounded(t *testing.T) {
	items := func(item string, n int) string { return "[" + strings.Repeat(item+",", n-1) + item + "]" }
	if c := post(t, "ipregistry", "/?fields=ip", items(`"8.8.8.8"`, 1024)); c.Status != 200 {
		t.Errorf("1024: %d", c.Status)
	}
	if c := post(t, "ipregistry", "/", items(`"8.8.8.8"`, 1025)); c.Status != 400 || !strings.Contains(string(c.Out), "TOO_MANY_IPS") {
		t.Errorf("1025: %d %s", c.Status, c.Out)
	}
	if c := post(t, "ipregistry", "/", items(`"AS15169"`, 16)); c.Status != 200 {
		t.Errorf("16 systems: %d", c.Status)
	}
	if c := post(t, "ipregistry", "/", items(`"AS15169"`, 17)); c.Status != 400 || !strings.Contains(string(c.Out), "TOO_MANY_ASNS") {
		t.Errorf("17 systems: %d %s", c.Status, c.Out)
	}
	if c := post(t, "ipregistry", "/user_agent", items(`"x"`, 257)); c.Status != 400 || !strings.Contains(string(c.Out), "TOO_MANY_USER_AGENTS") {
		t.Errorf("257 user agents: %d %s", c.Status, c.Out)
	}
}

// wide is a world in which every autonomous system announces thousands of
// prefixes.
type wide struct{ Data }

func (wide) AS(n uint32) (ipwarden.ASN, bool) { return ipwarden.ASN{Number: n, Name: "WIDE"}, true }

func (wide) ASPrefixes(uint32) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for i := range 12_000 {
			if !yield(netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(i >> 8), byte(i), 0}), 24)) {
				return
			}
		}
	}
}

// A short question about many systems gets no answer without bound, in any
// dialect that has such.
func TestManySystemsAreBounded(t *testing.T) {
	for name, path := range map[string]string{"ipregistry": "/", "ipinfo": "/batch", "ipdata": "/bulk"} {
		items := make([]string, 100)
		if name == "ipregistry" {
			items = items[:maxRegistrySystems]
		}
		for i := range items {
			items[i] = `"AS` + strconv.Itoa(3000+i) + `"`
		}
		body := "[" + strings.Join(items, ",") + "]"
		c := newCall(name, "POST", path, body)
		c.Data = wide{c.Data}
		sample.Named(name).Serve(c)
		if c.Status != 200 || strings.Count(string(c.Out), "WIDE") < len(items) || len(c.Out) > 6<<20 {
			t.Errorf("%s: %d with %d bytes", name, c.Status, len(c.Out))
		}
		if n := strings.Count(string(c.Out), `"ipv4_count":12000`); name == "ipregistry" && n != len(items) {
			t.Errorf("the prefixes of %d systems are counted whole", n)
		}
	}
}
