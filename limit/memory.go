package limit

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// MemoryConfig says how a [Memory] is made. The zero value is a good one.
type MemoryConfig struct {
	// Entries is how many keys are held at once; the default is 1,048,576, the
	// most 1<<30. Each costs [EntrySize] bytes: 24 MiB for the default, which the
	// system gives as they are used, on Linux 2 MiB at a time where it has such pages.
	Entries int
	// Now is the clock. The default is the system's monotonic one, which nobody
	// sets, read once a millisecond when there is much to do. When a clock of your
	// own is set back, no key is locked for longer than by so much, or by twice its
	// window.
	Now func() time.Time
}

// Memory counts in this process, exactly. Its size never changes: under more
// keys than it holds, those seen once are forgotten first, and those over their
// limit last. It is safe for concurrent use and has no goroutine.
type Memory struct {
	table *table
	clock *coarseClock
	now   func() time.Time // nil for the clock
	start time.Time        // of either
}

var _ Limiter = (*Memory)(nil)

// defaultEntries and maxEntries are of [MemoryConfig].
const (
	defaultEntries = 1 << 20
	maxEntries     = 1 << 30
)

// NewMemory returns a Memory, or says what is wrong with c.
func NewMemory(c MemoryConfig) (*Memory, error) {
	if c.Entries == 0 {
		c.Entries = defaultEntries
	}
	if c.Entries < 0 || c.Entries > maxEntries {
		return nil, errors.New("limit: MemoryConfig.Entries is " + strconv.Itoa(c.Entries) + "; it is 0 for the default, or 1 to " + strconv.Itoa(maxEntries))
	}
	m := &Memory{table: newTable(c.Entries), clock: newCoarseClock(), now: c.Now}
	m.start = m.clock.start
	if m.now != nil {
		m.start = m.now()
	}
	return m, nil
}

// Take is [Limiter]'s.
func (m *Memory) Take(_ context.Context, reqs []Request, results []Result) error {
	if m.now != nil {
		return m.take(m.now().Sub(m.start), reqs, results)
	}
	return m.take(m.clock.since(), reqs, results)
}

// TakeAt is Take for who has read the clock already.
func (m *Memory) TakeAt(now time.Time, reqs []Request, results []Result) error {
	return m.take(now.Sub(m.start), reqs, results)
}

// Touch brings the place of a key from memory. It waits for nothing: who knows
// the key some time before the Take does other things meanwhile.
func (m *Memory) Touch(k Key) { m.table.touch(k) }

// at is a time since the start on the table's clock. It leaves room before the
// start, because 0 is "long ago" in a state, and a clock can be set back.
func at(sinceStart time.Duration) int64 {
	return max(int64(sinceStart)+int64(MaxHorizon), 1)
}

func (m *Memory) take(sinceStart time.Duration, reqs []Request, results []Result) error {
	if err := check(reqs, results); err != nil {
		return err
	}
	now := at(sinceStart)
	if len(reqs) == 1 && (m.table.takeOne(now, &reqs[0], &results[0]) || m.table.takeNew(now, &reqs[0], &results[0])) {
		return nil
	}
	m.table.takeAll(now, reqs, results)
	return nil
}
