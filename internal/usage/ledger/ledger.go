package ledger

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// Config says where a ledger is and how large.
type Config struct {
	// Dir is its folder, made with mode 0700 if there is none.
	Dir string
	// Region is the name of this node's region, up to 63 letters, digits, "-", "_", ".".
	Region string
	// Keys is how many pairs of key and endpoint the first table has room for, 104 bytes
	// each in a file and 8 in memory; larger ones are made when it is full. Default: 16384.
	Keys int
	// Clients and Referers are how many of them are counted each day by themselves, twice
	// 24 and 88 bytes each; those beyond count as others. They are of the first start. Default: 524288 and 16384.
	Clients, Referers int
	// Now is the time. Default: time.Now.
	Now func() time.Time

	noSync  bool                   // for tests in which the machine keeps its power
	syncDir func(dir string) error // for tests of a disk that fails
}

// A Ledger is the counts of one node. Counting is safe for concurrent use; freezing
// is for one goroutine.
type Ledger struct {
	dir    string
	region string
	now    func() time.Time
	node   *mapped // its words: sequence and hour
	lock   *os.File

	keys     [maxTables]atomic.Pointer[keyTable] // each twice as large as the one before; nil is the end
	clients  atomic.Pointer[flatTable]
	referers atomic.Pointer[flatTable]
	noRoom   atomic.Uint64 // calls of clients and referers that count as others

	mu       sync.Mutex          // guards the insertion of slots, and:
	spare    []*flatTable        // those of the day before, emptied before they are used again
	homeless map[homeless]uint64 // counts of keys without a place
	growErr  error
	acked    []uint64
	recent   [recent]sealed
	config   Config

	w     writer // of Freeze
	marks []mark
	begun []block
	file  []byte
}

var errInUse = errors.New("another process counts in it")

// Open opens a ledger, or makes it, and takes up where the last process ended.
func Open(c Config) (_ *Ledger, err error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	l := &Ledger{dir: c.Dir, region: c.Region, now: c.Now, config: c}
	if err := os.MkdirAll(filepath.Join(c.Dir, "spool"), 0o700); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if l.lock, err = os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err := lock(l.lock); err != nil {
		return nil, fmt.Errorf("%s: %w; one ledger is for one process: give each its own --data-dir", c.Dir, err)
	}
	l.sweep()
	if err := l.takeOver(); err != nil {
		return nil, err
	}
	if l.node, err = openOr(filepath.Join(c.Dir, "node"), kindNode, 0, 0, c.noSync); err != nil {
		return nil, err
	}
	if err := l.openKeys(); err != nil {
		return nil, err
	}
	if err := l.openDays(); err != nil {
		return nil, err
	}
	if err := l.recover(); err != nil {
		return nil, err
	}
	if l.node.word(wordHour) == 0 {
		l.node.set(wordHour, uint64(customer.HourOf(l.now())))
	}
	return l, nil
}

func (c *Config) check() error {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Keys == 0 {
		c.Keys = 1 << 14
	}
	if c.Clients == 0 {
		c.Clients = 1 << 19
	}
	if c.Referers == 0 {
		c.Referers = 1 << 14
	}
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("a ledger needs a folder"))
	}
	if len(c.Region) > MaxRegion || strings.ContainsFunc(c.Region, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}) {
		errs = append(errs, fmt.Errorf("%.80q is no name of a region: it has up to %d letters, digits, \"-\", \"_\" and \".\", such as eu-west-1", c.Region, MaxRegion))
	}
	for _, n := range []struct {
		name string
		n    int
	}{{"keys", c.Keys}, {"clients", c.Clients}, {"referers", c.Referers}} {
		if n.n < 64 || n.n > maxSlots {
			errs = append(errs, fmt.Errorf("a ledger has room for 64 to %d %s, not for %d", maxSlots, n.name, n.n))
		}
	}
	return errors.Join(errs...)
}

// openOr opens a file, or makes it if there is none.
func openOr(path string, k kind, node uint64, slots int, noSync bool) (*mapped, error) {
	m, err := open(path, k, node)
	if !errors.Is(err, os.ErrNotExist) {
		return m, err
	}
	if node == 0 {
		node = newNode()
	}
	return create(path, k, node, slots, noSync)
}

// newNode is never 0 and fits a signed 64-bit column of a database.
func newNode() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return max(1, binary.LittleEndian.Uint64(b[:])>>1)
}

