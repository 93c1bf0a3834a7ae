package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// fileKinds are the files that are answered about. The goal is rows a second of
// ipwarden's command on two cores.
var fileKinds = []struct {
	name, title string
	flags       []string
	goal        float64
	row         func(w *bufio.Writer, i int, a netip.Addr)
	header      string
}{
	{
		"list", "a list of addresses, two fields",
		[]string{"--format", "list", "--fields", "location.country_code,asn.number"},
		1.5e6,
		func(w *bufio.Writer, _ int, a netip.Addr) { fmt.Fprintln(w, a) }, "",
	},
	{
		"list7", "a list of addresses, the default fields",
		[]string{"--format", "list"},
		1.5e6,
		func(w *bufio.Writer, _ int, a netip.Addr) { fmt.Fprintln(w, a) }, "",
	},
	{
		"log", "a combined log to JSON lines",
		[]string{"--format", "log", "--to", "jsonl", "--fields", "location.country_code,asn.number"},
		300e3,
		func(w *bufio.Writer, i int, a netip.Addr) {
			fmt.Fprintf(w, `%s - - [21/Nov/2026:07:40:00 +0000] "GET /articles/%d HTTP/1.1" 200 5316 "https://example.com/" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"`+"\n", a, i)
		}, "",
	},
	{
		"csv", "CSV, two columns added",
		[]string{"--format", "csv", "--fields", "location.country_code,asn.number"},
		600e3,
		func(w *bufio.Writer, i int, a netip.Addr) {
			fmt.Fprintf(w, "%d,%s,12.50,2026-11-21T07:40:00Z\n", i, a)
		}, "n,ip,total,at\n",
	},
}

// filePeakGoal is the most that the command may have in memory, whatever is read.
const filePeakGoal = 250 // MiB

// fileRow is one kind of file and what was measured of it, in rows a second.
type fileRow struct {
	title               string
	goal                float64
	own, loop           stats
	mmdblookup          stats // of a list alone
	ownCPU, loopCPU     stats // µs a row
	peakShort, peakLong int64 // MiB, of ipwarden's command
	loopPeak            int64
	short, long         int
}

