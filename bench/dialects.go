package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A dialectKind is an answer in another vendor's wire format, and our own answer
// that says the same.
type dialectKind struct {
	name, path string
	native     string // path of ours
}

// Paths of our own answers: the whole, and those that say what the small ones of
// the vendors say. Three queries are as many as the server keeps text for.
const (
	wholePath  = "/v1/ip/%s"
	litePath   = wholePath + "?fields=ip,asn.number,asn.name,asn.domain,location.country_code,location.country,location.continent_code,location.continent"
	legacyPath = wholePath + "?fields=ip,location.city,location.region,location.country_code,location.latitude,location.longitude,location.postal,location.time_zone.id,asn,company,security.is_vpn,security.is_proxy,security.is_tor,security.is_relay,security.is_hosting"
	ipapiPath  = wholePath + "?fields=ip,location.country,location.country_code,location.region_code,location.region,location.city,location.postal,location.latitude,location.longitude,location.time_zone.id,asn.name,asn.number,company.name"
)

func dialectKinds() []dialectKind {
	return []dialectKind{
		{"ipdata", "/compat/ipdata/%s", wholePath},
		{"IPinfo, legacy", "/compat/ipinfo/%s/json", legacyPath},
		{"IPinfo, Lite", "/compat/ipinfo/lite/%s", litePath},
		{"MaxMind, insights", "/compat/maxmind/geoip/v2.1/insights/%s", wholePath},
		{"ip-api", "/compat/ip-api/json/%s", ipapiPath},
		{"ipregistry", "/compat/ipregistry/%s", wholePath},
		{"IPASIS", "/compat/ipasis/v1/ip/%s", wholePath},
	}
}

// dialectShare is the most that an answer in a dialect may cost, in ours.
const dialectShare = 1.15

// A dialectRow is one kind of answer at one listener.
type dialectRow struct {
	httpRow
	native *dialectRow // nil for ours
	times  stats       // what it costs in ours, measured the moment before
}

// runDialects measures answers in other vendors' formats beside ours, as runHTTP
// does: of every feed of the folder, so that there is something to say.
func runDialects(ctx context.Context, o *options, w *world, r *report, progress func(string, ...any)) error {
	load, err := newLoad(w)
	if err != nil {
		r.notSpoken = err.Error()
		progress("dialects are left out: %v", err)
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
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	progress("starting ipwarden")
	bin, err := buildCommand(ctx, dir)
	if err != nil {
		return err
	}
	s, err := startServer(ctx, "127.0.0.1:"+ports[0], bin, "serve", "--dataset", w.everything(), "--data-dir", filepath.Join(dir, "data"),
		"--listen", "127.0.0.1:"+ports[0], "--fast-listen", "127.0.0.1:"+ports[1], "--index", "flat")
	if err != nil {
		return err
	}
	defer s.stop()
	fast := *s
	fast.base = "http://127.0.0.1:" + ports[1]
	rows := append(dialectRows("net/http", s), dialectRows("fast listener", &fast)...)
	if err := checkDialects(rows, load.addrs[0].String()); err != nil {
		return err
	}
	seconds := 2
	if o.quick {
		seconds = 1
	}
	// Ours first, so that the text that the server keeps of answers is there.
	for _, row := range rows {
		if _, err := load.run(ctx, dir, &row.httpRow, 1); err != nil {
			return err
		}
	}
	for n := range o.rounds {
		for _, row := range rows {
			if row.native == nil || !o.chosen(row.name) {
				continue
			}
			progress("dialects, round %d of %d: %s", n+1, o.rounds, row.name)
			for _, r := range []*dialectRow{row.native, row} {
				if err := r.measure(ctx, load, dir, seconds); err != nil {
					return err
				}
			}
			own := row.native.cpu
			row.times.add(row.cpu[len(row.cpu)-1] / own[len(own)-1])
		}
	}
	r.dialects = rows
	return nil
}

// dialectRows are ours, each before those that are compared with it.
func dialectRows(listener string, s *server) (rows []*dialectRow) {
	for _, own := range []struct{ name, path string }{
		{"the whole", wholePath},
		{"the fields of IPinfo's legacy", legacyPath},
		{"the fields of IPinfo's Lite", litePath},
		{"the fields of ip-api", ipapiPath},
	} {
		native := &dialectRow{httpRow: httpRow{name: listener + ": ours, " + own.name, path: own.path, server: s}}
		rows = append(rows, native)
		for _, k := range dialectKinds() {
			if k.native == own.path {
				rows = append(rows, &dialectRow{httpRow: httpRow{name: listener + ": " + k.name, path: k.path, server: s}, native: native})
			}
		}
	}
	return rows
}

// checkDialects asks for one answer of each kind, which has to be one.
func checkDialects(rows []*dialectRow, addr string) error {
	client := &http.Client{Timeout: 10 * time.Second}
	for _, row := range rows {
		resp, err := client.Get(row.server.base + strings.ReplaceAll(row.path, "%s", addr))
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !json.Valid(body) || !strings.Contains(string(body), addr) {
			return fmt.Errorf("%s: %s: %.200s (%w)", row.name, resp.Status, body, errors.Join(err, errDialect))
		}
		row.bytes = len(body)
	}
	return nil
}

var errDialect = errors.New("it is a JSON answer about the address")

func (r *report) writeDialects(b *strings.Builder) {
	fmt.Fprintf(b, "\n### Other vendors' formats\n\nCPU µs a request of the server's process, user and system, and × the cost of our own answer that says the same, at the same listener, measured the moment before. The dataset is of every feed of the folder. The server on one core, wrk with %d connections on another; median (least..most).\n\n", connections)
	if r.notSpoken != "" {
		fmt.Fprintf(b, "Missing: %s.\n", r.notSpoken)
		return
	}
	b.WriteString("| answer | CPU µs | body bytes | × ours | × allowed | |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, row := range r.dialects {
		switch {
		case len(row.cpu) == 0:
		case row.native == nil:
			fmt.Fprintf(b, "| %s | %s | %d | | | |\n", row.name, spread(row.cpu), row.bytes)
		default:
			times, word := row.times.median(), "**not met**"
			if times <= dialectShare {
				word = "met"
			}
			fmt.Fprintf(b, "| %s | %s | %d | %.3f (%.3f..%.3f) | %.3f | %s |\n", row.name, spread(row.cpu), row.bytes,
				times, row.times.min(), row.times.max(), dialectShare, word)
		}
	}
}
