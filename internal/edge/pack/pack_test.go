package pack_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/examples"
	"github.com/ipwarden/ipwarden/internal/edge/edgetest"
	"github.com/ipwarden/ipwarden/internal/edge/pack"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

func packed(t testing.TB, name, text string) (*pack.Program, []byte) {
	t.Helper()
	p := edgetest.Read(t, name, text)
	rc := risk.Config{Points: map[risk.Signal]int{}, HalfLives: map[risk.Signal]time.Duration{}, Floor: p.Risk.Floor()}
	for _, s := range risk.Signals() {
		rc.Points[s], rc.HalfLives[s] = p.Risk.Points(s), p.Risk.HalfLife(s)
	}
	prog := &pack.Program{
		Policy: p.Program.Config(), Risk: rc, Together: []string{"facebot"}, Told: pack.TellCountry | pack.TellRisk,
		Crawlers: []pack.Crawler{{Name: "Googlebot", Purpose: "search", Tokens: []string{"googlebot"}, State: policy.Pending}},
	}
	b, err := pack.Encode(prog)
	if err != nil {
		t.Fatal(err)
	}
	return prog, b
}

// What is read is what was written, and is written again as the same bytes.
func TestThereAndBack(t *testing.T) {
	for name, text := range map[string]string{"policy.yaml": examples.Policies()["policy.yaml"], "everything.yaml": edgetest.Everything} {
		prog, b := packed(t, name, text)
		got, err := pack.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := pack.Encode(got)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, again) {
			t.Errorf("%s: the second time it is other bytes", name)
		}
		for i := range prog.Policy.Rules {
			w, g := prog.Policy.Rules[i], got.Policy.Rules[i]
			if g.Name != w.Name || g.Action != w.Action || !reflect.DeepEqual(g.When, w.When) || g.Line != w.Line {
				t.Errorf("%s: rule %d is %+v and was %+v", name, i, g, w)
			}
		}
		if !reflect.DeepEqual(got.Risk, prog.Risk) || !reflect.DeepEqual(got.Crawlers, prog.Crawlers) || got.Told != prog.Told {
			t.Errorf("%s: the weights, the crawlers or what is told are others", name)
		}
		if _, err := policy.New(got.Policy); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every field of what is packed has a value here, so that a field that comes later and
// is forgotten is noticed: the types must not grow without this package.
func TestNoFieldIsForgotten(t *testing.T) {
	for _, c := range []struct {
		of   any
		want int // fields that are packed
		not  int // those that are functions, or for people, or the program's own
	}{
		{policy.Config{}, 12, 2},
		{policy.List{}, 13, 0},
		{policy.Timed{}, 5, 1},
		{policy.Rule{}, 12, 0},
		{policy.Threshold{}, 5, 0},
		{policy.Tier{}, 6, 0},
		{policy.Crawlers{}, 6, 0},
		{policy.Limit{}, 18, 1},
		{policy.KeyPart{}, 3, 0},
		{policy.Route{}, 8, 0},
		{policy.Response{}, 7, 0},
		{policy.Paths{}, 4, 0},
		{policy.Expr{}, 11, 0},
		{risk.Config{}, 3, 0},
	} {
		typ, n := reflect.TypeOf(c.of), 0
		for i := range typ.NumField() {
			if typ.Field(i).IsExported() {
				n++
			}
		}
		if n != c.want+c.not {
			t.Errorf("%v has %d fields; pack writes %d of them and leaves %d", typ, n, c.want, c.not)
		}
	}
}

// Every mistake has its own words.
func TestDamaged(t *testing.T) {
	_, good := packed(t, "policy.yaml", examples.Policies()["policy.yaml"])
	for _, c := range []struct {
		name, want string
		change     func(b []byte) []byte
	}{
		{"nothing", "no program", func([]byte) []byte { return nil }},
		{"another file", "no program", func([]byte) []byte { return []byte("IPWE\x01 and so on and on") }},
		{"another version", "another version", func(b []byte) []byte { b[4]++; return b }},
		{"a flipped bit", "checksum", func(b []byte) []byte { b[len(b)/2] ^= 4; return b }},
		{"cut", "checksum", func(b []byte) []byte { return b[:len(b)-1] }},
		{"cut and signed", "ends early", func(b []byte) []byte { return sign(b[:len(b)-1]) }},
		{"longer and signed", "ends early", func(b []byte) []byte { return sign(append(b, 0)) }},
		{"too large", "16 MiB", func(b []byte) []byte { return append(b, make([]byte, pack.MaxSize)...) }},
	} {
		if _, err := pack.Decode(c.change(bytes.Clone(good))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}

func TestForeignIsRefused(t *testing.T) {
	p := edgetest.Read(t, "localise.yaml", examples.Policies()["localise.yaml"])
	if _, err := pack.Encode(&pack.Program{Policy: p.Program.Config()}); err == nil || !strings.Contains(err.Error(), "CEL") {
		t.Errorf("a condition on CEL is packed: %v", err)
	}
}

// sign makes the checksum fit.
func sign(b []byte) []byte {
	if len(b) >= 9 {
		binary.LittleEndian.PutUint32(b[5:], crc32.Checksum(b[9:], crc32.MakeTable(crc32.Castagnoli)))
	}
	return b
}

// Bytes of anybody do no harm: they are refused, or are a program that policy.New can
// judge; and what is read is written again as something that reads the same.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{examples.Policies()["policy.yaml"], edgetest.Everything} {
		_, b := packed(f, "policy.yaml", text)
		f.Add(b[9:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := sign(append([]byte("IPWP\x01\x00\x00\x00\x00"), body...))
		p, err := pack.Decode(b)
		if err != nil {
			return
		}
		_, _ = policy.New(p.Policy)
		_, _ = risk.NewModel(p.Risk)
		if again, err := pack.Encode(p); err == nil {
			if _, err := pack.Decode(again); err != nil {
				t.Fatalf("what was read is not read again: %v", err)
			}
		}
	})
}
