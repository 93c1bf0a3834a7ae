package feed

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

var update = flag.Bool("update", false, "write the .want files of testdata/good; read them before committing")

// goodFiles are the excerpts of testdata/good and their formats. Beside each
// lies FILE.want: every fact it holds, and nothing else.
var goodFiles = map[string]string{
	"tor-geoip.txt":              "tor-geoip",
	"tor-geoip6.txt":             "tor-geoip",
	"ipfire.txt":                 "ipfire",
	"delegated.txt":              "delegated",
	"delegated-extended.txt":     "delegated",
	"delegated-afrinic.txt":      "delegated",
	"ad.cidr":                    "zone",
	"eu.cidr":                    "zone",
	"zones.tar.gz":               "zone-tar",
	"ipdeny.tar":                 "zone-tar",
	"geofeed-verizon.csv":        "geofeed",
	"geofeed-ellijay.csv":        "geofeed",
	"geofeed-aws.txt":            "geofeed",
	"geofeed-linode.txt":         "geofeed",
	"geofeed-digitalocean.csv":   "geofeed",
	"geofeed-3nt.csv":            "geofeed",
	"geofeed-flexnetworks.csv":   "geofeed",
	"geofeed-imon.csv":           "geofeed",
	"geofeed-full-fibre.csv":     "geofeed",
	"geofeed-american-cloud.csv": "geofeed",
	"geofeed-aex.csv":            "geofeed",
	"geofeed-ipcore.csv":         "geofeed",
	"ip2asn.tsv":                 "iptoasn",
	"pyasn.dat":                  "pyasn",
	"asnames.json":               "asnames-json",
	"asn.txt":                    "asnames-text",
	"bad-asn-list.csv":           "asn-csv",
	"oxl-kind_hosting.csv":       "asn-csv",
	"x4b-ASN.txt":                "asn-text",
}

// excerpts are all of them, those of clouds and lists too.
func excerpts() map[string]string {
	all := maps.Clone(goodFiles)
	maps.Copy(all, goodLists)
	return all
}

func TestGood(t *testing.T) {
	for name, format := range excerpts() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", "good", name)
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := transcript(format, name, body)
			if *update {
				if err := os.WriteFile(path+".want", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// A parser must not depend on how its reader cuts the bytes, nor go on once
// its caller has enough.
func TestReaders(t *testing.T) {
	for name, format := range excerpts() {
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(filepath.Join("testdata", "good", name))
			if err != nil {
				t.Fatal(err)
			}
			whole := readAll(format, name, bytes.NewReader(body))
			slow := readAll(format, name, oneByte{bytes.NewReader(body)})
			if !reflect.DeepEqual(whole, slow) {
				t.Errorf("byte by byte: %+v\nwant %+v", slow, whole)
			}
			for stop := range len(whole.facts) + len(whole.rows) {
				n := 0
				for range Formats()[format](bytes.NewReader(body), &Meta{Name: name}) {
					if n++; n > stop { // yield panics when it is called again
						break
					}
				}
			}
			broken := errors.New("the disk is gone")
			cut := readAll(format, name, &failing{r: bytes.NewReader(body[:len(body)/5]), err: broken})
			if !errors.Is(cut.end, broken) {
				t.Errorf("a failing reader ended with %v", cut.end)
			}
		})
	}
}

// transcript is everything that a file says, as text.
func transcript(format, name string, body []byte) string {
	got := readAll(format, name, bytes.NewReader(body))
	var b strings.Builder
	if !got.meta.Date.IsZero() {
		fmt.Fprintf(&b, "date %s\n", got.meta.Date.Format(time.RFC3339))
	}
	for i := range got.facts {
		fmt.Fprintln(&b, describe(&got.facts[i]))
	}
	for _, e := range got.rows {
		fmt.Fprintln(&b, "bad", e)
	}
	if got.end != nil {
		fmt.Fprintln(&b, "ended", got.end)
	}
	return b.String()
}

// outcome is what a reading gave.
type outcome struct {
	meta  Meta
	facts []Fact
	rows  []*RowError
	end   *FileError
}

func readAll(format, name string, r interface{ Read([]byte) (int, error) }) (o outcome) {
	o.meta.Name = name
	for f, err := range Formats()[format](r, &o.meta) {
		var row *RowError
		switch {
		case err == nil:
			o.facts = append(o.facts, *f)
		case errors.As(err, &row):
			o.rows = append(o.rows, row)
		case !errors.As(err, &o.end):
			panic(fmt.Sprintf("an error that is neither of a row nor of the file: %T", err))
		}
	}
	return o
}

// describe names what a fact claims.
func describe(f *Fact) string {
	var b strings.Builder
	switch {
	case !f.From.IsValid():
		fmt.Fprintf(&b, "AS%d", f.AS)
	case f.Bits >= 0:
		fmt.Fprint(&b, netip.PrefixFrom(f.From, f.Bits))
	default:
		fmt.Fprintf(&b, "%s-%s", f.From, f.To)
	}
	v := reflect.ValueOf(f).Elem()
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		if field.IsZero() || name == "From" || name == "To" || name == "Bits" || name == "AS" {
			continue
		}
		switch x := field.Interface().(type) {
		case string:
			fmt.Fprintf(&b, " %s=%q", name, x)
		case ipwarden.Traits:
			fmt.Fprintf(&b, " %s=%s", name, strings.Join(x.Names(), "+"))
		case time.Time:
			fmt.Fprintf(&b, " %s=%s", name, x.Format(time.RFC3339))
		default:
			fmt.Fprintf(&b, " %s=%v", name, x)
		}
	}
	return b.String()
}

// oneByte gives a byte at a time.
type oneByte struct{ r *bytes.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

// failing fails where r ends.
type failing struct {
	r   *bytes.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.r.Len() == 0 {
		return 0, f.err
	}
	return f.r.Read(p)
}
