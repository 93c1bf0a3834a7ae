package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A sample of an access log is compared, each network once, and private addresses
// are not sent out.
func TestProviderCompare(t *testing.T) {
	var calls atomic.Int64
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		addr := strings.TrimPrefix(r.URL.Path, "/")
		if !strings.HasPrefix(addr, "8.8.") {
			t.Errorf("asked about %s", addr)
		}
		fmt.Fprintf(w, `{"network":%q,"country":"US","asn":15169,"vpn":true}`, addr[:strings.LastIndexByte(addr, '.')]+".0/24")
	}))
	defer vendor.Close()
	dir := t.TempDir()
	files := map[string]string{
		"map.yaml":       "name: vendor\nurl: http://127.0.0.1/{ip}\nlicence: terms\nnetwork: network\nfields: {location.country_code: country, asn.number: asn, security.is_vpn: vpn}\n",
		"providers.yaml": "providers: [{name: vendor, kind: generic, map: " + filepath.Join(dir, "map.yaml") + ", url: \"" + vendor.URL + "/{ip}\", price_per_lookup: 0.01}]\n",
		"access.log":     strings.Repeat("8.8.8.8 - - [20/Nov/2026] \"GET / HTTP/1.1\" 200\n8.8.8.9 - -\n8.8.4.4 - -\n10.0.0.1 - -\nnonsense\n", 100),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	world := filepath.Join(dir, "world.ipw")
	e := &env{stdin: strings.NewReader(""), getenv: func(string) string { return "" }, now: time.Now}
	var out, errs bytes.Buffer
	e.stdout, e.stderr = &out, &errs
	if status := run([]string{"data", "build", "--from", "testdata/feeds", "--catalogue", "testdata/catalogue.yaml", "-o", world}, e); status != exitOK {
		t.Fatalf("%d: %s", status, &errs)
	}
	out.Reset()
	status := run([]string{"provider", "compare", "--providers", filepath.Join(dir, "providers.yaml"), "--dataset", world, filepath.Join(dir, "access.log")}, e)
	if status != exitOK {
		t.Fatalf("%d: %s", status, &errs)
	}
	for _, want := range []string{
		"vendor and the dataset, about 3 addresses", "location.country_code", "look-ups: 2 for 3 addresses",
		"of 300 requests from 3 addresses, some 2 need one: 99.3% are saved, 2.98 of 3.00", "this comparison cost 0.02",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if calls.Load() != 2 {
		t.Errorf("%d calls", calls.Load())
	}
	t.Log(out.String())
}
