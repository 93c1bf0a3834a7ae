package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Rows of whole requests through proxies.
const (
	nginxPlainRow     = "nginx, the file"
	nginxEmptyRow     = "nginx, auth_request to fasthttp on a Unix socket"
	nginxGateRow      = "nginx, auth_request to ipwarden on a Unix socket, the verdict alone"
	nginxFullRow      = "nginx, auth_request to ipwarden on a Unix socket, with all of integrations/nginx"
	haproxyPlainRow   = "HAProxy, a fixed answer"
	haproxyTrivialRow = "HAProxy, SPOE to a trivial agent"
	haproxyGateRow    = "HAProxy, SPOE to ipwarden, the verdict alone"
	haproxyFullRow    = "HAProxy, SPOE to ipwarden, with all of integrations/haproxy"
)

// A proxyRow is what a request costs all processes that have to do with it.
type proxyRow struct {
	name    string
	missing string
	base    string // http://host:port
	plain   string // the row of the same proxy that asks nobody
	servers []*server
	cpu     stats // µs a request
	rate    stats // requests a second
	p99     stats // ms
	alone   stats // µs a request, with one connection
	half    stats // p99 at half load, ms
	halfP50 stats // ms
	calm    stats // p99 of the median tenth of a second at half load, ms
}

// measure loads the row twice: with many connections, and with one.
func (row *proxyRow) measure(ctx context.Context, load *load, dir string, seconds int) error {
	got, cpu, err := row.load(ctx, load, dir, connections, seconds)
	if err != nil {
		return err
	}
	row.cpu.add(cpu)
	row.rate.add(float64(got.requests) / got.took.Seconds())
	row.p99.add(float64(got.p99.Microseconds()) / 1000)
	if _, cpu, err = row.load(ctx, load, dir, 1, seconds); err != nil {
		return err
	}
	row.alone.add(cpu)
	return nil
}

// load returns the CPU of all servers, in µs a request.
func (row *proxyRow) load(ctx context.Context, load *load, dir string, conns, seconds int) (got loaded, cpu float64, err error) {
	before := make([]time.Duration, len(row.servers))
	for i, s := range row.servers {
		if before[i], err = s.cpu(); err != nil {
			return got, 0, err
		}
	}
	if got, err = load.wrk(ctx, dir, row.name, row.base, "gate.lua", conns, seconds, "/page"); err != nil {
		return got, 0, err
	}
	for i, s := range row.servers {
		after, err := s.cpu()
		if err != nil {
			return got, 0, err
		}
		if after == before[i] { // such as a proxy that goes on without its agent
			return got, 0, fmt.Errorf("%s: process %d had nothing to do with it", row.name, s.cmd.Process.Pid)
		}
		cpu += float64((after - before[i]).Nanoseconds()) / 1000
	}
	return got, cpu / float64(got.requests), nil
}

// startProxies starts what there is; what is not becomes a row that says why.
func startProxies(ctx context.Context, w *world, dir string, progress func(string, ...any)) (rows []*proxyRow, servers []*server, err error) {
	start := func(name string, f func() (*server, error)) *server {
		if err != nil {
			return nil
		}
		progress("starting %s", name)
		var s *server
		if s, err = f(); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
			return nil
		}
		servers = append(servers, s)
		return s
	}
	p, err := newPlaces(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	bare := start("ipwarden, which tells the verdict alone", func() (*server, error) {
		return startGate(ctx, w, p, &p.bare, "--enrich", "none", "--rate-limit-on-refusals")
	})
	gated := start("ipwarden", func() (*server, error) { return startGate(ctx, w, p, &p.gate) })
	empty := start("fasthttp", func() (*server, error) { return startSelf(ctx, p.emptySocket, "serve-empty", p.emptySocket) })
	agent := start("the trivial agent", func() (*server, error) { return startSelf(ctx, p.trivial, "serve-spop", p.trivial) })
	if err != nil {
		return nil, servers, err
	}
	rows = append(rows, &proxyRow{name: nginxPlainRow}, &proxyRow{name: nginxEmptyRow}, &proxyRow{name: nginxGateRow}, &proxyRow{name: nginxFullRow})
	if _, missing := exec.LookPath("nginx"); missing != nil {
		for _, row := range rows {
			row.missing = "install nginx-light"
		}
	} else {
		s := start("nginx", func() (*server, error) { return startNginxGate(ctx, p) })
		for i, row := range rows {
			row.base, row.plain = "http://"+p.nginx[i], nginxPlainRow
		}
		rows[0].servers, rows[1].servers = []*server{s}, []*server{s, empty}
		rows[2].servers, rows[3].servers = []*server{s, bare}, []*server{s, gated}
	}
	through := []*proxyRow{{name: haproxyPlainRow}, {name: haproxyTrivialRow}, {name: haproxyGateRow}, {name: haproxyFullRow}}
	rows = append(rows, through...)
	if _, missing := exec.LookPath("haproxy"); missing != nil {
		for _, row := range through {
			row.missing = "install haproxy"
		}
		return rows, servers, err
	}
	s := start("HAProxy", func() (*server, error) { return startHAProxy(ctx, p) })
	for i, row := range through {
		row.base, row.plain = "http://"+p.haproxy[i], haproxyPlainRow
	}
	through[0].servers, through[1].servers = []*server{s}, []*server{s, agent}
	through[2].servers, through[3].servers = []*server{s, bare}, []*server{s, gated}
	return rows, servers, err
}

// places is where everything listens and lies.
type places struct {
	dir, root      string // root is that of the repository
	emptySocket    string
	trivial        string // host:port
	gate, bare     gatePlaces
	nginx, haproxy []string
}

