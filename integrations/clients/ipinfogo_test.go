package clients

import (
	"encoding/json"
	"net"
	"net/url"
	"testing"

	"github.com/ipinfo/go/v2/ipinfo"
)

// base is where a client of IPinfo looks for the paths below path.
func base(t *testing.T, path string) *url.URL {
	t.Helper()
	u, err := url.Parse(serveHTTP(t) + "/compat/ipinfo/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// decoded is what a client made of an answer, as JSON.
func decoded(t *testing.T, v any, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestIPinfoGo(t *testing.T) {
	c := ipinfo.NewClient(nil, nil, "any")
	c.BaseURL = base(t, "")
	google := net.ParseIP("8.8.8.8")

	core, err := c.GetIPInfo(google)
	says(t, decoded(t, core, err), `{"ip":"8.8.8.8","city":"Mountain View","region":"California","country":"US","country_name":"United States",
		"loc":"37.4056,-122.0775","org":"AS15169 Google LLC","postal":"94043","timezone":"America/Los_Angeles","anycast":true,
		"asn":{"asn":"AS15169","name":"Google LLC","domain":"google.com","route":"8.8.8.0/24","type":"hosting"},
		"company":{"name":"Google LLC","domain":"google.com","type":"business"},"privacy":{"vpn":false,"hosting":true,"service":""}}`)
	core, err = c.GetIPInfo(net.ParseIP("2001:4860:4860::8888"))
	says(t, decoded(t, core, err), `{"ip":"2001:4860:4860::8888","asn":{"route":"2001:4860::/32"}}`)
	core, err = c.GetIPInfo(nil)
	says(t, decoded(t, core, err), `{"ip":"81.2.69.142","city":"London"}`)
	carrier, err := c.GetIPCarrier(net.ParseIP("126.1.2.3"))
	says(t, decoded(t, carrier, err), `{"name":"SoftBank","mcc":"440","mnc":"20"}`)
	privacy, err := c.GetIPPrivacy(net.ParseIP("146.70.1.1"))
	says(t, decoded(t, privacy, err), `{"vpn":true,"hosting":true,"tor":false,"service":"Mullvad"}`)
	as, err := c.GetASNDetails("AS15169")
	says(t, decoded(t, as, err), `{"asn":"AS15169","name":"Google LLC","registry":"arin","num_ips":8448,"prefixes":[{"netblock":"8.8.8.0/24","size":"256"},{"netblock":"66.249.64.0/19"}],
		"prefixes6":[{"netblock":"2001:4860::/32","size":"79228162514264337593543950336"}],"peers":[]}`)
	if _, err := c.GetASNDetails("AS4200000000"); err == nil {
		t.Error("an unknown AS is no error")
	}
	proxy, err := c.GetResproxy("8.8.8.8")
	says(t, decoded(t, proxy, err), `{"ip":"","service":""}`)
	sum, err := c.GetIPSummary([]net.IP{google, google, net.ParseIP("146.70.1.1")})
	says(t, decoded(t, sum, err), `{"total":3,"unique":2,"countries":{"US":1,"DE":1},"privacy":{"vpn":1,"hosting":2},"anycast":1}`)
}

func TestIPinfoGoBatch(t *testing.T) {
	c := ipinfo.NewClient(nil, nil, "any")
	c.BaseURL = base(t, "")
	all, err := c.GetBatch([]string{"8.8.8.8", "8.8.8.8/country", "AS64500", "1.1.1.1", "8.8.8.8/hostname", "nonsense"}, ipinfo.BatchReqOpts{})
	says(t, decoded(t, all, err), `{"8.8.8.8":{"city":"Mountain View"},"8.8.8.8/country":"US","AS64500":{"name":"EXAMPLE-AS"},"1.1.1.1":{"country":"AU"},
		"8.8.8.8/hostname":"","nonsense":{"status":404,"error":{"title":"Wrong ip"}}}`)
	all, err = c.GetBatch([]string{"8.8.8.8/country", "8.8.8.8/hostname", "nonsense"}, ipinfo.BatchReqOpts{Filter: true})
	if decoded(t, all, err); len(all) != 1 {
		t.Errorf("with a filter: %v", all)
	}
	many, err := c.GetIPInfoBatch([]net.IP{net.ParseIP("8.8.8.8"), net.ParseIP("81.2.69.1")}, ipinfo.BatchReqOpts{BatchSize: 1})
	says(t, decoded(t, many, err), `{"8.8.8.8":{"country":"US"},"81.2.69.1":{"city":"London"}}`)
	ases, err := c.GetASNDetailsBatch([]string{"AS15169", "AS13335"}, ipinfo.BatchReqOpts{})
	says(t, decoded(t, ases, err), `{"AS15169":{"domain":"google.com"},"AS13335":{"domain":"cloudflare.com"}}`)
}

func TestIPinfoGoBundles(t *testing.T) {
	lite := ipinfo.NewLiteClient(nil, nil, "any")
	lite.BaseURL = base(t, "lite/")
	l, err := lite.GetIPInfo(net.ParseIP("8.8.8.8"))
	says(t, decoded(t, l, err), `{"ip":"8.8.8.8","asn":"AS15169","as_name":"Google LLC","as_domain":"google.com","country_code":"US","country":"United States",
		"continent_code":"NA","continent":"North America"}`)
	l, err = lite.GetIPInfo(nil)
	says(t, decoded(t, l, err), `{"ip":"81.2.69.142"}`)

	core := ipinfo.NewCoreClient(nil, nil, "any")
	core.BaseURL = base(t, "lookup/")
	o, err := core.GetIPInfo(net.ParseIP("8.8.8.8"))
	says(t, decoded(t, o, err), `{"ip":"8.8.8.8","geo":{"city":"Mountain View","region_code":"CA","country_code":"US","latitude":37.4056,"timezone":"America/Los_Angeles"},
		"as":{"asn":"AS15169","type":"hosting"},"is_anycast":true,"is_hosting":true,"is_anonymous":false}`)

	plus := ipinfo.NewPlusClient(nil, nil, "any")
	plus.BaseURL = base(t, "lookup/")
	p, err := plus.GetIPInfo(net.ParseIP("146.70.1.1"))
	says(t, decoded(t, p, err), `{"ip":"146.70.1.1","geo":{"country_code":"DE"},"anonymous":{"is_vpn":true,"is_tor":false,"name":"Mullvad"},"is_anonymous":true}`)
	p, err = plus.GetIPInfo(net.ParseIP("126.1.2.3"))
	says(t, decoded(t, p, err), `{"mobile":{"name":"SoftBank","mcc":"440","mnc":"20"},"is_mobile":true}`)
	p, err = plus.GetIPInfo(nil)
	says(t, decoded(t, p, err), `{"ip":"81.2.69.142","geo":{"city":"London"}}`)
}

// What is refused is an error to the client, with the status and the facts.
func TestIPinfoGoRefused(t *testing.T) {
	for key, status := range map[string]int{"wrong": 403, "spent": 429} {
		c := ipinfo.NewClient(nil, nil, key)
		c.BaseURL = base(t, "")
		_, err := c.GetIPInfo(net.ParseIP("8.8.8.8"))
		refused, ok := err.(*ipinfo.ErrorResponse)
		if !ok || refused.Response.StatusCode != status {
			t.Errorf("%s: %v", key, err)
		} else if status == 429 && refused.Response.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After: %v", key, refused.Response.Header)
		}
	}
}