// sweep removes what a process that died did not finish.
func (l *Ledger) sweep() {
	for _, pattern := range []string{".new-*", "spool/*.new"} {
		left, _ := filepath.Glob(filepath.Join(l.dir, pattern))
		for _, f := range left {
			os.Remove(f)
		}
	}
}

// Node is the number of this ledger, made once.
func (l *Ledger) Node() uint64 { return l.node.node }

// Region is what the configuration said.
func (l *Ledger) Region() string { return l.region }

// Sequence is that of the batch frozen last.
func (l *Ledger) Sequence() uint64 { return l.node.word(wordSequence) }

// maxTables is more than all keys that a table may have.
const maxTables = 24

func (l *Ledger) keysPath(i int) string { return filepath.Join(l.dir, fmt.Sprintf("keys-%d", i)) }

func (l *Ledger) openKeys() error {
	for i := range l.keys {
		path := l.keysPath(i)
		m, err := open(path, kindKeys, l.node.node)
		if errors.Is(err, os.ErrNotExist) && i == 0 {
			n := 1
			for n < l.config.Keys {
				n *= 2
			}
			m, err = create(path, kindKeys, l.node.node, n, l.config.noSync)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if m.n < 2 || m.n&(m.n-1) != 0 {
			return fmt.Errorf("%s: %d slots are not a power of two", path, m.n)
		}
		l.keys[i].Store(newKeyTable(m))
	}
	return nil
}

// grow adds a table of keys, twice as large as the last. l.mu is held.
func (l *Ledger) grow() error {
	last := l.last()
	n := l.keys[last].Load().n * 2
	if last+1 == len(l.keys) || n > maxSlots {
		return fmt.Errorf("%s: no room for more keys", l.keysPath(last))
	}
	m, err := create(l.keysPath(last+1), kindKeys, l.node.node, n, l.config.noSync)
	if err != nil {
		return err
	}
	l.keys[last+1].Store(newKeyTable(m))
	return nil
}

func dayOf(now time.Time) uint64 { return uint64(now.Unix() / 86400) }

// openDays opens the two tables of clients and of referers: that of the newest day is
// counted in, and the other may hold counts that were not frozen.
func (l *Ledger) openDays() error {
	for _, k := range []kind{kindClients, kindReferers} {
		n := l.config.Clients
		if k == kindReferers {
			n = l.config.Referers
		}
		var two [2]*flatTable
		for i := range two {
			m, err := openOr(filepath.Join(l.dir, fmt.Sprintf("%s-%d", k, i)), k, l.node.node, n, l.config.noSync)
			if err != nil {
				return err
			}
			if m.n < 64 {
				return fmt.Errorf("%s: %d slots are too few", m.path, m.n)
			}
			two[i] = newFlatTable(m, k == kindReferers)
		}
		if two[0].day() < two[1].day() {
			two[0], two[1] = two[1], two[0]
		}
		if two[0].day() == 0 {
			two[0].set(wordDay, dayOf(l.now()))
		}
		l.spare = append(l.spare, two[1])
		if k == kindClients {
			l.clients.Store(two[0])
		} else {
			l.referers.Store(two[0])
		}
	}
	return nil
}

// files are all that are mapped. l.mu is held.
func (l *Ledger) files() []*mapped {
	var all []*mapped
	if l.node != nil {
		all = append(all, l.node)
	}
	for _, t := range l.tables {
		all = append(all, t.mapped)
	}
	for _, t := range append([]*flatTable{l.clients.Load(), l.referers.Load()}, l.spare...) {
		if t != nil {
			all = append(all, t.mapped)
		}
	}
	return all
}

// Stats says how a ledger is.
type Stats struct {
	Keys, Clients, Referers int    // places taken
	NoRoom                  uint64 // calls counted as others' since this process began
	Homeless                int    // counts in memory alone, because the disk has no room
	Err                     error  // why
}

// Stats says how the ledger is.
func (l *Ledger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{
		Clients: int(l.clients.Load().word(wordUsed)), Referers: int(l.referers.Load().word(wordUsed)),
		NoRoom: l.noRoom.Load(), Homeless: len(l.homeless), Err: l.growErr,
	}
	for _, t := range l.tables {
		s.Keys += t.used()
	}
	return s
}

// Close lets go of the files. Nobody may count any more.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, m := range l.files() {
		errs = append(errs, m.close())
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}
