package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// load makes requests with wrk: each asks for the next of a list of addresses.
type load struct{ addrs []netip.Addr }

// loadAddrs is how many addresses the requests go through: enough that nobody
// answers from a cache of requests, few enough for wrk's Lua.
const loadAddrs = 20_000

func newLoad(w *world) (*load, error) {
	for _, program := range []string{"wrk", "taskset"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, errNoWrk
		}
	}
	spans, err := readRanges(w.ranges())
	if err != nil {
		return nil, err
	}
	list, err := readAddresses(w.addresses(random4))
	if err != nil {
		return nil, err
	}
	l := &load{}
	for _, a := range list {
		// What is unknown is written in different ways, and so left out here.
		if s := answerAt(spans, a); s.Country != "" && s.AS != 0 && len(l.addrs) < loadAddrs {
			l.addrs = append(l.addrs, a)
		}
	}
	if len(l.addrs) < loadAddrs {
		return nil, errors.New("the world has too few addresses of which both country and AS are known")
	}
	return l, nil
}

// writeScripts writes the Lua scripts: one that asks for an address, one that
// posts a hundred, and one that asks for a page as a browser at an address, which
// the proxies take from X-Client. Requests are made ready before the first is sent.
func (l *load) writeScripts(dir string) error {
	var b strings.Builder
	for _, a := range l.addrs {
		b.WriteString(a.String() + "\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "addresses"), []byte(b.String()), 0o644); err != nil {
		return err
	}
	common := fmt.Sprintf(`
local addrs = {}
for a in io.lines(%q) do addrs[#addrs+1] = a end
local ready, n = {}, 0
function request()
	n = n %% #ready + 1
	return ready[n]
end
function done(summary, latency)
	local e = summary.errors
	io.write(string.format('\nRESULT {"requests":%%d,"took":%%d,"p99":%%d,"bad":%%d}\n', summary.requests, summary.duration,
		latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`, filepath.Join(dir, "addresses"))
	single := common + `
function init(args)
	for _, a in ipairs(addrs) do ready[#ready+1] = wrk.format("GET", (args[1]:gsub("%%s", a))) end
end
`
	bulk := common + fmt.Sprintf(`
function init(args)
	for i = 1, #addrs, %[1]d do
		local body = '["' .. table.concat(addrs, '","', i, i + %[1]d - 1) .. '"]'
		ready[#ready+1] = wrk.format("POST", args[1], {["Content-Type"]="application/json", ["Host"]="localhost"}, body)
	end
end
`, bulkSize)
	browse := common + fmt.Sprintf(`
function init(args)
	local h = {}
%s	for _, a in ipairs(addrs) do
		h["X-Client"] = a
		ready[#ready+1] = wrk.format("GET", args[1], h)
	end
end
`, luaFields())
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "gate.lua"), []byte(browse), 0o644),
		os.WriteFile(filepath.Join(dir, "single.lua"), []byte(single), 0o644),
		os.WriteFile(filepath.Join(dir, "bulk.lua"), []byte(bulk), 0o644),
	)
}

// luaFields are the header lines of a browser as assignments in Lua.
func luaFields() string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "\th[%q] = %q\n", f.name, f.value)
	}
	return b.String()
}

// loaded is what a run of wrk did.
type loaded struct {
	requests  int64
	took, p99 time.Duration
}

// run loads the server of a row for some seconds. An answer that is not a 2xx
// or 3xx fails it: a refusal is cheaper than an answer.
func (l *load) run(ctx context.Context, dir string, row *httpRow, seconds int) (out loaded, err error) {
	script := "single.lua"
	if row.bulk {
		script = "bulk.lua"
	}
	return l.wrk(ctx, dir, row.name, row.server.base, script, connections, seconds, row.path)
}

// wrk loads a server with one of the scripts in dir. Failures name the row.
func (l *load) wrk(ctx context.Context, dir, name, base, script string, conns, seconds int, args ...string) (out loaded, err error) {
	args = append([]string{
		"-c", loadCore, "wrk", "-t1", fmt.Sprintf("-c%d", conns), fmt.Sprintf("-d%ds", seconds),
		"-s", filepath.Join(dir, script), base, "--",
	}, args...)
	text, err := exec.CommandContext(ctx, "taskset", args...).CombinedOutput()
	if err != nil {
		return out, fmt.Errorf("wrk against %s: %w: %s", name, err, text)
	}
	return parseWrk(string(text), name)
}

// parseWrk reads the line that the scripts end with.
func parseWrk(text, name string) (out loaded, err error) {
	_, line, ok := strings.Cut(text, "\nRESULT ")
	var r struct{ Requests, Took, P99, Bad int64 } // microseconds
	if !ok || json.Unmarshal([]byte(line), &r) != nil {
		return out, fmt.Errorf("wrk against %s said no result: %s", name, text)
	}
	if r.Requests == 0 || r.Bad > 0 {
		return out, fmt.Errorf("wrk against %s: %d of %d requests failed", name, r.Bad, r.Requests)
	}
	return loaded{r.Requests, time.Duration(r.Took) * time.Microsecond, time.Duration(r.P99) * time.Microsecond}, nil
}
