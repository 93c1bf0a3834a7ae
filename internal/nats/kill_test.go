package nats

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/sqlite"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
	"github.com/ipwarden/ipwarden/internal/usage/sqlsums"
)

const childEnv = "IPWARDEN_TEST_USAGE_CHILD"

// TestChild is the process that TestKilled kills: a whole node, with its server, its
// ledger, its aggregator and its database.
func TestChild(t *testing.T) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		t.Skip("it is run by TestKilled")
	}
	f, err := os.OpenFile(filepath.Join(dir, "truth"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	// What the process was about to count, and what it has counted: they outlive it as
	// the ledger does.
	truth, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	server, err := Serve(ServerConfig{Dir: filepath.Join(dir, "stream")})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := Connect(Config{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "accounts.db"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, "ledger"), Region: "one", Keys: 64, Clients: 4096, Referers: 64})
	if err != nil {
		t.Fatal(err)
	}
	m, err := usage.New(t.Context(), usage.Config{Ledger: l, Region: "one", Stream: conn.Stream("one"), Store: sqlsums.New(db, ""), Freeze: 5 * time.Millisecond, Commit: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("counting")
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	if os.Getenv(childEnv+"_END") == "" {
		for {
			<-tick.C
			for range 100 {
				id := customer.KeyID(rand.IntN(1000) + 1)
				k := m.Key(id, customer.AccountID(id%7+1))
				binary.LittleEndian.PutUint64(truth, binary.LittleEndian.Uint64(truth)+1)
				m.Record(k, customer.EndpointLookup, customer.Charged, 1, netip.AddrFrom4([4]byte{192, 0, 2, byte(id)}), "a.example")
				binary.LittleEndian.PutUint64(truth[8:], binary.LittleEndian.Uint64(truth[8:])+1)
			}
		}
	}
	// The last one ends what the others began, and says what the books say.
	before, after := binary.LittleEndian.Uint64(truth), binary.LittleEndian.Uint64(truth[8:])
	deadline := time.NewTimer(3 * time.Minute)
	sum := func(from func(context.Context, usage.Query, func(usage.Row, int64) bool) error) (n uint64) {
		err := from(context.Background(), usage.Query{To: 1<<32 - 1}, func(_ usage.Row, c int64) bool { n += uint64(c); return true })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for {
		// In the store and in memory: sums are written when the machine has time for it.
		n, s := sum(m.Rows), m.Stats()
		if s.Unsent == 0 && n >= after && n <= before {
			break
		}
		select {
		case <-tick.C:
			if err := m.Flush(); err != nil {
				t.Fatal(err)
			}
		case <-deadline.C:
			t.Fatalf("known are %d, counted were %d to %d; %+v", n, after, before, s)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if n := sum(sqlsums.New(db, "").Rows); n < after || n > before {
		t.Fatalf("the books say %d, counted were %d to %d", n, after, before)
	} else {
		fmt.Println("exact", n)
	}
	// Nothing comes after it either.
	m2, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, "ledger"), Region: "one"})
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	if err := m2.Freeze(func(uint64) { made++ }); err != nil || made != 0 {
		t.Fatalf("%d batches after everything was frozen, %v", made, err)
	}
}

// A node that is killed at any moment, again and again, has counted every call once.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "truth"), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	child := func(end bool) (*exec.Cmd, *bufio.Scanner) {
		t.Helper()
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.count=1")
		c.Env = append(os.Environ(), childEnv+"="+dir)
		if end {
			c.Env = append(c.Env, childEnv+"_END=1")
		}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c, bufio.NewScanner(out)
	}
	for range 6 {
		c, out := child(false)
		said := ""
		for out.Scan() {
			if said += out.Text() + "\n"; out.Text() == "counting" {
				break
			}
		}
		if !strings.Contains(said, "counting") {
			t.Fatalf("the node does not start: %s", said)
		}
		timer := time.NewTimer(time.Duration(rand.IntN(250)) * time.Millisecond)
		<-timer.C
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait() // it was killed
	}
	c, out := child(true)
	said := ""
	for out.Scan() {
		said += out.Text() + "\n"
	}
	if err := c.Wait(); err != nil || !strings.Contains(said, "exact") {
		t.Fatalf("%v\n%s", err, said)
	}
	t.Log(said)
}
