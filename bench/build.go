package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"go4.org/netipx"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/mmdb"
)

// names of countries, in the records of the MaxMind DB file.
type countryNames map[string]struct{ Name, ContinentCode, Continent string }

func readCountries(name string) (countryNames, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	c := countryNames{}
	return c, json.Unmarshal(text, &c)
}

// epoch is the build time of the files: the same input gives the same bytes.
const epoch = 1_780_000_000

// buildMMDBWriterMain builds the world with mmdbwriter: ranges, countries, output.
func buildMMDBWriterMain(args []string) error {
	if len(args) != 3 {
		return errors.New("want RANGES COUNTRIES OUTPUT")
	}
	names, err := readCountries(args[1])
	if err != nil {
		return err
	}
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "GeoLite2-Country", BuildEpoch: epoch, RecordSize: 28,
		Description: map[string]string{"en": "made for measurements from libloc and tor-geoip, CC BY-SA 4.0"},
		Languages:   []string{"en"}, IncludeReservedNetworks: true, DisableIPv4Aliasing: true,
	})
	if err != nil {
		return err
	}
	records := map[answer]mmdbtype.Map{} // made once for each distinct answer
	err = eachRange(args[0], func(s *span) error {
		r, ok := records[s.answer]
		if !ok {
			a := s.answer
			r = nested(a, names)
			records[a] = r
		}
		return tree.InsertRange(netipx.AddrIPNet(s.from).IP, netipx.AddrIPNet(s.to).IP, r)
	})
	if err != nil {
		return err
	}
	return writeFile(args[2], func(f io.Writer) error { _, err := tree.WriteTo(f); return err })
}

// nested is a record as GeoLite2 has them.
func nested(a answer, names countryNames) mmdbtype.Map {
	m := mmdbtype.Map{}
	if a.Country != "" {
		c := names[a.Country]
		country := mmdbtype.Map{"iso_code": mmdbtype.String(a.Country), "names": mmdbtype.Map{"en": mmdbtype.String(c.Name)}}
		m["country"] = country
		m["registered_country"] = country
		m["continent"] = mmdbtype.Map{"code": mmdbtype.String(c.ContinentCode), "names": mmdbtype.Map{"en": mmdbtype.String(c.Continent)}}
	}
	if a.AS != 0 {
		m["autonomous_system_number"] = mmdbtype.Uint32(a.AS)
	}
	traits := mmdbtype.Map{}
	for _, t := range nestedTraits {
		if a.Traits.Has(t.trait) {
			traits[mmdbtype.String(t.key)] = mmdbtype.Bool(true)
		}
	}
	if len(traits) > 0 {
		m["traits"] = traits
	}
	return m
}

var nestedTraits = []struct {
	trait ipwarden.Traits
	key   string
}{
	{ipwarden.Anycast, "is_anycast"},
	{ipwarden.Satellite, "is_satellite_provider"},
}

// buildMMDBMain builds the same file with package mmdb: ranges, countries, output.
func buildMMDBMain(args []string) error {
	if len(args) != 3 {
		return errors.New("want RANGES COUNTRIES OUTPUT")
	}
	names, err := readCountries(args[1])
	if err != nil {
		return err
	}
	w, err := mmdb.NewWriter(mmdb.Options{
		DatabaseType: "GeoLite2-Country", BuildTime: time.Unix(epoch, 0), IPVersion: 6, Languages: []string{"en"},
		Description: map[string]string{"en": "made for measurements from libloc and tor-geoip, CC BY-SA 4.0"},
	})
	if err != nil {
		return err
	}
	records := map[answer]mmdb.DataRef{}
	err = eachRange(args[0], func(s *span) error {
		ref, ok := records[s.answer]
		if !ok {
			if ref, err = w.Put(plainMap(nested(s.answer, names))); err != nil {
				return err
			}
			records[s.answer] = ref
		}
		return eachPrefix(s.from, s.to, func(p netip.Prefix) error { return w.InsertRef(p, ref) })
	})
	if err != nil {
		return err
	}
	return writeFile(args[2], func(f io.Writer) error { _, err := w.WriteTo(f); return err })
}

