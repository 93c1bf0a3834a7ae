package spoa

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"testing"
)

// slowVarint is section 3.1 in so many words: after the first four bits, groups
// of seven, each number counted from where the shorter form ends.
func slowVarint(v uint64) []byte {
	if v < 240 {
		return []byte{byte(v)}
	}
	out := []byte{0xf0 | byte(v&0xf)}
	v = (v - 240) / 16
	for v >= 128 {
		out = append(out, 0x80|byte(v&0x7f))
		v = (v - 128) / 128
	}
	return append(out, byte(v))
}

func TestVarint(t *testing.T) {
	// The table of section 3.1: the first and last number of each length.
	for _, c := range []struct {
		v    uint64
		size int
	}{
		{0, 1},
		{239, 1},
		{240, 2},
		{2287, 2},
		{2288, 3},
		{264431, 3},
		{264432, 4},
		{33818863, 4},
		{33818864, 5},
		{4328786159, 5},
		{4328786160, 6},
		{math.MaxUint64, 10},
	} {
		b := appendVarint([]byte{7}, c.v)[1:]
		if len(b) != c.size || !bytes.Equal(b, slowVarint(c.v)) {
			t.Errorf("%d is % x, want % x of %d bytes", c.v, b, slowVarint(c.v), c.size)
		}
		got, rest, err := varint(append(b, 9))
		if err != nil || got != c.v || len(rest) != 1 {
			t.Errorf("% x reads as %d, %v, and leaves %d bytes", b, got, err, len(rest))
		}
		for i := range b {
			if _, _, err := varint(b[:i]); !errors.Is(err, errShort) {
				t.Errorf("the first %d bytes of %d: %v", i, c.v, err)
			}
		}
	}
	if _, _, err := varint(bytes.Repeat([]byte{0xff}, 20)); !errors.Is(err, errVarint) {
		t.Errorf("an endless number: %v", err)
	}
}

func TestDatum(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes []byte
		text  string
		addr  netip.Addr
		num   uint64
		isNum bool
		true  bool
	}{
		{name: "null", bytes: []byte{0}},
		{name: "false", bytes: []byte{0x01}},
		{name: "true", bytes: []byte{0x11}, true: true, num: 1},
		{name: "int32", bytes: []byte{2, 5}, num: 5, isNum: true},
		{name: "uint64", bytes: []byte{5, 240, 0}, num: 240, isNum: true},
		{name: "ipv4", bytes: []byte{6, 192, 0, 2, 1}, addr: netip.MustParseAddr("192.0.2.1")},
		{name: "ipv6", bytes: append([]byte{7}, netip.MustParseAddr("2001:db8::1").AsSlice()...), addr: netip.MustParseAddr("2001:db8::1")},
		{name: "string", bytes: []byte{8, 2, 'h', 'i'}, text: "hi"},
		{name: "binary", bytes: []byte{9, 2, 'h', 'i'}, text: "hi"},
		{name: "empty string", bytes: []byte{8, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, rest, err := parseDatum(append(bytes.Clone(c.bytes), 0xaa))
			if err != nil || len(rest) != 1 {
				t.Fatalf("%v, %d bytes left", err, len(rest))
			}
			num, isNum := d.number()
			if d.text() != c.text || d.addr() != c.addr || num != c.num || isNum != c.isNum || d.true() != c.true {
				t.Errorf("%+v", d)
			}
			for i := range c.bytes {
				if _, _, err := parseDatum(c.bytes[:i]); !errors.Is(err, errShort) {
					t.Errorf("cut after %d bytes: %v", i, err)
				}
			}
		})
	}
	if _, _, err := parseDatum([]byte{10, 0}); err == nil {
		t.Error("type 10 is taken")
	}
}

func TestNextFrame(t *testing.T) {
	whole := []byte{0, 0, 0, 9, frameNotify, 0, 0, 0, 1, 5, 6, 'a', 'b'}
	f, n, err := nextFrame(append(bytes.Clone(whole), 0, 0), 256)
	if err != nil || n != len(whole) || f.kind != frameNotify || f.flags != flagFin || f.stream != 5 || f.id != 6 || string(f.payload) != "ab" {
		t.Fatalf("%+v, %d, %v", f, n, err)
	}
	for i := range whole {
		if _, n, err := nextFrame(whole[:i], 256); n != 0 || err != nil {
			t.Errorf("the first %d bytes: %d, %v", i, n, err)
		}
	}
	for _, c := range []struct {
		name   string
		bytes  []byte
		status uint64
	}{
		{"longer than agreed", []byte{0, 0, 1, 1}, statusTooBig},
		{"endless", []byte{255, 255, 255, 255}, statusTooBig},
		{"empty", []byte{0, 0, 0, 0}, statusInvalid},
		{"shorter than a frame", []byte{0, 0, 0, 6}, statusInvalid},
		{"a number that is cut", []byte{0, 0, 0, 7, 3, 0, 0, 0, 1, 5, 240}, statusInvalid},
		{"a first fragment", []byte{0, 0, 0, 7, frameNotify, 0, 0, 0, 0, 5, 6}, statusFragmentation},
		{"a later fragment", []byte{0, 0, 0, 7, frameUnset, 0, 0, 0, 1, 5, 6}, statusFragmentation},
		{"an aborted fragment", []byte{0, 0, 0, 7, frameUnset, 0, 0, 0, 3, 5, 6}, statusFragmentation},
	} {
		_, _, err := nextFrame(c.bytes, 256)
		if b := (*breach)(nil); !errors.As(err, &b) || b.status != c.status {
			t.Errorf("%s: %v, want status %d", c.name, err, c.status)
		}
	}
}

