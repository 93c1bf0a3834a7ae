package feed

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestZoneName(t *testing.T) {
	for name, want := range map[string]string{
		"us.cidr": "US", "us-aggregated.zone": "US", "US.zone": "US", "ipv6/us.cidr": "US", "se": "SE", "gb.cidr.gz": "GB",
		"usa.cidr": "bad", "": "bad", "u1.cidr": "bad", ".zone": "bad", "é.zone": "bad", "all-zones.zone": "bad",
		"eu.cidr": "", "zz.zone": "", // no countries: nothing to say, nothing wrong
	} {
		got := ""
		for f, err := range Zone(strings.NewReader("192.0.2.0/24\n"), &Meta{Name: name}) {
			if got = "bad"; err == nil {
				got = f.Country
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for f, err := range ZoneOf("SE")(strings.NewReader("192.0.2.0/24\n"), &Meta{Name: "list.txt"}) {
		if err != nil || f.Country != "SE" {
			t.Errorf("ZoneOf: %v, %v", f, err)
		}
	}
}

// archive writes a tar of zone files.
func archive(t *testing.T, w io.Writer, entries int, name func(int) string, body []byte) {
	t.Helper()
	tw := tar.NewWriter(w)
	for i := range entries {
		if err := tw.WriteHeader(&tar.Header{Name: name(i), Size: int64(len(body)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestZoneTarBounds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		entries int
		entry   func(int) string
		body    []byte
		want    string // part of the end
		facts   int
	}{
		{"a path is only a name", 1, func(int) string { return "../../etc/us.cidr" }, []byte("192.0.2.0/24\n"), "", 1},
		{"no zones", 2, func(i int) string { return fmt.Sprintf("README%d", i) }, []byte("hello"), "holds no zone file", 0},
		{"too many entries", maxZoneEntries + 1, func(i int) string { return fmt.Sprintf("doc%d", i) }, nil, "more than 4096 entries", 0},
		{"a huge zone", 1, func(int) string { return "us.cidr" }, make([]byte, maxZoneEntry+1), "larger than 16 MiB", 0},
		{"binary zone", 1, func(int) string { return "us.cidr" }, []byte{0, 1, 2}, "in the zone of us: the file is binary", 0},
		{"a bomb", 20, func(i int) string { return fmt.Sprintf("doc%d", i) }, make([]byte, 15<<20), "more than 256 MiB", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			zw, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
			archive(t, zw, tt.entries, tt.entry, tt.body)
			zw.Close()
			got := readAll("zone-tar", "", &b)
			end := ""
			if got.end != nil {
				end = got.end.Error()
			}
			if len(got.facts) != tt.facts || (tt.want == "") != (end == "") || !strings.Contains(end, tt.want) {
				t.Errorf("%d facts, ended %q; want %d, %q", len(got.facts), end, tt.facts, tt.want)
			}
		})
	}
}

func TestZoneTarNamesTheZoneOfABadRow(t *testing.T) {
	var b bytes.Buffer
	archive(t, &b, 1, func(int) string { return "ipv4/us.cidr" }, []byte("192.0.2.0/24\nnonsense\n"))
	got := readAll("zone-tar", "", &b)
	if len(got.rows) != 1 || got.rows[0].Line != 2 || !strings.HasPrefix(got.rows[0].Why, "in the zone of us: ") {
		t.Errorf("got %+v", got.rows)
	}
}
