package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"time"
)

// names of the rows.
const (
	nginxRow      = "nginx + geoip2 module"
	nginxFixedRow = "nginx, a fixed body, no look-up"
	fasthttpRow   = "fasthttp, a fixed body, no look-up"
	plainRow      = "net/http + maxminddb-golang + encoding/json"
	fastSmallRow  = "ipwarden, fast listener"
	netSmallRow   = "ipwarden, net/http"
	fastFullRow   = "ipwarden, fast listener, the full body"
	netFullRow    = "ipwarden, net/http, the full body"
	bulkRow       = "ipwarden, fast listener, 100 a request"
)

// smallFields makes ipwarden's answer the peers': an address, its country's code
// and name, and the number of the AS, some 105 bytes.
const smallFields = "fields=ip,location.country_code,location.country,asn.number"

// bulkSize is how many addresses a request in bulk has.
const bulkSize = 100

// An httpRow is what serving costs.
type httpRow struct {
	name    string
	missing string
	server  *server
	path    string // of one address, which %s stands for
	bulk    bool
	same    bool  // its body is the peers'
	cpu     stats // µs a request, or an address in bulk
	rate    stats // requests a second
	p99     stats // ms
	peak    int64 // resident, bytes
	bytes   int   // of a body
}

// concurrency of the load.
const connections = 64

// runHTTP measures servers, pinned to the first core, under wrk on the second.
func runHTTP(ctx context.Context, o *options, w *world, r *report, progress func(string, ...any)) error {
	load, err := newLoad(w)
	if err != nil {
		r.notServed = err.Error()
		progress("HTTP is left out: %v", err)
		return nil
	}
	dir, err := os.MkdirTemp("", "ipwarden-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := load.writeScripts(dir); err != nil {
		return err
	}
	rows, servers, err := startServers(ctx, w, dir, progress)
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	if err != nil {
		return err
	}
	if err := errors.Join(checkBodies(rows, load.addrs[:200]), checkBulk(rows, load.addrs[:bulkSize])); err != nil {
		return err
	}
	seconds := 3
	if o.quick {
		seconds = 1
	}
	for n := range o.rounds {
		for _, row := range rows {
			if row.missing != "" || !o.chosen(row.name) {
				continue
			}
			progress("HTTP round %d of %d: %s", n+1, o.rounds, row.name)
			if n == 0 { // pages, caches and connection pools
				if _, err := load.run(ctx, dir, row, 1); err != nil {
					return err
				}
			}
			if err := row.measure(ctx, load, dir, seconds); err != nil {
				return err
			}
		}
	}
	r.serving = rows
	return nil
}

// measure loads the row's server once.
func (row *httpRow) measure(ctx context.Context, load *load, dir string, seconds int) error {
	before, err := row.server.cpu()
	if err != nil {
		return err
	}
	got, err := load.run(ctx, dir, row, seconds)
	if err != nil {
		return err
	}
	after, err := row.server.cpu()
	if err != nil {
		return err
	}
	per := float64(got.requests)
	if row.bulk {
		per *= bulkSize
	}
	row.cpu.add(float64((after - before).Nanoseconds()) / 1000 / per)
	row.rate.add(float64(got.requests) / got.took.Seconds())
	row.p99.add(float64(got.p99.Microseconds()) / 1000)
	row.peak = max(row.peak, row.server.resident())
	return nil
}

// startServers starts what there is; what is not becomes a row that says why.
func startServers(ctx context.Context, w *world, dir string, progress func(string, ...any)) (rows []*httpRow, servers []*server, err error) {
	start := func(name string, f func() (*server, error)) (*server, error) {
		progress("starting %s", name)
		s, err := f()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		servers = append(servers, s)
		return s, nil
	}
	ports, err := freePorts(5)
	if err != nil {
		return nil, nil, err
	}
	nginx := &httpRow{name: nginxRow, path: "/lookup?ip=%s", same: true}
	fixed := &httpRow{name: nginxFixedRow, path: "/fixed?ip=%s"}
	rows = append(rows, nginx, fixed)
	if why := nginxMissing(); why != "" {
		nginx.missing, fixed.missing = why, why
	} else {
		s, err := start("nginx", func() (*server, error) { return startNginx(ctx, w, dir, ports[0]) })
		if err != nil {
			return rows, servers, err
		}
		nginx.server, fixed.server = s, s
	}
	s, err := start("fasthttp", func() (*server, error) { return startFixed(ctx, ports[4]) })
	if err != nil {
		return rows, servers, err
	}
	rows = append(rows, &httpRow{name: fasthttpRow, path: "/fixed?ip=%s", server: s})
	if s, err = start("the net/http peer", func() (*server, error) { return startPlain(ctx, w, ports[1]) }); err != nil {
		return rows, servers, err
	}
	rows = append(rows, &httpRow{name: plainRow, path: "/v1/ip/%s", same: true, server: s})
	s, err = start("ipwarden", func() (*server, error) { return startIPWarden(ctx, w, dir, ports[2], ports[3]) })
	if err != nil {
		return rows, servers, err
	}
	fast := *s
	fast.base = fast.fastBase
	rows = append(rows,
		&httpRow{name: netSmallRow, path: "/v1/ip/%s?" + smallFields, same: true, server: s},
		&httpRow{name: netFullRow, path: "/v1/ip/%s", server: s},
		&httpRow{name: fastSmallRow, path: "/v1/ip/%s?" + smallFields, same: true, server: &fast},
		&httpRow{name: fastFullRow, path: "/v1/ip/%s", server: &fast},
		&httpRow{name: bulkRow, path: "/v1/ip?" + smallFields, bulk: true, server: &fast},
	)
	return rows, servers, nil
}

