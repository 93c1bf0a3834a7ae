package main

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/config"
)

// A setting has one name: flag, variable and key of the file agree.
func TestSettingsHaveFlags(t *testing.T) {
	var c cli
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	walk(parser.Model.Node, "", func(path string, n *kong.Node) {
		for _, f := range n.Flags {
			for _, name := range f.Envs {
				if want := "IPWARDEN_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")); name != want {
					t.Errorf("%s --%s is the variable %s, not %s", path, f.Name, name, want)
				}
				flags[strings.ReplaceAll(f.Name, "-", "_")] = true
			}
		}
	})
	for _, name := range config.Names() {
		if !flags[name] {
			t.Errorf("the file may hold %s, and no flag with a variable is called so", name)
		}
		delete(flags, name)
	}
	delete(flags, "config")
	for name := range flags {
		t.Errorf("%s is a flag and a variable, and no key of the file", name)
	}
}

// Every example of the help is a command that exists.
func TestExamples(t *testing.T) {
	var c cli
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	walk(parser.Model.Node, "", func(path string, n *kong.Node) {
		if path == "" || path == "data" {
			return
		}
		if n.Tag == nil || !strings.HasPrefix(n.Tag.Get("example"), "ipwarden "+path) {
			t.Errorf("%s has no example of its own", path)
		}
	})
}

// Every command is in the page about the command line.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/command-line.md")
	if err != nil {
		t.Fatal(err)
	}
	var c cli
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	walk(parser.Model.Node, "", func(path string, n *kong.Node) {
		commands, flags := words(n)
		if len(commands) > 0 {
			return
		}
		if !bytes.Contains(page, []byte("`ipwarden "+path)) {
			t.Errorf("docs/command-line.md does not speak of ipwarden %s", path)
		}
		for _, f := range flags {
			if !regexp.MustCompile("--" + regexp.QuoteMeta(f.Name) + `\b`).Match(page) {
				t.Errorf("docs/command-line.md does not speak of %s --%s", path, f.Name)
			}
		}
	})
}

// What a feed says must not steer the terminal.
func TestCardIsPrintable(t *testing.T) {
	r := ipwarden.NewRecord(netip.MustParseAddr("192.0.2.1"), ipwarden.Full{
		Traits:   ipwarden.VPN | ipwarden.Bogon,
		Location: ipwarden.Location{CountryCode: "SE", Country: "Sve\x1b[2Jrige", City: "Malmö\u202e", HasCoordinates: true, Latitude: 55.6, Longitude: 13},
		ASN:      ipwarden.ASN{Number: 64500, Name: "A\x07\nB"},
		Security: ipwarden.Security{VPN: "\x1b]0;x\x07", Listings: []ipwarden.Listing{{Name: "l\x1b", Type: "abuser"}}},
		Evidence: []ipwarden.Evidence{{Field: ipwarden.FieldASName, Value: "A\x1b", By: []ipwarden.Claim{{Feed: "f\r"}}}},
	})
	var buf bytes.Buffer
	out := bufio.NewWriter(&buf)
	view := ipwarden.NewView(time.Unix(0, 0))
	c := &cards{out: out, view: &view}
	if err := c.answer("::ffff:192.0.2.1\x1b", r); err != nil {
		t.Fatal(err)
	}
	writeEvidence(out, "x\x1b", r, palette{})
	out.Flush()
	for _, b := range buf.Bytes() {
		if b < ' ' && b != '\n' || b == 0x7f {
			t.Fatalf("control byte %#x in %q", b, buf.String())
		}
	}
	for _, want := range []string{"Malmö", "AS64500", "55.6000, 13.0000", "listed"} {
		if !strings.Contains(buf.String(), want) {
			t.Errorf("the card lacks %q:\n%s", want, buf.String())
		}
	}
}
