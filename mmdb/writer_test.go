package mmdb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// someDay is when the files of the tests are built.
var someDay = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

func written(t testing.TB, w *Writer) []byte {
	t.Helper()
	var out bytes.Buffer
	n, err := w.WriteTo(&out)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(out.Len()) {
		t.Fatalf("WriteTo says %d bytes and wrote %d", n, out.Len())
	}
	return out.Bytes()
}

// randomNetworks returns ascending disjoint networks, of a family.
func randomNetworks(rng *rand.Rand, n, size int) []netip.Prefix {
	var all []netip.Prefix
	for range n {
		var b [16]byte
		for i := range size {
			b[i] = byte(rng.Uint32())
		}
		if rng.IntN(3) > 0 { // crowd some together
			copy(b[:], []byte{0x20, 0x01, 0x0d})
		}
		a, _ := netip.AddrFromSlice(b[:size])
		p := netip.PrefixFrom(a, rng.IntN(size*8)+1).Masked()
		if !slices.ContainsFunc(all, p.Overlaps) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return all
}

// The tree against a list that is searched from end to end.
func TestWriterAgainstOracle(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		type entry struct {
			network netip.Prefix
			value   string
		}
		var oracle []entry
		version := 6
		if seed%5 == 0 {
			version = 4
		}
		w, err := NewWriter(Options{BuildTime: someDay, DatabaseType: "Test", IPVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		networks := randomNetworks(rng, rng.IntN(200), 4)
		if version == 6 {
			networks = append(networks, randomNetworks(rng, rng.IntN(200), 16)...)
		}
		for _, p := range networks {
			v := fmt.Sprint("value ", rng.IntN(10))
			if err := w.Insert(p, Map{"v": v, "deep": Map{"list": []any{v, v}}}); err != nil {
				t.Fatal(err)
			}
			oracle = append(oracle, entry{p, v})
		}
		db, err := maxminddb.OpenBytes(written(t, w))
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Verify(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		ask := func(a netip.Addr) {
			t.Helper()
			want := ""
			for _, e := range oracle {
				if e.network.Contains(a) {
					want = e.value
				}
			}
			var got struct {
				V    string `maxminddb:"v"`
				Deep struct {
					List []string `maxminddb:"list"`
				} `maxminddb:"deep"`
			}
			res := db.Lookup(a)
			if err := res.Decode(&got); err != nil {
				t.Fatalf("seed %d: %s: %v", seed, a, err)
			}
			if got.V != want || res.Found() != (want != "") || want != "" && !slices.Equal(got.Deep.List, []string{want, want}) {
				t.Fatalf("seed %d: %s: got %+v, want %q", seed, a, got, want)
			}
			if res.Found() && !res.Prefix().Contains(a) {
				t.Fatalf("seed %d: %s is said to be in %s", seed, a, res.Prefix())
			}
		}
		for _, e := range oracle {
			if e.network.Addr().Is6() && wrapsIPv4(e.network) {
				continue
			}
			ask(e.network.Addr())
			ask(lastOf(e.network))
			for _, a := range []netip.Addr{e.network.Addr().Prev(), lastOf(e.network).Next()} {
				if a.IsValid() && !(a.Is6() && wrapsIPv4(netip.PrefixFrom(a, 128))) {
					ask(a)
				}
			}
		}
		for range 300 {
			ask(netip.AddrFrom4([4]byte{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())}))
		}
	}
}

func wrapsIPv4(p netip.Prefix) bool {
	return ipv4Place.Overlaps(p) || slices.ContainsFunc(ipv4Aliases, p.Overlaps)
}

func TestWriterAliases(t *testing.T) {
	w, err := NewWriter(Options{BuildTime: someDay, DatabaseType: "Test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []struct{ network, v string }{
		{"8.8.8.0/24", "four"},
		{"::/8", "swallows IPv4"}, // and must not
		{"2000::/3", "six"},
	} {
		if err := w.Insert(netip.MustParsePrefix(e.network), Map{"v": e.v}); err != nil {
			t.Fatal(err)
		}
	}
	db, err := maxminddb.OpenBytes(written(t, w))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Verify(); err != nil {
		t.Error(err)
	}
	for a, want := range map[string]string{
		"8.8.8.8": "four", "::ffff:8.8.8.8": "four", "64:ff9b::808:808": "four", "2002:808:808::1": "four", "::808:808": "four",
		"8.8.9.1": "", "::ffff:8.8.9.1": "", "2002:808:901::": "", "2003::1": "six", "2001::1": "six", "0:1::": "swallows IPv4",
	} {
		var got struct {
			V string `maxminddb:"v"`
		}
		if err := db.Lookup(netip.MustParseAddr(a)).Decode(&got); err != nil || got.V != want {
			t.Errorf("%s: %q, %v, want %q", a, got.V, err, want)
		}
	}
	n := 0
	for res := range db.Networks() {
		if res.Prefix() == netip.MustParsePrefix("8.8.8.0/24") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("8.8.8.0/24 comes %d times", n)
	}
}

// Every type and size of the format, through the reader.
func TestWriterValues(t *testing.T) {
	long := strings.Repeat("ä", 40_000) // 80,000 bytes
	list := []any{}
	for i := range 300 {
		list = append(list, uint32(i))
	}
	record := Map{
		"empty": "", "short": "x", "28": strings.Repeat("a", 28), "29": strings.Repeat("b", 29), "284": strings.Repeat("c", 284),
		"285": strings.Repeat("d", 285), "65820": strings.Repeat("e", 65820), "65821": strings.Repeat("f", 65821), "long": long,
		"true": true, "false": false, "float": -122.5, "u16": uint16(65535), "u16zero": uint16(0), "u32": uint32(1 << 31),
		"u64": uint64(1<<63 + 5), "i32": int32(-2), "list": list, "none": []any{}, "map": Map{}, "again": strings.Repeat("d", 285),
		"nested": Map{"list": list, "x": Map{"y": "x"}},
	}
	db, err := maxminddb.OpenBytes(file(t, Options{BuildTime: someDay, DatabaseType: "Test"}, record))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Verify(); err != nil {
		t.Error(err)
	}
	var got map[string]any
	if err := db.Lookup(netip.MustParseAddr("192.0.2.1")).Decode(&got); err != nil {
		t.Fatal(err)
	}
	// The reader returns all unsigned numbers as uint64 the rest as it was.
	if want := asRead(record); !reflect.DeepEqual(any(got), want) {
		for key, v := range want.(map[string]any) {
			if !reflect.DeepEqual(got[key], v) {
				t.Errorf("%s: got %.100v (%T), want %.100v (%T)", key, got[key], got[key], v, v)
			}
		}
	}
}

func asRead(v any) any {
	switch v := v.(type) {
	case Map:
		m := map[string]any{}
		for key, item := range v {
			m[key] = asRead(item)
		}
		return m
	case []any:
		list := []any{}
		for _, item := range v {
			list = append(list, asRead(item))
		}
		return list
	case uint16:
		return uint64(v)
	case uint32:
		return uint64(v)
	}
	return v
}

func TestWriterMetadata(t *testing.T) {
	built := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	b := file(t, Options{
		DatabaseType: "Test-City", BuildTime: built,
		Description: map[string]string{"en": strings.Repeat("credit ", 5000), "sv": "beskrivning"},
	}, Map{"a": "b"})
	db, err := maxminddb.OpenBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	m := db.Metadata
	if m.DatabaseType != "Test-City" || !m.BuildTime().Equal(built) || m.IPVersion != 6 || m.RecordSize != 24 || !slices.Equal(m.Languages, []string{"en"}) || m.Description["sv"] != "beskrivning" {
		t.Errorf("%+v", m)
	}
}

func TestWriterErrors(t *testing.T) {
	if _, err := NewWriter(Options{IPVersion: 5, Description: map[string]string{"en": strings.Repeat("x", maxDescription+1)}}); err == nil ||
		!strings.Contains(err.Error(), "IP version is 5") || !strings.Contains(err.Error(), "build time is 0001-01-01") || !strings.Contains(err.Error(), "65536 fit") {
		t.Errorf("not all mistakes at once: %v", err)
	}
	w, err := NewWriter(Options{BuildTime: someDay, DatabaseType: "Test"})
	if err != nil {
		t.Fatal(err)
	}
	ok := Map{"a": "b"}
	deep := Map{}
	for range maxDepth + 1 {
		deep = Map{"deeper": deep}
	}
	for _, c := range []struct {
		network string
		record  Map
		want    string
	}{
		{"10.0.0.0/8", ok, ""},
		{"10.1.0.0/16", ok, "prefixes must ascend and not overlap"},
		{"9.0.0.0/8", ok, "prefixes must ascend and not overlap"},
		{"2001:db8::/32", ok, ""}, // a family of its own
		{"255.0.0.0/8", ok, ""},
		{"255.0.0.0/8", ok, "comes after the last address"},
		{"2001:db9::1/32", ok, "is no network"},
		{"2001:dba::/32", Map{"a": Map{"b": 1}}, "a: b: a value of type int has no place"},
		{"2001:dba::/32", deep, "nests deeper"},
	} {
		err := w.Insert(netip.MustParsePrefix(c.network), c.record)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.network, err, c.want)
		}
	}
	if err := w.InsertRef(netip.MustParsePrefix("2001:dbb::/32"), 1<<30); err == nil {
		t.Error("a record of nowhere was taken")
	}
	written(t, w)
	if err := w.Insert(netip.MustParsePrefix("2001:dbc::/32"), ok); err == nil {
		t.Error("inserted into a file that is written")
	}
	if _, err := w.WriteTo(&bytes.Buffer{}); err == nil {
		t.Error("wrote twice")
	}
	v4, err := NewWriter(Options{BuildTime: someDay, IPVersion: 4})
	if err != nil {
		t.Fatal(err)
	}
	if err := v4.Insert(netip.MustParsePrefix("2001:db8::/32"), ok); err == nil {
		t.Error("IPv6 went into a file for IPv4")
	}
}

func TestWriterEdges(t *testing.T) {
	for name, networks := range map[string][]string{
		"empty": {}, "all IPv4": {"0.0.0.0/0"}, "all": {"0.0.0.0/0", "::/0"}, "one": {"255.255.255.255/32"},
		"halves": {"0.0.0.0/1", "128.0.0.0/1"}, "last of IPv6": {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
	} {
		for _, version := range []int{4, 6} {
			w, err := NewWriter(Options{BuildTime: someDay, DatabaseType: "Test", IPVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			var taken []netip.Prefix
			for _, n := range networks {
				p := netip.MustParsePrefix(n)
				if version == 4 && p.Addr().Is6() {
					continue
				}
				if err := w.Insert(p, Map{"v": "same"}); err != nil {
					t.Fatal(err)
				}
				taken = append(taken, p)
			}
			db, err := maxminddb.OpenBytes(written(t, w))
			if err != nil {
				t.Fatalf("%s, IPv%d: %v", name, version, err)
			}
			if err := db.Verify(); err != nil {
				t.Errorf("%s, IPv%d: %v", name, version, err)
			}
			for _, p := range taken {
				if !db.Lookup(p.Addr()).Found() || !db.Lookup(lastOf(p)).Found() {
					t.Errorf("%s, IPv%d: %s is not found", name, version, p)
				}
			}
		}
	}
}

func TestWriterReproducible(t *testing.T) {
	m := Map{"b": Map{"x": "1", "y": "2", "z": "3"}, "a": "1", "c": []any{"2"}}
	o := Options{BuildTime: someDay, DatabaseType: "Test", Description: map[string]string{"en": "a", "de": "b", "fr": "c"}}
	if !bytes.Equal(file(t, o, m), file(t, o, m)) {
		t.Error("the same input gave two files")
	}
}

// Record sizes of 28 and 32 bits need files of 16 and 256 MB; the packing is
// tested by itself.
func TestAppendNode(t *testing.T) {
	for bits, values := range map[int][2]uint32{24: {0xabcdef, 0x123456}, 28: {0xfabcdef, 0x7123456}, 32: {0xffabcdef, 0x87123456}} {
		b := appendNode(nil, values[0], values[1], bits)
		tr := tree{raw: b, count: 1, size: uint(bits)}
		if left, right := tr.children(0); len(b) != bits/4 || left != values[0] || right != values[1] {
			t.Errorf("%d bits: %x is %x, %x", bits, b, left, right)
		}
	}
}

// libmaxminddb's own command reads what we write.
func TestMMDBLookup(t *testing.T) {
	program, err := exec.LookPath("mmdblookup")
	if err != nil {
		t.Skip("mmdblookup is not installed (Debian: mmdb-bin)")
	}
	path := filepath.Join(t.TempDir(), "test.mmdb")
	w, err := NewWriter(Options{BuildTime: someDay, DatabaseType: "Test-City"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"192.0.2.0/24", "2001:db8::/32"} {
		record := Map{"country": Map{"iso_code": "SE", "names": Map{"en": "Sweden"}}, "autonomous_system_number": uint32(64500), "list": []any{"SE"}}
		if err := w.Insert(netip.MustParsePrefix(p), record); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, written(t, w), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7", "2002:c000:207::"} {
		out, err := exec.CommandContext(t.Context(), program, "--file", path, "--ip", a, "country", "names", "en").CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"Sweden" <utf8_string>`) {
			t.Errorf("%s: %v: %s", a, err, out)
		}
	}
	out, _ := exec.CommandContext(t.Context(), program, "--file", path, "--ip", "192.0.3.1").CombinedOutput()
	if !strings.Contains(string(out), "Could not find an entry") {
		t.Errorf("an address that is not there: %s", out)
	}
}

func FuzzWriter(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 8, 5, 6, 7, 8, 32})
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := NewWriter(Options{BuildTime: someDay, DatabaseType: "Test"})
		if err != nil {
			t.Fatal(err)
		}
		taken := map[netip.Prefix]string{}
		for i := 0; i+5 <= len(b) && i < 500; i += 5 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte(b[i:])), int(b[i+4])%33).Masked()
			v := fmt.Sprint(b[i+4] % 3)
			if w.Insert(p, Map{"v": v}) == nil {
				taken[p] = v
			}
		}
		db, err := maxminddb.OpenBytes(written(t, w))
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Verify(); err != nil {
			t.Fatal(err)
		}
		for p, v := range taken {
			for _, a := range []netip.Addr{p.Addr(), lastOf(p)} {
				var got struct {
					V string `maxminddb:"v"`
				}
				if err := db.Lookup(a).Decode(&got); err != nil || got.V != v {
					t.Fatalf("%s: %q, %v, want %q", a, got.V, err, v)
				}
			}
		}
	})
}

// 16 MB of records need nodes of 28 bits and pointers of four bytes.
func TestWriterLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 17 MB")
	}
	w, err := NewWriter(Options{BuildTime: someDay})
	if err != nil {
		t.Fatal(err)
	}
	const records = 270
	text := func(i int) string { return fmt.Sprint(i, strings.Repeat("x", 64<<10)) }
	for i := range records {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i)}), 24)
		if err := w.Insert(p, Map{"own": text(i), "shared": text(records - 1 - i)}); err != nil {
			t.Fatal(err)
		}
	}
	db, err := maxminddb.OpenBytes(written(t, w))
	if err != nil {
		t.Fatal(err)
	}
	if db.Metadata.RecordSize != 28 {
		t.Errorf("the records have %d bits", db.Metadata.RecordSize)
	}
	if err := db.Verify(); err != nil {
		t.Error(err)
	}
	for i := range records {
		var got map[string]string
		if err := db.Lookup(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 9})).Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got["own"] != text(i) || got["shared"] != text(records-1-i) {
			t.Fatalf("record %d: %.10q %.10q", i, got["own"], got["shared"])
		}
	}
}