// runFiles answers about files with ipwarden's command and with what one would
// script without it: a loop in Go over maxminddb-golang, and mmdblookup in a shell.
func runFiles(ctx context.Context, o *options, w *world, r *report, progress func(string, ...any)) error {
	dir, err := os.MkdirTemp("", "ipwarden-bench-files-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := buildCommand(ctx, dir)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	addrs := randomFileAddrs()
	short, long := 1_000_000, 10_000_000
	if o.quick {
		short, long = 100_000, 1_000_000
	}
	own := func(flags []string) []string {
		return append([]string{bin, "enrich", "--dataset", w.dataset(), "--data-dir", filepath.Join(dir, "data")}, flags...)
	}
	for _, k := range fileKinds {
		if !o.chosen(k.name) {
			continue
		}
		progress("files: %s", k.title)
		row := &fileRow{title: k.title, goal: k.goal, short: short, long: long}
		r.files = append(r.files, row)
		name := filepath.Join(dir, k.name)
		if err := writeFile(name, func(f io.Writer) error { return writeRows(f, k.header, k.row, addrs, short) }); err != nil {
			return err
		}
		for range o.rounds {
			m, err := measureFile(ctx, own(k.flags), name)
			if err != nil {
				return err
			}
			row.own.add(float64(short) / m.wall.Seconds())
			row.ownCPU.add(float64(m.cpu.Microseconds()) / float64(short))
			row.peakShort = max(row.peakShort, m.peak>>20)
			if m, err = measureFile(ctx, []string{self, "file-loop", w.mmdb(), strings.TrimRight(k.name, "7")}, name); err != nil {
				return err
			}
			row.loop.add(float64(short) / m.wall.Seconds())
			row.loopCPU.add(float64(m.cpu.Microseconds()) / float64(short))
			row.loopPeak = max(row.loopPeak, m.peak>>20)
			if k.name == "list" {
				const few = 200
				rate, err := mmdblookupRate(ctx, w.mmdb(), addrs[:few])
				if err != nil {
					progress("mmdblookup is left out: %v", err)
				} else {
					row.mmdblookup.add(rate)
				}
			}
		}
		m, err := measurePipe(ctx, own(k.flags), func(f io.Writer) error { return writeRows(f, k.header, k.row, addrs, long) })
		if err != nil {
			return err
		}
		row.peakLong = m.peak >> 20
		os.Remove(name)
	}
	return nil
}

func randomFileAddrs() []netip.Addr {
	rnd := rand.New(rand.NewPCG(1, 2))
	addrs := make([]netip.Addr, 1<<18)
	for i := range addrs {
		addrs[i] = netip.AddrFrom4([4]byte{byte(1 + rnd.IntN(223)), byte(rnd.IntN(256)), byte(rnd.IntN(256)), byte(rnd.IntN(256))})
	}
	return addrs
}

func writeRows(f io.Writer, header string, row func(*bufio.Writer, int, netip.Addr), addrs []netip.Addr, n int) error {
	w := bufio.NewWriterSize(f, 1<<20)
	w.WriteString(header)
	for i := range n {
		row(w, i, addrs[i%len(addrs)])
	}
	return w.Flush()
}

// fileCost is what one run took.
type fileCost struct {
	wall, cpu time.Duration
	peak      int64 // bytes
}

func measureFile(ctx context.Context, args []string, name string) (fileCost, error) {
	f, err := os.Open(name)
	if err != nil {
		return fileCost{}, err
	}
	defer f.Close()
	return measureCommand(ctx, args, f)
}

func measurePipe(ctx context.Context, args []string, write func(io.Writer) error) (fileCost, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return fileCost{}, err
	}
	defer r.Close()
	wrote := make(chan error, 1)
	go func() {
		err := write(w)
		wrote <- errors.Join(err, w.Close())
	}()
	c, err := measureCommand(ctx, args, r)
	r.Close() // so that a writer whose reader has failed ends too
	return c, errors.Join(err, <-wrote)
}

func measureCommand(ctx context.Context, args []string, in *os.File) (fileCost, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var said strings.Builder
	cmd.Stdin, cmd.Stderr = in, &said
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return fileCost{}, err
	}
	// The peak that the kernel keeps of a child begins with that of this process, so
	// the child's own is read while it is there.
	ended, peak := make(chan struct{}), make(chan int64)
	go func() {
		ticks := time.NewTicker(10 * time.Millisecond)
		defer ticks.Stop()
		most := int64(0)
		for {
			most = max(most, peakOf(cmd.Process.Pid))
			select {
			case <-ended:
				peak <- most
				return
			case <-ticks.C:
			}
		}
	}()
	err := cmd.Wait()
	wall := time.Since(begun)
	close(ended)
	c := fileCost{wall: wall, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak: <-peak}
	if err != nil {
		return fileCost{}, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	return c, nil
}

// peakOf is the most memory that a process had, 0 where that cannot be told.
func peakOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0
	}
	return kib << 10
}

// mmdblookupRate is how many addresses a second a loop of a shell asks.
func mmdblookupRate(ctx context.Context, mmdb string, addrs []netip.Addr) (float64, error) {
	if _, err := exec.LookPath("mmdblookup"); err != nil {
		return 0, err
	}
	var in strings.Builder
	for _, a := range addrs {
		fmt.Fprintln(&in, a)
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", `while read -r ip; do mmdblookup --file "$1" --ip "$ip" country iso_code || :; done`, "sh", mmdb)
	cmd.Stdin = strings.NewReader(in.String())
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, err
	}
	return float64(len(addrs)) / time.Since(begun).Seconds(), nil
}

