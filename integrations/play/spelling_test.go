package play

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// Who the client is, is the same at every door, however it was told: A1 to A16 and B1
// to B8 of docs/attacks.md. The load balancer in front is this test, and writes the last
// element.
func TestSpellingsAtEveryDoor(t *testing.T) {
	app := proxytest.NewApp(t)
	n := startNode(t, "version: 1\nrules:\n  - {name: data centre, when: ip.security.is_hosting, action: block}\nroutes:\n  - {name: all, path: /*, budget: 2s}\n")
	doors := append(proxies(t, n, app), startGateway(t, app, n.policy))
	const client = "192.0.2.70"
	for _, c := range []struct {
		id     string
		fields []string
		want   string
		unlike string // a proxy that finds the client itself, and reads this in another way
	}{
		{"A2", xff("8.8.8.8, " + client), client, ""},
		{"A3", xff("x7f!, " + client), client, ""},
		{"A5", append(xff("8.8.8.8"), xff(client)...), client, ""},
		{"A6", xff("8.8.8.8," + client + " , 127.0.0.1"), client, ""},
		{"A6", xff("8.8.8.8," + client + " ,\t127.0.0.1 "), client, "nginx"},
		{"A7", append(xff(client), "X-Real-IP: 8.8.8.8"), client, ""},
		{"A9", append(xff(client), "True-Client-IP: 8.8.8.8", "CF-Connecting-IP: 8.8.8.8", "X-Client-IP: 8.8.8.8", "X_Forwarded_For: 8.8.8.8"), client, ""},
		{"A10", append(xff(client), "Forwarded: for=8.8.8.8"), client, ""},
		{"A16", append(xff(client), "Connection: X-Real-IP, close"), client, ""},
		{"B1", xff("::ffff:" + client), client, ""},
		{"B1", xff("::ffff:c000:246"), client, ""},
		{"B1", xff("0:0:0:0:0:ffff:" + client), client, ""},
		{"B2", xff("2001:db8:1:2::1%eth0"), "2001:db8:1:2::1", "nginx"},
		{"B3", xff("2001:DB8:1:2:0:0:0:1"), "2001:db8:1:2::1", ""},
		{"B4", xff("8.8.8.8, 0192.0.2.70"), "", "nginx"},
		{"B4", xff("8.8.8.8, 3221225542"), "", ""},
		{"B5", xff(client + ":51234"), client, ""},
		{"B5", xff("[2001:db8::9]:51234"), "2001:db8::9", ""},
		{"B6", xff("64:ff9b::c000:246"), client, ""},
		{"B7", xff("2002:c000:246:ffff::9"), client, ""},
		{"B8", xff("2001:0:4136:e378:8000:63bf:3fff:fdd2"), "192.0.2.45", ""},
		{"A14", xff(client + ", not-an-ip"), "", ""},
		{"A14", xff(client + ", "), "", "nginx"},
	} {
		for _, p := range doors {
			r, err := proxytest.Try(t, p.addr, "GET", "/", "", c.fields...)
			if err != nil || r.Seen == nil {
				t.Fatalf("%s at %s: %+v, %v", c.id, p.name, r, err)
			}
			got := r.Seen.Header.Values("X-Ipwarden-Ip")
			told := strings.Join(got, ", ")
			if c.want == "" { // whom nobody vouches for: the balancer, and nothing left of it
				if p.name != c.unlike && told != "127.0.0.1" {
					t.Errorf("%s at %s: %q is %q", c.id, p.name, c.fields, got)
				}
			} else if told != c.want && p.name != c.unlike {
				t.Errorf("%s at %s: %q is %q, want %s", c.id, p.name, c.fields, got, c.want)
			}
			if strings.Contains(told, "8.8.8.8") {
				t.Errorf("%s at %s: %q is the forged one", c.id, p.name, c.fields)
			}
			for name, values := range r.Seen.Header {
				if strings.Contains(strings.Join(values, " "), "8.8.8.8") {
					t.Errorf("%s at %s: the application sees %s: %q", c.id, p.name, name, values)
				}
			}
		}
	}
}

func xff(value string) []string { return []string{"X-Forwarded-For: " + value} }

// startGateway starts the program's own reverse proxy.
func startGateway(t *testing.T, app *proxytest.App, policy string) *proxy {
	t.Helper()
	world, err := filepath.Abs("testdata/world.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{name: "gateway", addr: proxytest.FreeAddr(t), reports: true}
	proxytest.Start(t, t.TempDir(), p.addr, program(t), "gateway", "--listen", p.addr, "--upstream", "http://"+app.Addr,
		"--policy", policy, "--overlay", world, "--trusted-proxies", "127.0.0.1")
	return p
}
