package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// names of the rows that others refer to.
const (
	refusedRow    = "ipwarden, fast listener, unknown keys refused"
	stringRow     = "nginx, a fixed string"
	openLookupRow = "ipwarden, fast listener, without accounts"
	keyedRow      = "ipwarden, fast listener, with key, quota and counting"
	keyedMoreRow  = "with key, quota and counting, the more of it"
)

// A keyedHTTP asks with keys; the answers are all of one kind.
type keyedHTTP struct {
	httpRow
	keys    string // a file of them
	refused bool
}

// runAccountsHTTP measures keys at the fast listener: the same requests, with a key and
// a referer, to a server with accounts, to one without, and to nginx. The data is the
// embedded dataset.
func runAccountsHTTP(ctx context.Context, o *options, r *report, progress func(string, ...any)) error {
	for _, program := range []string{"wrk", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			r.notKeyed = errNoWrk.Error()
			return nil
		}
	}
	dir, err := os.MkdirTemp("", "ipwarden-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := buildCommand(ctx, dir)
	if err != nil {
		return err
	}
	key, err := makeKey(ctx, bin, filepath.Join(dir, "accounts"))
	if err != nil {
		return err
	}
	one, many := filepath.Join(dir, "key"), filepath.Join(dir, "unknown")
	unknown := &strings.Builder{}
	load, rnd := &load{}, rand.New(rand.NewPCG(5, 6))
	for range loadAddrs {
		fmt.Fprintln(unknown, customer.NewKeyText(customer.Secret, customer.Live))
		load.addrs = append(load.addrs, netip.AddrFrom4([4]byte{byte(11 + rnd.IntN(100)), byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32())}))
	}
	if err := errors.Join(load.writeScripts(dir), os.WriteFile(one, []byte(key+"\n"), 0o600), os.WriteFile(many, []byte(unknown.String()), 0o600),
		os.WriteFile(filepath.Join(dir, "keyed.lua"), fmt.Appendf(nil, keyedScript, filepath.Join(dir, "addresses")), 0o600)); err != nil {
		return err
	}
	ports, err := freePorts(5)
	if err != nil {
		return err
	}
	var rows []*keyedHTTP
	start := func(listen, program string, args ...string) (*server, error) {
		s, err := startServer(ctx, "127.0.0.1:"+listen, program, args...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(program), err)
		}
		return s, nil
	}
	serve := func(data, port, fast string, more ...string) (*server, error) {
		return start(fast, bin, append([]string{
			"serve", "--data-dir", filepath.Join(dir, data), "--listen", "127.0.0.1:" + port,
			"--fast-listen", "127.0.0.1:" + fast, "--index", "flat", "--log-level", "error",
		}, more...)...)
	}
	const path = "/v1/ip/%s?" + smallFields
	if _, err := exec.LookPath("nginx"); err != nil {
		rows = append(rows, &keyedHTTP{httpRow: httpRow{name: stringRow, missing: "install nginx-light"}})
	} else {
		conf := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, stringConfig, dir, ports[0]), 0o600); err != nil {
			return err
		}
		s, err := start(ports[0], "nginx", "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", conf)
		if err != nil {
			return err
		}
		defer s.stop()
		rows = append(rows, &keyedHTTP{httpRow{name: stringRow, server: s, path: path}, many, false})
	}
	open, err := serve("open", ports[1], ports[2])
	if err != nil {
		return err
	}
	defer open.stop()
	accounts, err := serve("accounts", ports[3], ports[4], "--accounts")
	if err != nil {
		return err
	}
	defer accounts.stop()
	rows = append(rows,
		&keyedHTTP{httpRow{name: refusedRow, server: accounts, path: path}, many, true},
		&keyedHTTP{httpRow{name: openLookupRow, server: open, path: path}, one, false},
		&keyedHTTP{httpRow{name: keyedRow, server: accounts, path: path}, one, false},
	)
	open.base, accounts.base = "http://127.0.0.1:"+ports[2], "http://127.0.0.1:"+ports[4]
	seconds := 3
	if o.quick {
		seconds = 1
	}
	for n := range o.rounds {
		for _, row := range rows {
			if row.missing != "" || !o.chosen(row.name) {
				continue
			}
			progress("keys over HTTP, round %d of %d: %s", n+1, o.rounds, row.name)
			if n == 0 {
				if _, err := row.run(ctx, dir, 1); err != nil {
					return err
				}
			}
			if err := row.measure(ctx, dir, seconds); err != nil {
				return err
			}
		}
	}
	r.keyed = rows
	return nil
}

