package main

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/sqlsums"
)

func usageEnv(now time.Time) (*env, *bytes.Buffer, *bytes.Buffer) {
	var out, err bytes.Buffer
	return &env{stdin: strings.NewReader(""), stdout: &out, stderr: &err, getenv: func(string) string { return "" }, now: func() time.Time { return now }}, &out, &err
}

func TestUsageCommand(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)
	do := func(want int, args ...string) (string, string) {
		t.Helper()
		e, out, stderr := usageEnv(now)
		if got := run(append(args, "--data-dir", dir), e); got != want {
			t.Fatalf("%v: status %d, want %d\n%s%s", args, got, want, out, stderr)
		}
		return out.String(), stderr.String()
	}
	do(exitOK, "account", "add", "ada@example.com")
	e, _, _ := usageEnv(now)
	a, err := (&accountsFlags{dirFlag: dirFlag{DataDir: dir}}).open(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	acc, err := a.Find(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	hour := customer.HourOf(now)
	err = sqlsums.New(a.db, usageBooks).Commit(t.Context(), []usage.Sum{
		{Row: usage.Row{Account: acc.ID, Key: 2, Hour: hour, Region: "eu", Endpoint: customer.EndpointLookup}, N: 5},
		{Row: usage.Row{Account: acc.ID, Key: 2, Hour: hour - 24, Region: "us", Endpoint: customer.EndpointBulk}, N: 70},
		{Row: usage.Row{Account: acc.ID, Key: 3, Hour: hour, Region: "us", Endpoint: customer.EndpointBulk, Class: customer.Limited}, N: 9},
		{Row: usage.Row{Account: 99, Key: 4, Hour: hour, Region: "us"}, N: 1000},
		{Row: usage.Row{Account: acc.ID, Key: 2, Hour: hour - 24*40, Region: "eu"}, N: 3},
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"ada@example.com", "--csv"}, "day,charged,tested,rejected,limited,failed\n2026-11-20,70,0,0,0,0\n2026-11-21,5,0,0,9,0\n"},
		{[]string{"ada@example.com", "--csv", "--by", "month,region", "--from", "2026-10"}, "month,region,charged,tested,rejected,limited,failed\n2026-10,eu,3,0,0,0,0\n2026-11,eu,5,0,0,0,0\n2026-11,us,70,0,0,9,0\n"},
		{[]string{"--csv", "--by", "endpoint", "--from", "2026-11-21"}, "endpoint,charged,tested,rejected,limited,failed\nbulk,0,0,0,9,0\nlookup,1005,0,0,0,0\n"},
		{[]string{"ada@example.com", "--json", "--by", "hour", "--from", "2026-11-21"}, `{"charged":5,"failed":0,"hour":"2026-11-21T09:00:00Z","limited":9,"rejected":0,"tested":0}` + "\n"},
	} {
		if out, _ := do(exitOK, append([]string{"usage"}, c.args...)...); out != c.want {
			t.Errorf("usage %v:\n%swant:\n%s", c.args, out, c.want)
		}
	}
	if out, _ := do(exitOK, "usage", "ada@example.com"); !strings.Contains(out, "2026-11-20") {
		t.Errorf("usage: %s", out)
	}
	_, stderr := do(exitUsage, "usage", "--by", "colour", "--from", "noon", "--csv", "--json")
	for _, want := range []string{"colour", "noon", "two formats"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("of all mistakes at once %q is missing: %s", want, stderr)
		}
	}
}

func TestBenchQuota(t *testing.T) {
	e, out, stderr := usageEnv(time.Now())
	e.now = time.Now
	if got := run([]string{"bench", "quota", "--regions", "2", "--quota", "300", "--rate", "100", "--probes", "2"}, e); got != exitOK || !strings.Contains(out.String(), "exact in all 2 regions") {
		// A machine that is very busy may exceed a bound that is made of times; the totals
		// are exact however slow it is.
		if !strings.Contains(out.String(), "exact in all 2 regions") {
			t.Errorf("status %d\n%s%s", got, out, stderr)
		}
	}
}

// Two regions as the flags of serve make them: the servers in the processes, passwords,
// one reading the other.
func TestUsageOfTwoRegions(t *testing.T) {
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addrs := []string{proxytest.FreeAddr(t), proxytest.FreeAddr(t)}
	names := []string{"eu", "us"}
	var runs [2]*counting
	for i := range runs {
		e, _, _ := usageEnv(time.Now())
		e.now = time.Now
		where := accountsFlags{dirFlag: dirFlag{DataDir: filepath.Join(dir, names[i])}}
		a, err := where.open(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		f := usageFlags{
			Region: names[i], UsageListen: addrs[i], UsageRegion: []string{names[1-i] + "=nats://" + addrs[1-i]},
			UsageUser: "ipwarden", UsagePasswordFile: password, UsageClients: 1024,
		}
		if runs[i], err = f.open(t.Context(), a, e, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		defer runs[i].Close()
	}
	subject := usage.Subject{Account: 7}
	for i, r := range runs {
		r.Record(r.Key(customer.KeyID(i+1), 7), customer.EndpointLookup, customer.Charged, uint32(i+1), netip.MustParseAddr("192.0.2.1"), "a.example")
	}
	deadline := time.NewTimer(3 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, r := range runs {
		for r.Standing(subject).Quota().Month.Used != 3 {
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Fatalf("%+v", r.Stats())
			}
		}
	}
	// By client and by page they are in each region's database, of both regions.
	for _, name := range names {
		for by, want := range map[string]string{"client": "client,calls\n192.0.2.1,3\n", "referer": "referer,calls\na.example,3\n"} {
			for {
				e, out, stderr := usageEnv(time.Now())
				if got := run([]string{"usage", "--by", by, "--csv", "--data-dir", filepath.Join(dir, name)}, e); got != exitOK {
					t.Fatalf("status %d\n%s", got, stderr)
				}
				if out.String() == want {
					break
				}
				select {
				case <-tick.C:
				case <-deadline.C:
					t.Fatalf("by %s in %s:\n%swant\n%s", by, name, out, want)
				}
			}
		}
	}
}

func TestUsageByClientRefuses(t *testing.T) {
	e, _, stderr := usageEnv(time.Now())
	if got := run([]string{"usage", "ada@example.com", "--by", "client,day", "--top=-1", "--csv", "--json", "--data-dir", t.TempDir()}, e); got != exitUsage {
		t.Fatalf("status %d\n%s", got, stderr)
	}
	for _, want := range []string{"stand alone", "leave out the account", "two formats", "--top is -1"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("of all mistakes at once %q is missing: %s", want, stderr)
		}
	}
}

func TestUsageFlags(t *testing.T) {
	f := usageFlags{Region: "eu", UsageListen: "127.0.0.1:4222", UsageStream: "nats://127.0.0.1:1", UsageRegion: []string{"us", "eu=nats://u:geheim@h", "x=nats://a:geheim@b"}, UsageTLSKey: "k"}
	_, err := f.check()
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, want := range []string{"such as us-east-1", "there twice", "--usage-password-file", "say one", "go together"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("of all mistakes at once %q is missing: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "geheim") {
		t.Error("a password is told")
	}
}
