package feed

import "testing"

func TestGazetteer(t *testing.T) {
	all := excerptTables(t, everyFile).Cities
	embedded := excerptTables(t, embeddable).Cities
	for _, c := range []struct {
		country, region, city string
		want                  string // admin1 code and name, "" when nothing is found
	}{
		{"SE", "", "Stockholm", "26 Stockholm"},
		{"SE", "SE-AB", "STOCKHOLM", "26 Stockholm"},
		{"DE", "", "München", "02 Munich"},
		{"DE", "DE-BY", "muenchen", "02 Munich"},
		{"BR", "", "Sao Paulo", "27 São Paulo"},
		{"CH", "CH-ZH", "Zurich", "ZH Zürich"},
		{"CH", "CH-ZH", "Zürich", "ZH Zürich"},
		// Three Dublins: the state decides, and without it nothing does.
		{"US", "US-OH", "Dublin", "OH Dublin"},
		{"US", "US-GA", "Dublin", "GA Dublin"},
		{"US", "Georgia", "Dublin", "GA Dublin"},
		{"US", "US-OR", "Dublin", ""},
		{"US", "", "Dublin", ""},
		{"IE", "IE-D", "Dublin", "L Dublin"}, // a code of another level than admin1
		{"GB", "GB-LND", "London", "ENG London"},
		// The only Boardman is in another state.
		{"US", "US-OR", "Boardman", ""},
		{"US", "", "Boardman", "OH Boardman"},
		// Exonyms: "Hessen" and HE for GeoNames' Hesse.
		{"DE", "DE-HE", "Frankfurt", "05 Frankfurt am Main"},
		{"DE", "", "Frankfurt", ""},
		{"DE", "", "Frankfurt am Main", "05 Frankfurt am Main"},
		{"PH", "", "San Jose", ""},
		{"US", "US-CA", "San José", "CA San Jose"},
		{"US", "US-NY", "New York", "NY New York City"},
		{"US", "US-NY", "NYC", ""}, // a code, not a name
		{"US", "", "New-York", "NY New York City"},
		{"DE", "", "New York", ""},
		{"DE", "", "", ""},
		{"", "", "Stockholm", ""},
		{"SE", "", "\xff\xfe", ""},
	} {
		for kind, g := range map[string]*Gazetteer{"all": all, "embedded": embedded} {
			got, ok := g.Find(c.country, c.region, c.city)
			text := ""
			if ok {
				text = got.Admin1 + " " + got.Name
			}
			if text != c.want {
				t.Errorf("%s: %s %q %q: %q, want %q", kind, c.country, c.region, c.city, text, c.want)
			}
		}
	}
	// Only the names of ISO 3166-2 say that BB is Brandenburg.
	if c, _ := all.Find("DE", "DE-BB", "Frankfurt"); c.Admin1 != "11" {
		t.Errorf("Frankfurt in Brandenburg is %+v", c)
	}
	if c, ok := embedded.Find("DE", "DE-BB", "Frankfurt"); ok {
		t.Errorf("without the names of regions, Frankfurt in DE-BB is %+v", c)
	}
	c, _ := all.Find("US", "US-CA", "Dublin")
	if want := (City{"Dublin", "US", "California", "CA", 37.70215, -121.93579, "America/Los_Angeles", 57721}); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
	var none *Gazetteer
	if _, ok := none.Find("SE", "", "Stockholm"); ok || none.Len() != 0 {
		t.Error("a nil gazetteer knows something")
	}
}

func TestFolded(t *testing.T) {
	for in, want := range map[string]string{
		"São Paulo": "sao paulo", "Saint-Denis": "saint denis", "St. Louis": "st louis", "  Łódź ": "lodz", "Coeur d'Alene": "coeur dalene",
		"Großröhrsdorf": "grossrohrsdorf", "ÅRE": "are", "København": "kobenhavn", "": "", "--": "", "Frankfurt (Oder)": "frankfurt oder", "İzmir": "izmir",
	} {
		if got := string(appendFolded(nil, in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
