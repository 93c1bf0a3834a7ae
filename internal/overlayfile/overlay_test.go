package overlayfile

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/overlay"
)

var update = flag.Bool("update", false, "write what the tests expect")

func TestReadOverlay(t *testing.T) {
	f, err := os.Open("testdata/good/overlay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := ReadOverlay(f, "overlay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []overlay.Entry{{
		Network: netip.MustParsePrefix("203.0.113.0/24"), Reason: "ticket 4711", Owner: "noc@example.com",
		Expires: time.Date(2027, 7, 1, 0, 0, 0, 0, time.UTC),
		Facts: []overlay.Fact{
			{Field: ipwarden.FieldCountryCode, Value: "NO"},
			{Field: ipwarden.FieldLatitude, Value: 59.91},
			{Field: ipwarden.FieldLongitude, Value: 10.75},
			{Field: ipwarden.FieldIsVPN, Value: true},
			{Field: ipwarden.FieldVPNName, Value: "Example VPN"},
			{Field: ipwarden.FieldIsBogon, Value: false},
			{Field: ipwarden.FieldListings, Value: []ipwarden.Listing{{Name: "house-list", Type: "abuser", Date: time.Date(2026, 8, 22, 0, 0, 0, 0, time.UTC)}}},
		},
	}, {
		ASN: 64500, Reason: "our upstream", Owner: "noc@example.com",
		Expires: time.Date(2027, 6, 30, 10, 0, 0, 0, time.UTC),
		Facts:   []overlay.Fact{{Field: ipwarden.FieldASName, Value: "Exämple AB"}, {Field: ipwarden.FieldASKind, Value: "isp"}, {Field: ipwarden.FieldLanguages, Value: []ipwarden.Language{{Code: "nb"}, {Code: "se"}}}},
	}, {
		Network: netip.MustParsePrefix("2001:db8::1/128"), Reason: "lab", Owner: "lab",
		Facts: []overlay.Fact{{Field: ipwarden.FieldTimeZoneID, Value: "Europe/Oslo"}, {Field: ipwarden.FieldASRoute, Value: netip.MustParsePrefix("2001:db8::/32")}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Every mistake of a file is said at once, with its place.
func TestReadOverlayMistakes(t *testing.T) {
	f, err := os.Open("testdata/bad/overlay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = ReadOverlay(f, "overlay.yaml")
	var all Mistakes
	if !errors.As(err, &all) {
		t.Fatalf("got %v, want Mistakes", err)
	}
	got := all.Error() + "\n"
	if *update {
		if err := os.WriteFile("testdata/bad/overlay.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/bad/overlay.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReadOverlayWhole(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"empty":         {"", ""},
		"only comment":  {"# nothing yet\n", ""},
		"no entries":    {"entries:\n", ""},
		"not UTF-8":     {"entries: \xff", "is not UTF-8"},
		"not YAML":      {"entries: [", "o.yaml:1:"},
		"two documents": {"entries: []\n---\nentries: []\n", "only one document"},
		"duplicate key": {"entries: []\nentries: []\n", "already defined"},
		"list":          {"- a\n", "must be a mapping"},
		"nested":        {strings.Repeat("[", 2000), "nests more than"},
		"merge key":     {"<<: {a: 1}\n", "merge keys"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadOverlay(strings.NewReader(c.in), "o.yaml")
			if c.want == "" {
				if err != nil {
					t.Fatalf("got %v, want no error", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want something with %q", err, c.want)
			}
		})
	}
}

// An overlay is typed by people and may be hostile in a shared folder.
func FuzzReadOverlay(f *testing.F) {
	for _, name := range []string{"testdata/good/overlay.yaml", "testdata/bad/overlay.yaml"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add("entries: [{network: 10.0.0.0/8, facts: {security.is_vpn: true}, reason: a, owner: b}]")
	f.Fuzz(func(t *testing.T, in string) {
		o, err := ReadOverlay(strings.NewReader(in), "o.yaml")
		if err != nil {
			if len(err.(Mistakes)) > yamldoc.MaxMistakes+1 {
				t.Fatal("more mistakes than the bound")
			}
			return
		}
		for _, e := range o {
			if e.Network.IsValid() == (e.ASN != 0) || len(e.Facts) == 0 || e.Reason == "" || e.Owner == "" {
				t.Fatalf("an entry that says nothing was taken: %+v", e)
			}
			if e.Network.IsValid() && e.Network != e.Network.Masked() {
				t.Fatalf("%v is not masked", e.Network)
			}
		}
	})
}