// makeKey makes a plan with bounds that nobody reaches, an account on it, and a key.
func makeKey(ctx context.Context, bin, data string) (string, error) {
	out := ""
	for _, args := range [][]string{
		{"plan", "set", "bench", "--per-day", "1000000000000", "--per-month", "10000000000000", "--per-second", "1000000000"},
		{"account", "add", "bench@example.com", "--plan", "bench"},
		{"key", "new", "bench@example.com", "--name", "bench"},
	} {
		cmd := exec.CommandContext(ctx, bin, append(args, "--data-dir", data)...)
		var said strings.Builder
		cmd.Stderr = &said
		text, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("ipwarden %s: %w: %s", strings.Join(args[:2], " "), err, said.String())
		}
		out = strings.TrimSpace(string(text))
	}
	return out, nil
}

// keyedScript asks for addresses, each with the next of a file of keys.
const keyedScript = `
local ready, n = {}, 0
function init(args)
	local keys = {}
	for k in io.lines(args[2]) do keys[#keys+1] = k end
	for a in io.lines(%q) do
		ready[#ready+1] = wrk.format("GET", (args[1]:gsub("%%%%s", a)),
			{["X-Api-Key"]=keys[#ready %% #keys + 1], ["Referer"]="https://shop.example/checkout"})
	end
end
function request()
	n = n %% #ready + 1
	return ready[n]
end
function done(summary, latency)
	local e = summary.errors
	io.write(string.format('\nRESULT {"requests":%%d,"took":%%d,"p99":%%d,"bad":%%d,"refused":%%d}\n', summary.requests, summary.duration,
		latency:percentile(99), e.connect + e.read + e.write + e.timeout, e.status))
end
`

// run loads the row's server. All is answered, or all refused.
func (row *keyedHTTP) run(ctx context.Context, dir string, seconds int) (out loaded, err error) {
	text, err := exec.CommandContext(ctx, "taskset", "-c", loadCore, "wrk", "-t1", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%ds", seconds),
		"-s", filepath.Join(dir, "keyed.lua"), row.server.base, "--", row.path, row.keys).CombinedOutput()
	if err != nil {
		return out, fmt.Errorf("wrk against %s: %w: %s", row.name, err, text)
	}
	_, line, ok := strings.Cut(string(text), "\nRESULT ")
	var r struct{ Requests, Took, P99, Bad, Refused int64 } // microseconds
	if !ok || json.Unmarshal([]byte(line), &r) != nil {
		return out, fmt.Errorf("wrk against %s said no result: %s", row.name, text)
	}
	want := int64(0)
	if row.refused {
		want = r.Requests
	}
	if r.Requests == 0 || r.Bad > 0 || r.Refused != want {
		return out, fmt.Errorf("wrk against %s: of %d requests %d failed, and %d were refused", row.name, r.Requests, r.Bad, r.Refused)
	}
	return loaded{r.Requests, time.Duration(r.Took) * time.Microsecond, time.Duration(r.P99) * time.Microsecond}, nil
}

// measure loads the row's server once.
func (row *keyedHTTP) measure(ctx context.Context, dir string, seconds int) error {
	before, err := row.server.cpu()
	if err != nil {
		return err
	}
	got, err := row.run(ctx, dir, seconds)
	if err != nil {
		return err
	}
	after, err := row.server.cpu()
	if err != nil {
		return err
	}
	row.cpu.add(float64((after - before).Nanoseconds()) / 1000 / float64(got.requests))
	row.rate.add(float64(got.requests) / got.took.Seconds())
	row.p99.add(float64(got.p99.Microseconds()) / 1000)
	row.peak = max(row.peak, row.server.resident())
	return nil
}

// stringConfig answers everything with a string of the length of an error.
const stringConfig = `worker_processes 1;
daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log warn;
events { worker_connections 1024; }
http {
	access_log off;
	keepalive_requests 1000000000;
	keepalive_timeout 75s;
	tcp_nodelay on;
	default_type application/json;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen 127.0.0.1:%[2]s backlog=511;
		location / { return 200 '{"ip":"203.0.113.100","location":{"country_code":"US","country":"United States"},"asn":{"number":64500}}\n'; }
	}
}
`