// kv is a list of names and values, for frames that the tests write.
type kv struct {
	name  string
	value any
}

func appendKV(b []byte, list []kv) []byte {
	for _, e := range list {
		b = appendString(b, e.name)
		switch v := e.value.(type) {
		case nil:
			b = append(b, typeNull)
		case bool:
			if v {
				b = append(b, typeBool|flagTrue)
			} else {
				b = append(b, typeBool)
			}
		case int:
			b = appendVarint(append(b, typeInt64), uint64(v))
		case uint32:
			b = appendVarint(append(b, typeUint32), uint64(v))
		case string:
			b = appendString(append(b, typeString), v)
		case []byte:
			b = append(appendVarint(append(b, typeBinary), uint64(len(v))), v...)
		case netip.Addr:
			if v.Is4() {
				b = append(append(b, typeIPv4), v.AsSlice()...)
			} else {
				b = append(append(b, typeIPv6), v.AsSlice()...)
			}
		default:
			panic("no such type")
		}
	}
	return b
}

func TestParseHello(t *testing.T) {
	good := []kv{{"supported-versions", "1.5, 2.0"}, {"max-frame-size", uint32(16380)}, {"capabilities", "pipelining, async"}, {"engine-id", "x"}}
	with := func(changes ...kv) []byte {
		list := bytes.Clone(nil)
		out := append([]kv(nil), good...)
		for _, c := range changes {
			found := false
			for i := range out {
				if out[i].name == c.name {
					out[i], found = c, true
				}
			}
			if !found {
				out = append(out, c)
			}
		}
		return appendKV(list, out)
	}
	without := func(name string) []byte {
		var out []kv
		for _, e := range good {
			if e.name != name {
				out = append(out, e)
			}
		}
		return appendKV(nil, out)
	}
	for _, c := range []struct {
		name   string
		bytes  []byte
		want   hello
		status uint64
	}{
		{"HAProxy's", with(), hello{maxFrame: 16380, pipelining: true}, 0},
		{"a health check", with(kv{"healthcheck", true}), hello{maxFrame: 16380, pipelining: true, healthcheck: true}, 0},
		{"no health check", with(kv{"healthcheck", false}), hello{maxFrame: 16380, pipelining: true}, 0},
		{"no pipelining", with(kv{"capabilities", ""}), hello{maxFrame: 16380}, 0},
		{"greater frames than ours", with(kv{"max-frame-size", uint32(1 << 30)}), hello{maxFrame: 65536, pipelining: true}, 0},
		{"the least", with(kv{"max-frame-size", uint32(256)}), hello{maxFrame: 256, pipelining: true}, 0},
		{"too small", with(kv{"max-frame-size", uint32(255)}), hello{}, statusMaxFrame},
		{"a size that is no number", with(kv{"max-frame-size", "16380"}), hello{}, statusNoMaxFrame},
		{"no version", without("supported-versions"), hello{}, statusNoVersion},
		{"no size", without("max-frame-size"), hello{}, statusNoMaxFrame},
		{"no capabilities", without("capabilities"), hello{}, statusNoCapability},
		{"an old version", with(kv{"supported-versions", "1.0,1.5"}), hello{}, statusVersion},
		{"version 20", with(kv{"supported-versions", "20.0"}), hello{}, statusVersion},
		{"a later minor version", with(kv{"supported-versions", "3.0 ,2.4"}), hello{maxFrame: 16380, pipelining: true}, 0},
		{"cut", with()[:30], hello{}, statusInvalid},
		{"nothing", nil, hello{}, statusNoVersion},
	} {
		got, err := parseHello(c.bytes, 65536)
		b := (*breach)(nil)
		if c.status == 0 {
			if err != nil || got != c.want {
				t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
			}
		} else if !errors.As(err, &b) || b.status != c.status {
			t.Errorf("%s: %v, want status %d", c.name, err, c.status)
		}
	}
}
