package dialect

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzServe asks all dialects whatever there is: none of them breaks, and what is
// called JSON is.
func FuzzServe(f *testing.F) {
	for _, target := range []string{
		"/", "/8.8.8.8", "/8.8.8.8/city", "/AS15169", "/lite/me", "/lookup/8.8.8.8", "/resproxy/8.8.8.8", "/asn/8.8.8.8", "/8.8.8.8/flag", "/8.8.8.8?fields=ip,asn",
		"/v1/lookup?ip=8.8.8.8&key=x", "/v1/validate-email?email=a@b.c&ip=8.8.8.8", "/v2/ip/2001:db8::1%25eth0", "/json/8.8.8.8?fields=1&callback=f", "/xml/8.8.8.8",
		"/csv/", "/geoip/v2.1/city/me", "//", "/%zz", "/%00", "/8.8.8.8/%22", "/a/b/c/d/e/f/g", "/?fields=%zz&fields=location[country]",
	} {
		f.Add(target, "", "Bearer x")
	}
	for target, body := range map[string]string{
		"/bulk": `["8.8.8.8",7,"AS1"]`, "/batch?filter=1": `["8.8.8.8/country","lookup/8.8.8.8","batch",""]`, "/batch/lite": `["me"]`,
		"/batch": `[{"query":"8.8.8.8","fields":"x"}]`, "/tools/summarize-ips": `["8.8.8.8"]`, "/": `["8.8.8.8"]`,
	} {
		f.Add(target, body, "Basic eDp5")
	}
	f.Fuzz(func(t *testing.T, target, body, authorization string) {
		for i := range sample.all {
			d := &sample.all[i]
			method := http.MethodGet
			if body != "" {
				method = http.MethodPost
			}
			c := newCall(d.Name, method, target, body)
			c.Transport.(*carried).header.Set("Authorization", authorization)
			d.Serve(c)
			d.vendor.credential(c)
			if c.Status < 200 || c.Status > 503 || c.ContentType == "" {
				t.Errorf("%s %s: %d %q", d.Name, target, c.Status, c.ContentType)
			}
			if c.Status == http.StatusInternalServerError {
				t.Errorf("%s %s: %s", d.Name, target, c.Out)
			}
			if strings.Contains(c.ContentType, "json") && !json.Valid(c.Out) {
				t.Errorf("%s %s: no JSON: %s", d.Name, target, c.Out)
			}
			if !utf8.Valid(c.Out) {
				t.Errorf("%s %s: no UTF-8: %q", d.Name, target, c.Out)
			}
		}
	})
}

// FuzzFind compares the way to a dialect with an obvious one.
func FuzzFind(f *testing.F) {
	for _, host := range []string{"ipinfo.io", "IPINFO.IO.:443", "api.ipdata.co:80", "[::1]:80", "", ":", ".", "ipinfo.io:", "127.0.0.1:8080"} {
		f.Add(host, "/8.8.8.8")
	}
	for _, path := range []string{"/compat/", "/compat/ipinfo", "/compat/ipinfo/", "/compat/nobody/8.8.8.8", "/compat//ipinfo", ""} {
		f.Add("x", path)
	}
	f.Fuzz(func(t *testing.T, host, path string) {
		got, rest := sample.Find(host, path)
		var want *Dialect
		wantRest := path
		bare, _, _ := strings.Cut(host, ":")
		bare = strings.TrimSuffix(bare, ".")
		for i := range sample.all {
			d := &sample.all[i]
			for _, h := range d.Hosts {
				if strings.EqualFold(h, bare) {
					want = d
				}
			}
		}
		if below, ok := strings.CutPrefix(path, prefix); ok && below != "" {
			want = nil
			for i := range sample.all {
				d := &sample.all[i]
				if after, ok := strings.CutPrefix(below, d.Name); ok && (after == "" || after[0] == '/') {
					want, wantRest = d, after
				}
			}
		}
		if got != want || rest != wantRest {
			t.Errorf("%q %q: %v %q, want %v %q", host, path, got, rest, want, wantRest)
		}
	})
}
