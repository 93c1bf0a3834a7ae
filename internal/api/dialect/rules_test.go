package dialect

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

// A question of too many is refused, one of just as many is not.
func TestBulkIsBounded(t *testing.T) {
	list := func(n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`"8.8.8.8",`, n), ",") + "]"
	}
	for _, tt := range []struct {
		name, target string
		limit        int
	}{{"ipdata", "/bulk", ipdataItems}, {"ipinfo", "/batch", ipinfoItems}, {"ipinfo", "/tools/summarize-ips", ipinfoItems}} {
		if c := post(t, tt.name, tt.target, list(tt.limit)); c.Status != 200 {
			t.Errorf("%s%s with %d: %d %s", tt.name, tt.target, tt.limit, c.Status, c.Out)
		}
		if c := post(t, tt.name, tt.target, list(tt.limit+1)); c.Status != 400 {
			t.Errorf("%s%s with %d: %d %s", tt.name, tt.target, tt.limit+1, c.Status, c.Out)
		}
		if c := post(t, tt.name, tt.target, strings.Repeat(" ", maxBody)+"[]"); c.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s%s with a long body: %d %s", tt.name, tt.target, c.Status, c.Out)
		}
	}
	s, err := New(Config{MaxBulk: 3})
	if err != nil {
		t.Fatal(err)
	}
	c := newCall("ipdata", http.MethodPost, "/bulk", list(4))
	if s.Named("ipdata").Serve(c); c.Status != 400 {
		t.Errorf("above MaxBulk: %d", c.Status)
	}
}

// Each look-up of a bulk question is asked for before there is any.
func TestBulkIsCharged(t *testing.T) {
	for _, tt := range []struct{ name, target string }{{"ipdata", "/bulk"}, {"ipinfo", "/batch"}} {
		var asked []int
		left := 4
		s, err := New(Config{Check: func(_ Credential, f Facts) *Refusal {
			asked = append(asked, f.Items)
			if f.More != (len(asked) > 1) {
				t.Errorf("%s: More is %v in Check number %d", tt.name, f.More, len(asked))
			}
			if left -= f.Items; left < 0 {
				return &Refusal{Code: OverQuota}
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for items, refused := range map[string]bool{`["8.8.8.8","1.1.1.1","8.8.4.4"]`: false, `["8.8.8.8","1.1.1.1","8.8.4.4","9.9.9.9","9.9.9.8"]`: true} {
			asked, left = nil, 4
			c := newCall(tt.name, http.MethodPost, tt.target, items)
			s.Named(tt.name).Serve(c)
			if (c.Status != 200) != refused || len(asked) != 2 || asked[0] != 1 || asked[1] != strings.Count(items, `",`) {
				t.Errorf("%s of %s: %d, asked for %v", tt.name, items, c.Status, asked)
			}
		}
	}
}

// A key is found wherever the vendor's clients put it.
func TestCredentials(t *testing.T) {
	for _, tt := range []struct{ name, target, header, value string }{
		{"ipinfo", "/8.8.8.8?token=k", "", ""},
		{"ipinfo", "/8.8.8.8?a=b&tok%65n=%6b", "", ""},
		{"ipinfo", "/8.8.8.8", "Authorization", "Bearer k"},
		{"ipinfo", "/8.8.8.8", "Authorization", "bearer  k"},
		{"ipinfo", "/8.8.8.8", "Authorization", "Basic azo="}, // k:
		{"ipdata", "/8.8.8.8?api-key=k", "", ""},
		{"ipdata", "/8.8.8.8?fields=ip&api-key=k", "", ""},
		{"ipasis", "/v1/8.8.8.8?key=k", "", ""},
		{"ipasis", "/v1/8.8.8.8", "X-Api-Key", "k"},
		{"ipasis", "/v1/8.8.8.8", "Authorization", "Bearer k"},
	} {
		c := newCall(tt.name, http.MethodGet, tt.target, "")
		if tt.header != "" {
			c.Transport.(*carried).header.Set(tt.header, tt.value)
		}
		var got Credential
		s, err := New(Config{Check: func(k Credential, _ Facts) *Refusal { got = k; return nil }})
		if err != nil {
			t.Fatal(err)
		}
		if s.Named(tt.name).Serve(c); got.Key != "k" {
			t.Errorf("%+v: the key is %q", tt, got.Key)
		}
	}
}

// A panic is a mistake in the vendor's shape.
func TestFail(t *testing.T) {
	for i := range sample.all {
		d := &sample.all[i]
		c := newCall(d.Name, http.MethodGet, "/8.8.8.8", "")
		d.Fail(c)
		if c.Status < 500 && d.Name != "ip-api" || len(c.Out) == 0 {
			t.Errorf("%s: %d %s", d.Name, c.Status, c.Out)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	_, err := New(Config{Names: []string{"ipinfo", "nobody"}, MaxBulk: -1})
	if err == nil || !strings.Contains(err.Error(), `"nobody"`) || !strings.Contains(err.Error(), "MaxBulk") {
		t.Errorf("the mistakes are not all named: %v", err)
	}
}

// patientData waits in Lookup for a provider that is away.
type patientData struct {
	*ipwardentest.World
	waited int
}

func (d *patientData) Lookup(ctx context.Context, a netip.Addr) (ipwarden.Record, error) {
	d.waited++
	return d.World.Lookup(ctx, a)
}

// Many at once wait for no provider; one does.
func TestBulkDoesNotWait(t *testing.T) {
	for _, tt := range []struct{ name, target, want string }{
		{"ipdata", "/bulk", "Mountain View"},
		{"ipinfo", "/batch", "Mountain View"},
		{"ipinfo", "/summarize", "Mountain View"},
		{"ip-api", "/batch", "Mountain View"},
		{"ipregistry", "/", "Mountain View"},
	} {
		d := &patientData{World: ipwardentest.Sample()}
		c := newCall(tt.name, http.MethodPost, tt.target, `["8.8.8.8","1.1.1.1"]`)
		c.Data = d
		if sample.Named(tt.name).Serve(c); c.Status != 200 || d.waited != 0 || !strings.Contains(string(c.Out), tt.want) {
			t.Errorf("%s%s: %d, waited %d times: %s", tt.name, tt.target, c.Status, d.waited, c.Out)
		}
	}
	d := &patientData{World: ipwardentest.Sample()}
	c := newCall("ipinfo", http.MethodGet, "/8.8.8.8", "")
	c.Data = d
	if sample.Named("ipinfo").Serve(c); d.waited != 1 {
		t.Errorf("one address: asked %d times", d.waited)
	}
}
