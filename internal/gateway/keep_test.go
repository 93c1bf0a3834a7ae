package gateway

import (
	"fmt"
	"net/http"
	"testing"
)

const eachPolicy = `
version: 1
limits:
  - {name: each, rate: 3000/day, key: ip}
`

// HTTP/2 keeps header lines for as long as the connection lasts, in the table of its
// compression: what one request was told must not change with the next.
func TestLinesAreKept(t *testing.T) {
	a := newApp(t, nil)
	s := start(t, a, func(c *Config, _ *ServerConfig) {
		c.Upstream = "h2c" + a.URL[len("http"):]
		c.Gate = newTestGate(t, eachPolicy, behind)
	})
	both := new(http.Protocols)
	both.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: both}}
	t.Cleanup(client.CloseIdleConnections)
	asked := map[string]int{}
	for i := range 1000 {
		from := fmt.Sprintf("81.2.%d.%d", 69+i%3, 1+i*i%40)
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Addr().String()+"/p", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", from)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		resp.Body.Close()
		asked[from]++
		seen := a.last(t).Header
		for _, name := range []string{"X-Ipwarden-Ip", "X-Forwarded-For"} {
			if got := seen.Get(name); got != from {
				t.Fatalf("request %d: %s is %s, want %s", i, name, got, from)
			}
		}
		var left, reset int
		if _, err := fmt.Sscanf(resp.Header.Get("RateLimit"), `"each";r=%d;t=%d`, &left, &reset); err != nil || left < 3000-asked[from] || left > 3020-asked[from] {
			t.Fatalf("request %d, %d. of %s: %q, %v", i, asked[from], from, resp.Header.Get("RateLimit"), err)
		}
	}
}
