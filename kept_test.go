package ipwarden_test

import (
	"bytes"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/ipwarden/ipwarden"
)

// shelf is a Backing of many answers, which differ in their city.
type shelf struct {
	ipwarden.Backing // of what is known of none
	name             string
	answers, long    int
	read             atomic.Int64 // how often a city was
}

func newShelf(name string, answers, long int) (*shelf, *ipwarden.Store) {
	none, _ := ipwarden.NewRecord(netip.Addr{}, ipwarden.Full{}).Answer()
	s := &shelf{Backing: none, name: name, answers: answers, long: long}
	return s, ipwarden.NewStore(s, make([]ipwarden.Hot, answers))
}

func (s *shelf) Answers() int { return s.answers }

func (s *shelf) Location(id uint32) ipwarden.Location {
	s.read.Add(1)
	return ipwarden.Location{City: s.name + strconv.Itoa(int(id)) + strings.Repeat("x", s.long)}
}

var cityView = ipwarden.View{Fields: ipwarden.FieldsOf(ipwarden.FieldIP, ipwarden.FieldCity), Now: noon}

// written checks that a View with what is kept writes what one without does.
func written(t *testing.T, kept *ipwarden.Kept, r ipwarden.Record) {
	t.Helper()
	v := cityView
	want := v.AppendJSON(nil, r)
	v.Kept = kept
	if got := v.AppendJSON(nil, r); !bytes.Equal(got, want) {
		t.Fatalf("got %.200s\nwant %.200s", got, want)
	}
	if got := v.AppendMembersOf([]byte("{"), r, r.Addr().String()); string(got[2:])+"}" != string(want[1:]) {
		t.Fatalf("with the text of the address: got %.200s\nwant %.200s", got, want)
	}
}

// How often an answer is read in written, when it is kept and when not.
const (
	readWhenKept    = 1
	readWhenNotKept = 3
	readWhenTooLong = 5 // each time it is tried
)

// Half of the room belongs to the answers of most addresses, however many others
// were asked for before.
func TestKeptIsBounded(t *testing.T) {
	for _, long := range []int{0, 3000, 9000} {
		s, store := newShelf("a", 70_000, long)
		kept := new(ipwarden.Kept)
		reads := func(id uint32) int64 {
			before := s.read.Load()
			written(t, kept, store.Record4(0x01020304, id))
			return s.read.Load() - before
		}
		for id := uint32(s.answers) - 1; id >= 16_384; id -= 8 {
			reads(id)
		}
		again := reads(69_999) // beyond those that are ever kept
		if again != readWhenNotKept {
			t.Errorf("%d bytes: the rarest answer was read %d times", long, again)
		}
		if again = reads(16_384 + 7); long == 0 && again != readWhenKept || long == 3000 && again != readWhenNotKept {
			t.Errorf("%d bytes: a rare answer was read %d times", long, again)
		}
		reads(0)
		if again = reads(0); long < 9000 && again != readWhenKept || long == 9000 && again != readWhenTooLong {
			t.Errorf("%d bytes: the commonest answer was read %d times", long, again)
		}
		if long == 9000 {
			continue
		}
		for id := range uint32(16_384) { // fills it to the end
			written(t, kept, store.Record4(0x01020304, id))
		}
	}
}

// What is left of a replaced dataset, such as the end of a long stream, neither
// gets the present one's text nor drives it out.
func TestKeptOfTwoStores(t *testing.T) {
	present, store := newShelf("present", 10, 5)
	_, old := newShelf("old", 10, 5)
	kept := new(ipwarden.Kept)
	written(t, kept, store.Record4(1, 3))
	before := present.read.Load()
	for range 50 {
		written(t, kept, old.Record4(1, 3))
		written(t, kept, store.Record4(1, 3))
	}
	if n := present.read.Load() - before; n != 50*readWhenKept {
		t.Errorf("the present answer was read %d times", n)
	}
	next, store := newShelf("next", 10, 5) // a swap: it is all that comes from now on
	for range 1000 {
		written(t, kept, store.Record4(1, 3))
	}
	before = next.read.Load()
	written(t, kept, store.Record4(1, 3))
	if n := next.read.Load() - before; n != readWhenKept {
		t.Errorf("after a swap the next answer was read %d times", n)
	}
}

// A Kept does not keep the dataset that its text came from.
func TestKeptLetsGo(t *testing.T) {
	kept := new(ipwarden.Kept)
	gone := func() weak.Pointer[shelf] {
		s, store := newShelf("a", 10, 5)
		written(t, kept, store.Record4(1, 3))
		return weak.Make(s)
	}()
	for range 10 {
		runtime.GC()
		if gone.Value() == nil {
			runtime.KeepAlive(kept)
			return
		}
	}
	t.Error("the dataset is still there")
}

func TestKeptByManyAtOnce(t *testing.T) {
	s, store := newShelf("a", 5000, 100)
	_, other := newShelf("b", 5000, 100)
	kept := new(ipwarden.Kept)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20_000 {
				from := store
				if g == 3 && i%2 == 0 {
					from = other
				}
				v := cityView
				v.Kept = kept
				r := from.Record4(uint32(i), uint32(i*7%s.answers))
				want := cityView.AppendJSON(nil, r)
				if got := v.AppendJSON(nil, r); !bytes.Equal(got, want) {
					t.Errorf("got %s\nwant %s", got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Text that changes with time is written anew; what an hour ago began, does not
// bring the old text back.
func TestKeptInTime(t *testing.T) {
	_, store := newShelf("a", 10, 5)
	r, kept := store.Record4(1, 2), new(ipwarden.Kept)
	scores := func(_ ipwarden.Record, now time.Time) ipwarden.Scores {
		return ipwarden.Scores{VPN: uint8(now.Unix() / 3600 % 100)}
	}
	for _, after := range []time.Duration{0, time.Minute, time.Hour, time.Minute, 3 * time.Hour, 2 * time.Hour} {
		v := ipwarden.View{Fields: ipwarden.FieldsOf(ipwarden.FieldScoreVPN), Now: noon.Add(after), Scores: scores}
		want := string(v.AppendJSON(nil, r))
		v.Kept = kept
		if got := string(v.AppendJSON(nil, r)); got != want {
			t.Errorf("after %v: got %s\nwant %s", after, got, want)
		}
	}
}
