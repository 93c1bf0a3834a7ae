package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

func factsOf(t testing.TB, file string, p feed.Parser) iter.Seq2[*feed.Fact, error] {
	return func(yield func(*feed.Fact, error) bool) {
		f, err := os.Open("/work/shared/data/" + file)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(file, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				t.Error(err)
				return
			}
		}
		for x, err := range p(r, &feed.Meta{}) {
			if !yield(x, err) {
				return
			}
		}
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestTry(t *testing.T) {
	day := func(s string) time.Time { d, _ := time.Parse(time.DateOnly, s); return d }
	var ins []Input
	add := func(name, file, format, date string, a feed.Asserts) {
		ins = append(ins, Input{Spec: feed.Spec{Name: name, Asserts: a, Licence: "x"}, Date: day(date), Facts: factsOf(t, file, feed.Formats()[format])})
	}
	add("tor4", "geo/tor-geoip.gz", "tor-geoip", "2026-06-25", feed.Asserts{Fields: []string{"location.country_code"}, Trust: 60})
	add("tor6", "geo/tor-geoip6.gz", "tor-geoip", "2026-06-25", feed.Asserts{Fields: []string{"location.country_code"}, Trust: 60})
	add("ipfire", "geo/ipfire-location-2022-10-29.txt.gz", "ipfire", "2022-10-29", feed.Asserts{Fields: []string{"location.country_code", "asn.number", "asn.name", "security.is_anycast", "security.is_proxy", "security.is_satellite"}, Trust: 60})
	add("x4b", "cloud/x4b-datacenter-ipv4.txt", "netset", "2026-08-22", feed.Asserts{Traits: []string{"hosting"}, Trust: 50})
	add("x4b6", "cloud/x4b-datacenter-ipv6.txt", "netset", "2026-08-22", feed.Asserts{Traits: []string{"hosting"}, Trust: 50})
	add("vpn", "anonymizer/x4b-vpn-ipv4.txt", "netset", "2026-08-22", feed.Asserts{Traits: []string{"vpn"}, Trust: 50})
	add("scan", "abuse/shadowwhisperer-Scanners.csv.gz", "ip-csv", "2026-08-22", feed.Asserts{Traits: []string{"scanner"}, Listing: "scanner", Trust: 50})
	add("ipsum", "abuse/ipsum.txt.gz", "ipsum", "2026-08-22", feed.Asserts{Traits: []string{"abuser"}, MinCount: 3, Listing: "abuser", Trust: 50})
	add("aws", "cloud/aws-ip-ranges.json.gz", "aws", "2026-08-22", feed.Asserts{Traits: []string{"hosting"}, Name: "AWS", Trust: 80})
	add("azure", "cloud/azure-ServiceTags_Public.json.gz", "azure", "2026-08-22", feed.Asserts{Traits: []string{"hosting"}, Name: "Azure", Trust: 80})
	add("iana4", "reference/iana-ipv4-special-registry-1.csv", "iana-special", "2026-08-22", feed.Asserts{Fields: []string{"security.is_bogon"}, Trust: 99})
	add("iana6", "reference/iana-ipv6-special-registry-1.csv", "iana-special", "2026-08-22", feed.Asserts{Fields: []string{"security.is_bogon"}, Trust: 99})
	c0 := cpu()
	t0 := time.Now()
	var buf bytes.Buffer
	rep, err := Build(context.Background(), &buf, BuildConfig{Inputs: ins})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("cpu", cpu()-c0, "wall", time.Since(t0))
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	var u syscall.Rusage
	syscall.Getrusage(0, &u)
	fmt.Println("maxrss", u.Maxrss/1024, "MiB")
	fmt.Println(rep.Ranges4, rep.Ranges6, rep.Rows, rep.Size)
	for k, v := range rep.Sections {
		fmt.Println("  ", k, v)
	}
	for _, f := range rep.Feeds {
		fmt.Println(f)
	}
	fmt.Println(rep.Info.Counts)
	c0 = cpu()
	d, err := OpenData(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("open", cpu()-c0)
	os.WriteFile("/tmp/world.ipw", buf.Bytes(), 0o644)
	v := ipwarden.NewView(time.Now())
	v.Explain = true
	for _, a := range []string{"8.8.8.8", "1.1.1.1", "3.5.140.1", "10.0.0.1", "2001:4860:4860::8888", "::ffff:8.8.8.8"} {
		r, _ := d.Lookup(context.Background(), netip.MustParseAddr(a))
		c0 := time.Now()
		js := v.AppendJSON(nil, r)
		fmt.Println(string(js), time.Since(c0))
	}
	fmt.Println(d.Verify())
}
