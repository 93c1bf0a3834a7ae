package main

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
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

// A sample that finds few of each network says all the same how many there are.
func TestSampleNeeds(t *testing.T) {
	public := func(netip.Addr) bool { return true }
	s := &drawing{want: 400, seen: map[netip.Addr]bool{}, public: public}
	add := func(a netip.Addr) { s.add(a); s.add(a) }
	for i := range 40 {
		for j := range 100 { // 4,000 addresses in 40 networks of 256
			add(netip.AddrFrom4([4]byte{20, 0, byte(i), byte(j)}))
		}
	}
	for i := range 500 { // and 500 addresses, each in a network of its own
		add(netip.AddrFrom16([16]byte{0: 0x2a, 4: byte(i >> 8), 5: byte(i), 15: 1}))
	}
	s.distinct = slices.SortedFunc(maps.Keys(s.seen), netip.Addr.Compare)
	network := func(a netip.Addr) netip.Prefix {
		if a.Is4() {
			return netip.PrefixFrom(a, 24)
		}
		return netip.PrefixFrom(a, 64)
	}
	all := s.sample
	for _, a := range all.distinct {
		all.share(network(a))
	}
	if need := all.need(); len(all.distinct) != 4500 || math.Abs(need-540) > 1e-6 {
		t.Errorf("all %d addresses need %v look-ups", len(all.distinct), need)
	}
	// Every tenth: 40 networks of which each answer is a hundredth, and 50 whole ones.
	tenth := s.sample
	for i := 0; i < len(tenth.distinct); i += 10 {
		tenth.share(network(tenth.distinct[i]))
	}
	if need := tenth.need(); math.Abs(need-540) > 1e-6 {
		t.Errorf("by a tenth of them, %v", need)
	}
}
