// Package ban shuts networks out for a while: what a log watcher, an application
// or a person has seen do harm, while the gate runs.
//
// The call most people want:
//
//	bans, err := ban.New(ctx, ban.Config{File: "/var/lib/ipwarden/bans.json"})
//	…
//	defer bans.Close()
//	network, err := ban.ParseNetwork("203.0.113.7")
//	_, err = bans.Add(ban.Ban{Network: network, Action: ipwarden.Block, Until: time.Now().Add(time.Hour)})
//
// A [Table] is gate.Bans: it is asked on each request, without a lock and without
// an allocation, and an empty one costs a load. It is bounded: when it is full the
// ban that ends first goes. It refuses networks so wide that a slip would shut out
// the world, and bans without an end: those belong into a list of the policy.
package ban

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"

	"github.com/ipwarden/ipwarden/policy"
)

// Bounds of a Table and its bans.
const (
	// DefaultMost is how many bans a Table has, some 500 bytes each.
	DefaultMost = 65536
	maxMost     = 1 << 20
	// MaxReason is how long a reason may be, in bytes.
	MaxReason = 200
	// Shortest and Longest are how long a ban may be.
	Shortest = policy.MinBan
	Longest  = policy.MaxBan
	// Widest4 and Widest6 are the shortest prefixes that may be banned.
	Widest4 = 8
	Widest6 = 19
)

// A Ban is a network that is shut out until some time.
type Ban = policy.Ban

// Config says where bans are kept and with whom they are shared. The zero value
// is bans of this process alone.
type Config struct {
	// File is where bans are kept for the next start; its folder is there already.
	// Default: nowhere.
	File string
	// Store shares bans with other nodes. Default: with nobody.
	Store Store
	// Most is how many bans there may be. Default: DefaultMost.
	Most int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Log is told when the file or the store fails, once, and when it is back.
	// Default: slog.Default.
	Log *slog.Logger
}

// A Table holds the bans that run. It is safe for concurrent use; Close ends it.
type Table struct {
	cfg  Config
	live atomic.Pointer[bart.Table[*Ban]] // nil when there is none

	mu      sync.Mutex // guards what is below
	entries map[netip.Prefix]*entry
	ends    heap // the one that ends first is first
	over    int  // those that limits made, and that run or were lifted
	dirty   int  // entries of which the store was not told
	unsaved bool // the file is not what entries are
	stats   Stats

	turn   sync.Mutex // guards what is below: one exchange and one writing at a time
	mark   string
	ticks  int
	keeper keeper
	failed map[string]bool // what the log was told of

	wake chan struct{}
	stop context.CancelFunc
	done chan struct{}
}

// period is how often bans that have ended are dropped, the file is written and the
// store is asked.
const period = time.Second

// A file of more than saveSoon bans takes a while to write, and is written every
// saveSeldom periods.
const (
	saveSoon   = 4096
	saveSeldom = 10
)

// New reads the file, asks the store, and returns a Table, or says everything that
// is wrong with cfg. A store that is away is no error; a file that is none of its
// own is: bans are not dropped in silence.
func New(ctx context.Context, cfg Config) (*Table, error) {
	var errs []error
	if cfg.Most == 0 {
		cfg.Most = DefaultMost
	}
	if cfg.Most < 0 || cfg.Most > maxMost {
		errs = append(errs, fmt.Errorf("ban: Config.Most is %d; it is from 1 to %d, such as the default, %d", cfg.Most, maxMost, DefaultMost))
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	t := &Table{
		cfg: cfg, entries: map[netip.Prefix]*entry{}, failed: map[string]bool{},
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	errs = append(errs, t.load())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	t.share(ctx)
	ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	go t.run(ctx)
	return t, nil
}

// Close writes the file and ends what runs behind requests.
func (t *Table) Close() error {
	t.stop()
	<-t.done
	t.turn.Lock()
	defer t.turn.Unlock()
	err := t.save()
	t.keeper.close()
	return err
}

// run does what does not belong on the way of a request.
func (t *Table) run(ctx context.Context) {
	defer close(t.done)
	ticks := time.NewTicker(period)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
			t.share(ctx)
		case <-ticks.C:
			t.tick(ctx)
		}
	}
}

// tick is what is done once a period.
func (t *Table) tick(ctx context.Context) {
	t.share(ctx)
	t.mu.Lock()
	t.sweep(t.cfg.Now())
	many := len(t.entries) > saveSoon
	t.mu.Unlock()
	t.turn.Lock()
	defer t.turn.Unlock()
	if t.ticks++; many && t.ticks%saveSeldom != 0 {
		return
	}
	t.told("file", "bans are not written to their file, and would be lost with this process", t.save())
}

// told tells the log that something fails, once, and that it does no longer.
func (t *Table) told(what, sentence string, err error) {
	switch {
	case err != nil && !t.failed[what]:
		t.failed[what] = true
		t.cfg.Log.Warn(sentence, "why", err)
	case err == nil && t.failed[what]:
		delete(t.failed, what)
		t.cfg.Log.Info("bans are back to normal", "what", what)
	}
}

// Stats are counts since the Table was made, and how many bans there are.
type Stats struct {
	Bans                         int
	Made, Lifted, Ended, Evicted uint64
	// Over are those that limits made, of which Made is none, and Unmade those that
	// there was no room for.
	Over, Unmade            uint64
	ShareErrors, FileErrors uint64
}

// Stats reads the counts.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	if live := t.live.Load(); live != nil {
		s.Bans = live.Size()
	}
	return s
}