// fileLoopMain is the loop that one would write with maxminddb-golang: MMDB, and
// list, csv or log.
func fileLoopMain(args []string) error {
	if len(args) != 2 {
		return errors.New("want MMDB FORMAT")
	}
	db, err := maxminddb.Open(args[0])
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	ask := func(s string) (v three) {
		if a, err := netip.ParseAddr(s); err == nil {
			if err := db.Lookup(a).Decode(&v); err != nil {
				return three{}
			}
		}
		return v
	}
	switch args[1] {
	case "list":
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			v := ask(lines.Text())
			fmt.Fprintf(out, "%s\t%s\t%d\n", lines.Text(), v.Country.ISOCode, v.AS)
		}
		err = lines.Err()
	case "csv":
		in, w := csv.NewReader(bufio.NewReaderSize(os.Stdin, 64<<10)), csv.NewWriter(out)
		for first := true; ; first = false {
			row, readErr := in.Read()
			if readErr != nil {
				if !errors.Is(readErr, io.EOF) {
					err = readErr
				}
				break
			}
			if first {
				row = append(row, "country", "asn")
			} else {
				v := ask(row[1])
				row = append(row, v.Country.ISOCode, fmt.Sprint(v.AS))
			}
			if err = w.Write(row); err != nil {
				break
			}
		}
		w.Flush()
	case "log":
		combined := regexp.MustCompile(`^(\S+) \S+ (\S+) \[([^\]]+)\] "(\S+) (\S+) (\S+)" (\d+) (\S+) "([^"]*)" "([^"]*)"`)
		lines, enc := bufio.NewScanner(os.Stdin), json.NewEncoder(out)
		for lines.Scan() {
			m := combined.FindStringSubmatch(lines.Text())
			if m == nil {
				continue
			}
			v := ask(m[1])
			err = errors.Join(err, enc.Encode(struct {
				IP       string `json:"ip"`
				User     string `json:"user"`
				Time     string `json:"time"`
				Method   string `json:"method"`
				Path     string `json:"path"`
				Protocol string `json:"protocol"`
				Status   string `json:"status"`
				Bytes    string `json:"bytes"`
				Referer  string `json:"referer"`
				Agent    string `json:"user_agent"`
				Country  string `json:"country"`
				AS       uint32 `json:"asn"`
			}{m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], m[9], m[10], v.Country.ISOCode, v.AS}))
		}
		err = errors.Join(err, lines.Err())
	default:
		return fmt.Errorf("there is no format %q", args[1])
	}
	return errors.Join(err, out.Flush())
}

func (r *report) writeFiles(b *strings.Builder) {
	b.WriteString("\n### Files\n\n`ipwarden enrich` beside a loop in Go over maxminddb-golang, and mmdblookup in a loop of a shell; rows a second by the clock with all processors, and µs of CPU a row. " +
		"Both write to nowhere.\n\n" +
		"| file | ipwarden, rows/s | at least | | µs a row | rows/s of all processors at that cost | Go loop, rows/s | µs a row | × its rate | mmdblookup, rows/s |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, f := range r.files {
		met := "met"
		if f.own.median() < f.goal {
			met = "**not met**"
		}
		asked := ""
		if len(f.mmdblookup) > 0 {
			asked = thousands(int(f.mmdblookup.median()))
		}
		fmt.Fprintf(b, "| %s | %s (%s..%s) | %s | %s | %.2f | %s | %s | %.2f | %.1f | %s |\n", f.title, thousands(int(f.own.median())), thousands(int(f.own.min())), thousands(int(f.own.max())),
			thousands(int(f.goal)), met, f.ownCPU.median(), thousands(int(float64(runtime.GOMAXPROCS(0))*1e6/f.ownCPU.median())), thousands(int(f.loop.median())), f.loopCPU.median(), f.own.ratio(f.loop).median(), asked)
	}
	fmt.Fprintf(b, "\nResident memory at most, in MiB; ipwarden's may be %d.\n\n| file | rows | ipwarden | rows | ipwarden | | Go loop |\n| --- | --- | --- | --- | --- | --- | --- |\n", filePeakGoal)
	for _, f := range r.files {
		met := "met"
		if max(f.peakShort, f.peakLong) > filePeakGoal {
			met = "**not met**"
		}
		fmt.Fprintf(b, "| %s | %s | %d | %s | %d | %s | %d |\n", f.title, thousands(f.short), f.peakShort, thousands(f.long), f.peakLong, met, f.loopPeak)
	}
}
