package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/ipwarden/ipwarden"
)

func opOf(op Op, args ...Expr) Expr  { return Expr{Op: op, Type: Bool, Args: args} }
func textOf(s string) Expr           { return Expr{Op: OpConst, Type: String, Text: s} }
func readOf(op Op, name string) Expr { return Expr{Op: op, Type: String, Text: name} }
func blockWhen(name string, e Expr) Rule {
	return Rule{Name: name, When: e, Action: ipwarden.Block}
}

func TestReads(t *testing.T) {
	path := readOf(OpPath, "")
	for _, c := range []struct {
		name string
		when Expr
		want Reads
	}{
		{"nothing", Expr{Op: OpField, Type: Bool, Field: ipwarden.FieldIsVPN}, Reads{}},
		{"the beginning of a path", opOf(OpStartsWith, path, textOf("/api/")), Reads{Paths: []PathTest{{OpStartsWith, "/api/"}}}},
		{"a path, the other way round", opOf(OpEqual, textOf("/login"), path), Reads{Paths: []PathTest{{OpEqual, "/login"}}}},
		{"another path", opOf(OpNotEqual, path, textOf("/login")), Reads{Paths: []PathTest{{OpEqual, "/login"}}}},
		{"some paths", Expr{Op: OpOneOf, Type: Bool, Texts: []string{"/b", "/a", "/b"}, Args: []Expr{path}}, Reads{Paths: []PathTest{{OpEqual, "/a"}, {OpEqual, "/b"}}}},
		{"the whole path", opOf(OpStartsWith, Expr{Op: OpLower, Type: String, Args: []Expr{path}}, textOf("/api/")), Reads{Path: true}},
		{"a path and its beginning", opOf(OpAnd, opOf(OpEqual, path, readOf(OpQuery, "")), opOf(OpStartsWith, path, textOf("/a"))), Reads{Path: true, Query: true}},
		{"the path as what is looked for", opOf(OpContains, textOf("/a/b"), path), Reads{Path: true}},
		{
			"everything else",
			opOf(OpOr, opOf(OpEqual, readOf(OpMethod, ""), textOf("GET")), opOf(OpEqual, readOf(OpHost, ""), readOf(OpScheme, "")),
				Expr{Op: OpHasHeader, Type: Bool, Text: "User-Agent"}, opOf(OpEqual, readOf(OpHeader, "Accept"), readOf(OpHeader, "User-Agent")),
				Expr{Op: OpHasCookie, Type: Bool, Text: "a"}, Expr{Op: OpHasAccount, Type: Bool, Text: "id"}),
			Reads{Method: true, Host: true, Scheme: true, Account: true, Headers: []string{"Accept", "User-Agent"}, Cookies: []string{"a"}},
		},
		{"the very address", opOf(OpEqual, Expr{Op: OpField, Type: String, Field: ipwarden.FieldIP}, textOf("192.0.2.1")), Reads{Address: true}},
	} {
		p, err := New(Config{Rules: []Rule{blockWhen("r", c.when)}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := *p.Reads(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	p, err := New(Config{
		Foreign: []Foreign{func(*Input) (Value, bool) { return Value{}, true }},
		Rules:   []Rule{blockWhen("r", Expr{Op: OpForeign, Type: Bool})},
	})
	if err != nil || !p.Reads().Unknown {
		t.Errorf("a foreign condition: %+v, %v", p.Reads(), err)
	}
	// What only watches decides nothing.
	watched := blockWhen("r", opOf(OpEqual, path, textOf("/a")))
	watched.Shadow = true
	p, err = New(Config{Rules: []Rule{watched}, Limits: []Limit{{Name: "l", Limit: 1, Window: 1e9, Key: []KeyPart{{Kind: KeyAPIKey}}}}})
	if want := (Reads{Headers: []string{"Authorization", "X-Api-Key"}}); err != nil || !reflect.DeepEqual(*p.Reads(), want) {
		t.Errorf("a limit by key: %+v, %v", *p.Reads(), err)
	}
}

// Around is as large as it can be, and no prefix tells two of its addresses apart.
func TestAround(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		base := netip.MustParseAddr("10.0.0.0")
		low := 24
		if round%2 == 1 {
			base, low = netip.MustParseAddr("2001:db8::"), 120
		}
		within := netip.PrefixFrom(base, low)
		at := func(n int) netip.Addr {
			b := base.AsSlice()
			b[len(b)-1] = byte(n)
			a, _ := netip.AddrFromSlice(b)
			return a
		}
		var all []netip.Prefix
		for range rnd.IntN(6) {
			n, err := at(rnd.IntN(256)).Prefix(low - 2 + rnd.IntN(11))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, n)
		}
		half := len(all) / 2
		p, err := New(Config{
			Lists: []List{{Name: "l", Prefixes: all[:half]}},
			Rules: []Rule{blockWhen("r", Expr{Op: OpWithin, Type: Bool, Prefixes: append(all[half:], netip.MustParsePrefix("192.0.2.0/24"))})},
		})
		if err != nil {
			t.Fatal(err)
		}
		if p, err = p.With(More{}); err != nil {
			t.Fatal(err)
		}
		in := func(a netip.Addr) (s string) {
			for _, n := range all {
				s += fmt.Sprint(n.Contains(a), " ")
			}
			return s
		}
		same := func(n netip.Prefix, as netip.Addr) bool {
			for i := range 256 {
				if n.Contains(at(i)) && in(at(i)) != in(as) {
					return false
				}
			}
			return true
		}
		for i := range 256 {
			a := at(i)
			want := netip.PrefixFrom(a, a.BitLen())
			for bits := low; bits < a.BitLen(); bits++ {
				if n, _ := a.Prefix(bits); same(n, a) {
					want = n
					break
				}
			}
			if got := p.Around(a, within); got != want {
				t.Fatalf("%v: round %v it is %v, want %v", all, a, got, want)
			}
		}
	}
}