// gatePlaces is where one ipwarden listens, and its data directory.
type gatePlaces struct{ api, spoa, socket, data string }

func newPlaces(ctx context.Context, dir string) (*places, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(13)
	if err != nil {
		return nil, err
	}
	for i := range ports {
		ports[i] = "127.0.0.1:" + ports[i]
	}
	return &places{
		dir: dir, root: root, emptySocket: filepath.Join(dir, "empty.sock"), trivial: ports[4], nginx: ports[5:9], haproxy: ports[9:13],
		gate: gatePlaces{ports[0], ports[1], filepath.Join(dir, "gate.sock"), filepath.Join(dir, "data")},
		bare: gatePlaces{ports[2], ports[3], filepath.Join(dir, "bare.sock"), filepath.Join(dir, "bare")},
	}, nil
}

// startGate runs the command with a policy, and with the listeners that nginx
// and HAProxy ask.
func startGate(ctx context.Context, w *world, p *places, at *gatePlaces, flags ...string) (*server, error) {
	bin, err := buildCommand(ctx, p.dir)
	if err != nil {
		return nil, err
	}
	policy := filepath.Join(p.dir, "policy.yaml")
	if err := os.WriteFile(policy, gatePolicy, 0o644); err != nil {
		return nil, err
	}
	args := []string{
		"serve", "--dataset", w.everything(), "--data-dir", at.data, "--policy", policy,
		"--listen", at.api, "--fast-listen", "unix:" + at.socket + ",mode=0666", "--spoa-listen", at.spoa,
	}
	return startServer(ctx, at.api, bin, append(args, flags...)...)
}

// startSelf runs this program as one of its children, at an address.
func startSelf(ctx context.Context, addr string, args ...string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startServer(ctx, addr, self, args...)
}

func (r *report) writeProxies(b *strings.Builder) {
	fmt.Fprintf(b, "\n### The gate, behind proxies\n\nCPU µs a request of all processes, the proxy's and that which it asks, user and system; they share one core, the load is on another. %d connections, and one; median (least..most). At half load: p99 of requests that come at a fixed rate, half of what the row of ipwarden answers at most; of all of them, and of those of a tenth of a second, of which the median is shown: where the two differ, something stood still for a moment.\n\n", connections)
	if r.notProxied != "" {
		fmt.Fprintf(b, "Missing: %s.\n", r.notProxied)
		return
	}
	b.WriteString("| contestant | CPU µs | added | requests/s | p99 ms | one connection: CPU µs | half load: p50 ms | p99 ms | p99 of a tenth of a second, ms |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	rows := map[string]*proxyRow{}
	for _, row := range r.proxied {
		rows[row.name] = row
	}
	for _, row := range r.proxied {
		if row.missing != "" {
			fmt.Fprintf(b, "| %s | missing: %s | | | | | | | |\n", row.name, row.missing)
			continue
		}
		if len(row.cpu) == 0 {
			continue
		}
		more, half := "", "| | |"
		if plain := rows[row.plain]; row.plain != row.name && plain != nil && len(plain.cpu) > 0 {
			more = figure(added(row.cpu, rows[row.plain].cpu).median())
		}
		if len(row.half) > 0 {
			half = fmt.Sprintf("%s | %s | %s |", figure(row.halfP50.median()), spread(row.half), spread(row.calm))
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s\n", row.name, spread(row.cpu), more, thousands(int(row.rate.median())),
			figure(row.p99.median()), spread(row.alone), half)
	}
	for _, name := range []string{nginxPlainRow, nginxEmptyRow, nginxGateRow, haproxyPlainRow, haproxyTrivialRow, haproxyGateRow} {
		if rows[name] == nil { // not asked for
			rows[name] = &proxyRow{}
		}
	}
	var vs []verdict
	if own, peer := rows[nginxGateRow], rows[nginxEmptyRow]; len(own.cpu) > 0 && len(peer.cpu) > 0 {
		vs = append(vs, verdict{bar: nginxBar, own: own.cpu, peer: peer.cpu, unit: "µs"})
	}
	plain := rows[haproxyPlainRow].cpu
	if own, peer := added(rows[haproxyGateRow].cpu, plain), added(rows[haproxyTrivialRow].cpu, plain); len(own) > 0 && len(peer) > 0 {
		vs = append(vs, verdict{bar: haproxyBar, title: "added", own: own, peer: peer, unit: "µs"})
	}
	if over := added(rows[nginxGateRow].half, rows[nginxPlainRow].half); len(over) > 0 {
		vs = append(vs, verdict{bar: halfBar, title: "added p99 at half load", own: over, unit: "ms"})
	}
	writeVerdicts(b, vs)
	r.writeHalf(b, rows)
}

// writeHalf says what is added to the p99 at half load by who answers nothing, too: the
// same way through nginx, and the same machine.
func (r *report) writeHalf(b *strings.Builder, rows map[string]*proxyRow) {
	plain := rows[nginxPlainRow]
	if len(plain.half) == 0 {
		return
	}
	b.WriteString("\n| added to nginx's own at half load, ms | p99 | p99 of a tenth of a second |\n| --- | --- | --- |\n")
	for _, row := range r.proxied {
		if row.plain == nginxPlainRow && row.name != nginxPlainRow && len(row.half) > 0 {
			fmt.Fprintf(b, "| %s | %s | %s |\n", row.name, spread(added(row.half, plain.half)), spread(added(row.calm, plain.calm)))
		}
	}
}