func eachPrefix(from, to netip.Addr, f func(netip.Prefix) error) error {
	for _, p := range prefixes(from, to) {
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}

// plainMap turns mmdbwriter's types into package mmdb's.
func plainMap(m mmdbtype.Map) mmdb.Map {
	out := mmdb.Map{}
	for k, v := range m {
		switch v := v.(type) {
		case mmdbtype.Map:
			out[string(k)] = plainMap(v)
		case mmdbtype.String:
			out[string(k)] = string(v)
		case mmdbtype.Uint32:
			out[string(k)] = uint32(v)
		case mmdbtype.Bool:
			out[string(k)] = bool(v)
		}
	}
	return out
}

// buildDatasetMain builds a dataset: the folder of feeds, output, the names of
// feeds; all of the folder when none is named.
func buildDatasetMain(args []string) error {
	if len(args) < 2 {
		return errors.New("want FEEDS OUTPUT [NAME…]")
	}
	return buildDataset(context.Background(), args[0], args[1], args[2:])
}

// names of the rows of builds.
const (
	mmdbwriterRow      = "mmdbwriter, from ready ranges"
	mmdbRow            = "ipwarden mmdb.Writer, the same file"
	worldBuildRow      = "ipwarden, the same world from the raw feeds"
	everythingBuildRow = "ipwarden, every feed of the folder, raw"
)

// A buildRow is what building costs.
type buildRow struct {
	name  string
	cpu   stats // seconds
	peak  stats // MiB
	bytes int64 // of the file
}

// runBuilds builds each in a process of its own, in interleaved rounds.
func runBuilds(ctx context.Context, o *options, w *world, r *report, progress func(string, ...any)) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ipwarden-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	command, err := buildCommand(ctx, dir)
	if err != nil {
		return err
	}
	jobs := []struct {
		name, out string
		args      []string
	}{
		{mmdbwriterRow, w.scratch("mmdbwriter.mmdb"), []string{self, "build-mmdbwriter", w.ranges(), w.countries(), w.scratch("mmdbwriter.mmdb")}},
		{mmdbRow, w.scratch("own.mmdb"), []string{self, "build-mmdb", w.ranges(), w.countries(), w.scratch("own.mmdb")}},
		{worldBuildRow, w.scratch("world.ipw"), append([]string{self, "build-dataset", w.feeds, w.scratch("world.ipw")}, worldFeeds...)},
		{everythingBuildRow, w.scratch("everything.ipw"), []string{command, "data", "build", "--from", w.feeds, "-o", w.scratch("everything.ipw")}},
	}
	rounds := (o.rounds + 1) / 2 // a build takes seconds
	rows := make([]buildRow, len(jobs))
	for i, j := range jobs {
		rows[i].name = j.name
		defer os.Remove(j.out)
	}
	for n := range rounds {
		for i, j := range jobs {
			if !o.chosen(j.name) {
				continue
			}
			progress("build round %d of %d: %s", n+1, rounds, j.name)
			cpu, peak, err := runMeasured(ctx, j.args[0], j.args[1:]...)
			if err != nil {
				return fmt.Errorf("%s: %w", j.name, err)
			}
			rows[i].cpu.add(cpu.Seconds())
			rows[i].peak.add(float64(peak) / (1 << 20))
			if info, err := os.Stat(j.out); err == nil {
				rows[i].bytes = info.Size()
			}
		}
	}
	r.builds = rows
	return nil
}

// runMeasured runs a program in a process of its own and returns its CPU time
// and its largest resident set in bytes.
func runMeasured(ctx context.Context, program string, args ...string) (cpu time.Duration, peak int64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"measure", program}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	_, err = fmt.Sscan(stdout.String(), &cpu, &peak)
	return cpu, peak, err
}

// measureMain runs a program and says what it took: nanoseconds of CPU, user
// and system, and the largest resident set in bytes (getrusage(2)). It stands
// between the two because that peak begins, on Linux, with what the process had
// that the program was forked from, and this one has next to nothing.
func measureMain(args []string) error {
	if len(args) == 0 {
		return errors.New("want PROGRAM ARGS…")
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("this system does not say what a process took")
	}
	_, err := fmt.Println(u.Utime.Nano()+u.Stime.Nano(), int64(u.Maxrss)<<10) // KiB on Linux
	return err
}
