package dialect

import (
	"strings"
	"testing"
)

// Lite, Core and Plus may be asked for one member of their answers.
func TestIPinfoParts(t *testing.T) {
	for _, tt := range []struct{ target, want, kind string }{
		{"/lite/8.8.8.8/country_code", "US\n", typeText},
		{"/lite/8.8.8.8/country", "United States\n", typeText},
		{"/lite/8.8.8.8/asn", "AS15169\n", typeText},
		{"/lookup/8.8.8.8/geo/city", "Mountain View\n", typeText},
		{"/lookup/8.8.8.8/is_satellite", "false\n", typeText},
		{"/plus/8.8.8.8/as/asn", "AS15169\n", typeText},
		{"/lookup/8.8.8.8/geo/radius", "100\n", typeText},
		{"/lookup/8.8.8.8/geo/dma_code", "\n", typeText},
		{"/lookup/10.0.0.1/geo/city", "\n", typeText},
		{"/lookup/10.0.0.1/bogon", "true\n", typeText},
	} {
		if c := get(t, "ipinfo", tt.target); c.Status != 200 || string(c.Out) != tt.want || c.ContentType != tt.kind {
			t.Errorf("%s: %d %s %q", tt.target, c.Status, c.ContentType, c.Out)
		}
	}
	if c := get(t, "ipinfo", "/lookup/8.8.8.8/as"); c.ContentType != typeJSONUTF || !strings.HasPrefix(string(c.Out), `{"asn":"AS15169",`) {
		t.Errorf("%s %q", c.ContentType, c.Out)
	}
	for _, target := range []string{"/lite/8.8.8.8/geo", "/lookup/8.8.8.8/city", "/lookup/8.8.8.8/geo/city/x", "/lookup/8.8.8.8/as/"} {
		if c := get(t, "ipinfo", target); c.Status != 404 && !strings.HasSuffix(target, "/") {
			t.Errorf("%s: %d %q", target, c.Status, c.Out)
		}
	}
}

// A batch may have one path a line.
func TestIPinfoLines(t *testing.T) {
	want := string(post(t, "ipinfo", "/batch", `["8.8.8.8/country","lite/8.8.8.8/country","lookup/8.8.8.8/geo/city"]`).Out)
	if want != `{"8.8.8.8/country":"US","lite/8.8.8.8/country":"United States","lookup/8.8.8.8/geo/city":"Mountain View"}`+"\n" {
		t.Errorf("%s", want)
	}
	if c := post(t, "ipinfo", "/batch/legacy", "8.8.8.8/country\r\n\nlite/8.8.8.8/country\n lookup/8.8.8.8/geo/city"); string(c.Out) != want {
		t.Errorf("%s", c.Out)
	}
	for body, status := range map[string]int{"": 400, " \n": 400, `{"a":1}`: 400, `["8.8.8.8"`: 400, strings.Repeat("8.8.8.8\n", ipinfoItems): 200, strings.Repeat("8.8.8.8\n", ipinfoItems+1): 400} {
		if c := post(t, "ipinfo", "/batch", body); c.Status != status {
			t.Errorf("%.20q: %d %s", body, c.Status, c.Out)
		}
	}
}

// Pages load an answer as a script.
func TestIPinfoCallback(t *testing.T) {
	c := get(t, "ipinfo", "/lite/8.8.8.8?callback=a.b_1")
	if out := string(c.Out); c.ContentType != typeScript || !strings.HasPrefix(out, `/**/ typeof a.b_1 === 'function' && a.b_1({"ip":"8.8.8.8",`) || !strings.HasSuffix(out, "});\n") {
		t.Errorf("%s %s", c.ContentType, out)
	}
	for target, want := range map[string]string{
		"/8.8.8.8?callback=":                  `{"ip":`,
		"/8.8.8.8/country?callback=a":         "US\n",
		"/8.8.8.8?callback=alert(1)//":        `{"status":400,"error":{"title":"Invalid callback"`,
		"/8.8.8.8?callback=%3Cscript%3E":      `{"status":400,"error":{"title":"Invalid callback"`,
		"/nobody?callback=a":                  `/**/ typeof a === 'function' && a({"status":404,`,
		"/8.8.8.8?callback=jQuery31_17&_=123": `/**/ typeof jQuery31_17 === 'function' && jQuery31_17({"ip":`,
	} {
		if c := get(t, "ipinfo", target); !strings.HasPrefix(string(c.Out), want) {
			t.Errorf("%s: %s", target, c.Out)
		}
	}
}

func TestIPDataCallback(t *testing.T) {
	c := get(t, "ipdata", "/8.8.8.8?callback=geoip")
	if out := string(c.Out); c.ContentType != typeScript || !strings.HasPrefix(out, `/**/ typeof geoip === 'function' && geoip({"ip":"8.8.8.8",`) || !strings.HasSuffix(out, "});") {
		t.Errorf("%s %s", c.ContentType, out)
	}
	for target, want := range map[string]string{"/8.8.8.8?callback=a(b)": `{"ip":`, "/8.8.8.8/ip?callback=a": "8.8.8.8"} {
		if c := get(t, "ipdata", target); !strings.HasPrefix(string(c.Out), want) {
			t.Errorf("%s: %s", target, c.Out)
		}
	}
}

// metered is a transport whose requests have a quota.
type metered struct{ carried }

func (*metered) Admit(Credential, Facts) *Refusal   { return nil }
func (*metered) Quota() (used, left int64, ok bool) { return 69, 49931, true }

// Whoever has a quota is told of it at /me.
func TestIPinfoMe(t *testing.T) {
	c := newCall("ipinfo", "GET", "/me?token=k", "")
	c.Transport = &metered{carried{}}
	sample.Named("ipinfo").Serve(c)
	const want = `{"token":"k","requests":{"day":0,"month":69,"limit":50000,"remaining":49931},"features":{"core":{"daily":50000,"monthly":50000},`
	if c.Status != 200 || !strings.HasPrefix(string(c.Out), want) || !c.Private {
		t.Errorf("%d %s", c.Status, c.Out)
	}
}
