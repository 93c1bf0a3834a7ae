package provider

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const small = "name: own\nurl: https://ip.example/{ip}?k={key}&x=1\nlicence: none\nfields: {location.country_code: cc}\n"

func TestShippedMaps(t *testing.T) {
	names := MapNames()
	if strings.Join(names, " ") != "ip-api ipregistry proxycheck" {
		t.Errorf("there are %v", names)
	}
	for _, name := range names {
		m, err := ShippedMap(name)
		if err != nil || m.Name() != name {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := MapText(name); err != nil || !strings.Contains(string(text), "fields:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ShippedMap("../map"); err == nil {
		t.Error("a map that is not there")
	}
}

// Every mistake of a map is said at once, with its place.
func TestReadMapMistakes(t *testing.T) {
	f, err := os.Open("testdata/bad/map.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = ReadMap(f, "map.yaml")
	if err == nil {
		t.Fatal("mistakes were taken")
	}
	got := err.Error() + "\n"
	if *update {
		if err := os.WriteFile("testdata/bad/map.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/bad/map.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A template has one place for the address, and it is not in the host.
func TestTemplates(t *testing.T) {
	for url, want := range map[string]string{
		"https://ip.example/{ip}":          "",
		"http://127.0.0.1:80/a?b={ip}&c=d": "",
		"https://ip.example/":              "once",
		"https://ip.example/{ip}/{ip}":     "once",
		"https://{ip}/":                    "not in the host",
		"https://{ip}.rbl.example/":        "not in the host",
		"https://{ip}@ip.example/":         "not in the host",
		"https://ip.example:{ip}/":         "not in the host",
		"https://u:p@ip.example/{ip}":      "without user",
		"https://ip.example/{ip}#x":        "without user",
		"https://ip.example/{ip}/{host}":   "braces",
		"https://ip.example/ {ip}":         "spaces",
		"{ip}://ip.example/":               "must begin",
		"file:///etc/{ip}":                 "must begin",
		"//ip.example/{ip}":                "must begin",
		"https://ip.example\\@evil/{ip}":   "must be like",
		"https:///{ip}":                    "must be like",
	} {
		_, err := ReadMap(strings.NewReader("name: a\nlicence: b\nfields: {asn.number: n}\nurl: \""+strings.ReplaceAll(url, `\`, `\\`)+"\"\n"), "m.yaml")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

// A base address moves a map to another host, or is a template itself.
func TestMapTargets(t *testing.T) {
	m, err := ReadMap(strings.NewReader(small), "m.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for base, want := range map[string]string{
		"":                                     "https://ip.example/8.8.8.8?k=a%2Fb%26c&x=1",
		"http://127.0.0.1:9":                   "http://127.0.0.1:9/8.8.8.8?k=a%2Fb%26c&x=1",
		"http://127.0.0.1:9/sub/":              "http://127.0.0.1:9/sub/8.8.8.8?k=a%2Fb%26c&x=1",
		"https://other.example/{key}/q?a={ip}": "https://other.example/a%2Fb&c/q?a=8.8.8.8",
	} {
		p := open(t, Config{Kind: Generic, Map: m, Key: "a/b&c", BaseURL: base})
		if got := p.target.of(google); got != want || p.Name() != "own" {
			t.Errorf("%s: %s, want %s", base, got, want)
		}
	}
	if _, err := New(Config{Kind: Generic, Map: m}); err == nil || !strings.Contains(err.Error(), "needs a key") {
		t.Errorf("without a key: %v", err)
	}
	free, err := ShippedMap("ip-api")
	if err != nil {
		t.Fatal(err)
	}
	if got := open(t, Config{Kind: Generic, Map: free}).target.of(google); got != "http://ip-api.com/json/8.8.8.8?fields=66846719" {
		t.Errorf("without a key: %s", got)
	}
}

// What a map can say of a field.
func TestMapFields(t *testing.T) {
	const file = `name: own
url: https://ip.example/{ip}
licence: none
network: net
fields:
  location.latitude: {path: loc, take: latitude}
  location.longitude: {path: loc, take: longitude}
  location.country_code: [a.b, list.1.cc]
  location.languages: langs
  asn.number: {path: as, take: as_number}
  asn.name: {path: as, take: as_name}
  security.is_vpn: {path: kind, values: {VPN: true}, else: false}
  security.is_tor: {path: kind, values: {TOR: true}}
  security.is_proxy: {path: "{ip}.proxy", values: {yes: true, no: false}}
  security.is_threat: bad
`
	m, err := ReadMap(strings.NewReader(file), "m.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := newStandIn(t, false, says(200, `{"loc":"59.3, 18.1","a":{"b":""},"list":[{},{"cc":"se"}],"langs":["sv","fi"],"as":"AS64500 Exempel AB","kind":"vpn","8.8.8.8":{"proxy":"no"},"bad":true,"net":"8.8.8.0/25"}`))
	p := open(t, Config{Kind: Generic, Map: m, BaseURL: s.URL, Country: sweden})
	rec, err := p.Lookup(t.Context(), google)
	if err != nil {
		t.Fatal(err)
	}
	l := rec.Location()
	got := fmt.Sprint(l.CountryCode, l.Country, l.Latitude, l.Longitude, rec.ASNumber(), rec.ASN().Name, rec.Traits().Names(), rec.Network())
	if want := "SESweden59.3 18.1 64500Exempel AB[vpn abuser] 8.8.8.0/25"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	said := map[string]string{}
	for _, e := range rec.Evidence() {
		said[e.Field.String()] = e.Value
	}
	if said["security.is_vpn"] != "true" || said["security.is_proxy"] != "false" || said["security.is_tor"] != "" {
		t.Errorf("%v", said)
	}
}

func FuzzReadMap(f *testing.F) {
	for _, name := range MapNames() {
		text, err := MapText(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	bad, err := os.ReadFile("testdata/bad/map.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(bad))
	f.Add(small)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ReadMap(strings.NewReader(text), "m.yaml")
		if err != nil {
			return
		}
		p, err := New(Config{Kind: Generic, Name: "x", Map: m})
		if err != nil {
			return // it needs a key
		}
		if url := p.target.of(google); !strings.Contains(url, "8.8.8.8") || !strings.HasPrefix(url, "http") {
			t.Fatalf("asks %s", url)
		}
	})
}
