package ledger

import (
	"bufio"
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
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/customer"
)

const (
	childEnv    = "IPWARDEN_TEST_LEDGER_CHILD"
	killWorkers = 2
	killKeys    = 600 // in tables that begin with 64
	killHosts   = 40
)

// truths are what each worker was about to count of each key, and what it has counted:
// in a file that outlives who writes it, as the ledger does.
type truths [killWorkers][killKeys]struct{ before, after uint64 }

func mapTruths(t *testing.T, dir string) *truths {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "truth"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := int(unsafe.Sizeof(truths{}))
	if err := f.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(b) })
	return (*truths)(unsafe.Pointer(unsafe.SliceData(b)))
}

func killClient(key int) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, byte(key >> 8), byte(key)})
}
func killHost(key int) string { return fmt.Sprintf("shop-%d.example", key%killHosts) }

// TestKillChild is the process that TestKilled kills: it counts as fast as it can, and
// freezes all the while.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		t.Skip("it is run by TestKilled")
	}
	truth, l := mapTruths(t, dir), small(t, filepath.Join(dir, "ledger"), time.Now)
	var hosts [killHosts]string
	for i := range hosts {
		hosts[i] = killHost(i)
	}
	for w := range killWorkers {
		go func() {
			keys := make([]*Key, killKeys)
			for i := range keys {
				keys[i] = l.Key(customer.KeyID(i+1), customer.AccountID(i%7+1))
			}
			for {
				i := rand.IntN(killKeys)
				mine := &truth[w][i]
				mine.before++
				if i%2 == 0 {
					l.CountCall(keys[i], customer.EndpointLookup, customer.Charged, 1, killClient(i), hosts[i%killHosts])
				} else {
					var x Expected
					l.Expect(&x, keys[i], customer.EndpointLookup, customer.Charged, killClient(i), hosts[i%killHosts])
					l.CountExpected(keys[i], customer.EndpointLookup, customer.Charged, 1, &x)
				}
				mine.after++
			}
		}()
	}
	fmt.Println("counting")
	for {
		if err := l.Freeze(nil); err != nil {
			t.Fatal(err)
		}
	}
}

// A process that counts and freezes as fast as it can, and is killed at any moment,
// again and again, has counted each call once: by its key, its client and its page.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	truth := mapTruths(t, dir)
	for range 6 {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillChild$", "-test.count=1")
		c.Env, c.Stderr = append(os.Environ(), childEnv+"="+dir), os.Stderr
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		said := ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if said += lines.Text() + "\n"; lines.Text() == "counting" {
				break
			}
		}
		if !strings.Contains(said, "counting") {
			t.Fatalf("it does not begin to count: %s", said)
		}
		<-time.NewTimer(time.Duration(rand.IntN(100_000)) * time.Microsecond).C
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait() // it was killed
	}
	l := small(t, filepath.Join(dir, "ledger"), time.Now)
	defer l.Close()
	if err := l.Freeze(nil); err != nil {
		t.Fatal(err)
	}
	var keys, clients [killKeys]uint64
	hosts := map[string]uint64{}
	waiting, err := l.Waiting()
	if err != nil {
		t.Fatal(err)
	}
	for i, sequence := range waiting {
		if sequence != uint64(i)+1 {
			t.Fatalf("batch %d is the %d. of all", sequence, i+1)
		}
		data, err := l.Frozen(sequence)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseBatch(data)
		if err != nil {
			t.Fatal(err)
		}
		b.Each(Visitor{
			Key:     func(k *KeyCounts) { keys[k.Key-1] += k.Counts[customer.Charged] },
			Client:  func(_, client, n uint64) { clients[client&0xffff] += n },
			Referer: func(_ uint64, host []byte, n uint64) { hosts[string(host)] += n },
		})
	}
	var most, least, total uint64
	mostOf, leastOf := map[string]uint64{}, map[string]uint64{}
	for i := range killKeys {
		var before, after uint64
		for w := range truth {
			before += truth[w][i].before
			after += truth[w][i].after
		}
		for what, n := range map[string]uint64{"key": keys[i], "client": clients[i]} {
			if n < after || n > before {
				t.Errorf("%s %d: the batches say %d, counted were %d to %d", what, i+1, n, after, before)
			}
		}
		mostOf[killHost(i)] += before
		leastOf[killHost(i)] += after
		most, least, total = most+before, least+after, total+keys[i]
	}
	for host, n := range hosts {
		if n < leastOf[host] || n > mostOf[host] {
			t.Errorf("%s: the batches say %d, counted were %d to %d", host, n, leastOf[host], mostOf[host])
		}
	}
	if len(hosts) != killHosts || l.Stats().Keys != killKeys || most-least > 6*killWorkers {
		t.Errorf("%d pages and %d keys were counted; %d calls were begun and not ended", len(hosts), l.Stats().Keys, most-least)
	}
	t.Logf("%d calls in %d batches, %d to %d counted", total, len(waiting), least, most)
}