// checkBodies asks all servers for the same addresses before they are loaded:
// the small bodies have to say the same.
func checkBodies(rows []*httpRow, addrs []netip.Addr) error {
	client := &http.Client{Timeout: 10 * time.Second}
	get := func(row *httpRow, a netip.Addr) ([]byte, error) {
		resp, err := client.Get(row.server.base + strings.ReplaceAll(row.path, "%s", a.String()))
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %s: %.200s", resp.Status, body)
		}
		return body, err
	}
	for _, a := range addrs {
		var want any
		var from string
		for _, row := range rows {
			if row.missing != "" || row.bulk {
				continue
			}
			body, err := get(row, a)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", row.name, a, err)
			}
			row.bytes = len(body)
			if !row.same {
				continue
			}
			var said any
			if err := json.Unmarshal(body, &said); err != nil {
				return fmt.Errorf("%s, %s: %w: %.200s", row.name, a, err, body)
			}
			if want == nil {
				want, from = said, row.name
			} else if !reflect.DeepEqual(said, want) {
				return fmt.Errorf("of %s, %s says %v, and %s says %v", a, from, want, row.name, said)
			}
		}
	}
	return nil
}

// checkBulk asks for addresses in bulk: each answer has to be there, in order,
// and to know what was chosen because it is known.
func checkBulk(rows []*httpRow, addrs []netip.Addr) error {
	question, err := json.Marshal(addrs)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if !row.bulk || row.missing != "" {
			continue
		}
		url := row.server.base + row.path
		resp, err := http.Post(url, "application/json", bytes.NewReader(question))
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		row.bytes = len(body)
		var said []struct {
			IP string `json:"ip"`
			smallBody
		}
		if err := json.Unmarshal(body, &said); err != nil || len(said) != len(addrs) {
			return fmt.Errorf("%s: %d answers to %d addresses, status %s (%w)", row.name, len(said), len(addrs), resp.Status, errors.Join(err, errBulk))
		}
		for i, a := range said {
			if a.IP != addrs[i].String() || a.Location.CountryCode == "" || a.ASN.Number == 0 {
				return fmt.Errorf("%s: of %s it says %+v", row.name, addrs[i], a)
			}
		}
	}
	return nil
}

var errBulk = errors.New("an answer in bulk has one element an address")

// moduleRoot is the folder of the module that is measured.
func moduleRoot(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ipwarden/ipwarden").Output()
	if err != nil {
		return "", fmt.Errorf("looking for the module: %w; run the bench from its own folder", err)
	}
	return strings.TrimSpace(string(root)), nil
}

// buildCommand builds the command as it is in the tree beside this module.
func buildCommand(ctx context.Context, dir string) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "ipwarden")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, "./cmd/ipwarden")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return bin, nil
}

// startIPWarden runs the command, with both listeners.
func startIPWarden(ctx context.Context, w *world, dir, port, fastPort string) (*server, error) {
	bin, err := buildCommand(ctx, dir)
	if err != nil {
		return nil, err
	}
	s, err := startServer(ctx, "127.0.0.1:"+port, bin, "serve", "--dataset", w.dataset(), "--data-dir", filepath.Join(dir, "data"),
		"--listen", "127.0.0.1:"+port, "--fast-listen", "127.0.0.1:"+fastPort, "--index", "flat")
	if err != nil {
		return nil, err
	}
	s.fastBase = "http://127.0.0.1:" + fastPort
	return s, nil
}

func (r *report) writeHTTP(b *strings.Builder) {
	fmt.Fprintf(b, "\n### Over HTTP\n\nCPU µs a request (in bulk: an address) of all of the server's processes, user and system, and × the cost of %s, round by round. The server on one core, wrk with %d connections on another; median (least..most). The small body has some 105 bytes and is the same for all.\n\n", nginxRow, connections)
	if r.notServed != "" {
		fmt.Fprintf(b, "Missing: %s.\n", r.notServed)
		return
	}
	b.WriteString("| contestant | CPU µs | × | requests/s | p99 ms | body bytes | resident MiB |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	var peer stats
	rows := map[string]*httpRow{}
	for _, row := range r.serving {
		rows[row.name] = row
	}
	if n := rows[nginxRow]; n != nil {
		peer = n.cpu
	}
	for _, row := range r.serving {
		switch {
		case row.missing != "":
			fmt.Fprintf(b, "| %s | missing: %s | | | | | |\n", row.name, row.missing)
		case len(row.cpu) > 0:
			fmt.Fprintf(b, "| %s | %s | %.3f | %s | %s | %d | %d |\n", row.name, spread(row.cpu), row.cpu.ratio(peer).median(),
				thousands(int(row.rate.median())), figure(row.p99.median()), row.bytes, row.peak>>20)
		}
	}
	var vs []verdict
	for _, bar := range httpBars() {
		row, peer := rows[bar.row], rows[bar.peer]
		if row == nil || peer == nil || len(row.cpu) == 0 || len(peer.cpu) == 0 {
			continue
		}
		vs = append(vs, verdict{bar, "", row.cpu, peer.cpu, "µs"})
	}
	writeVerdicts(b, vs)
}

var errNoWrk = errors.New("wrk and taskset make and place the load: install wrk and util-linux")
