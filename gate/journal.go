package gate

import (
	"errors"
	"io"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
)

// JournalConfig says what a [Journal] writes.
type JournalConfig struct {
	// To takes a JSON object a line. A write that blocks or fails delays and
	// loses lines, never requests. Required.
	To io.Writer

	// Sample is the share of decisions that pass which is written, in parts of a
	// thousand; refusals, flags and step-ups are always written. Default: 10.
	// Negative: none.
	Sample int

	// FullAddresses writes addresses whole. Default: IPv4 by /24 and IPv6 by /48,
	// which no longer name a household.
	FullAddresses bool

	// Rate is how many lines a second are written at most: under an attack the log
	// does not grow with it. What is beyond is counted and dropped. Default: 1000;
	// negative: no such bound.
	Rate int

	// Queue is how many lines may wait for the writer; what comes while it is
	// full is counted and dropped. Default: 1024.
	Queue int
}

// A Journal is the decision log: a line of JSON a decision, written by a
// goroutine of its own. It is safe for concurrent use.
type Journal struct {
	cfg    JournalConfig
	lines  chan []byte
	free   sync.Pool // of *[]byte
	count  atomic.Uint32
	second atomic.Uint64 // which one it is, and below 1<<secondShift its lines
	done   chan struct{}
	mu     sync.RWMutex // guards closed against a Write that is under way
	closed bool

	tooMany, slow, failed atomic.Uint64
}

// A second's lines are counted up to maxRate.
const (
	secondShift = 24
	maxRate     = 1 << 20
)

// JournalStats counts the lines that were lost.
type JournalStats struct {
	TooMany uint64 // in a second
	Slow    uint64 // the writer had no room
	Failed  uint64 // they could not be written
}

// NewJournal starts a journal; Close ends it.
func NewJournal(cfg JournalConfig) (*Journal, error) {
	if cfg.To == nil {
		return nil, errors.New("gate: the journal needs somewhere to write: set To, such as os.Stdout")
	}
	if cfg.Sample > 1000 {
		return nil, errors.New("gate: Sample of the journal is in parts of a thousand: 1000 writes every decision, 10 every hundredth")
	}
	if cfg.Rate > maxRate {
		return nil, errors.New("gate: Rate of the journal is above 1048576 lines a second; 1000 is the default, and a negative one bounds nothing")
	}
	if cfg.Rate == 0 {
		cfg.Rate = 1000
	}
	if cfg.Sample == 0 {
		cfg.Sample = 10
	}
	if cfg.Queue <= 0 {
		cfg.Queue = 1024
	}
	j := &Journal{cfg: cfg, lines: make(chan []byte, cfg.Queue), done: make(chan struct{})}
	go j.write()
	return j, nil
}

func (j *Journal) write() {
	defer close(j.done)
	torn := false // the last line is there in part: a full disk takes what it has room for
	for line := range j.lines {
		if torn {
			line = append([]byte{'\n'}, line...)
		}
		n, err := j.cfg.To.Write(line)
		if err != nil {
			j.failed.Add(1)
			torn = torn || n > 0
		} else {
			torn = false
		}
		j.free.Put(&line)
	}
}

// Stats counts the lines that were lost since the start.
func (j *Journal) Stats() JournalStats {
	return JournalStats{TooMany: j.tooMany.Load(), Slow: j.slow.Load(), Failed: j.failed.Load()}
}

// closing is how long Close waits for a writer that may hang.
const closing = 5 * time.Second

// Close writes what waits, for five seconds at most, and ends the journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	if !j.closed {
		j.closed = true
		close(j.lines)
	}
	j.mu.Unlock()
	patience := time.NewTimer(closing)
	defer patience.Stop()
	select {
	case <-j.done:
		return nil
	case <-patience.C:
		return errors.New("gate: the journal's writer does not take its last lines")
	}
}

// Write notes a decision, if it is one of those that are written. It never
// waits.
func (j *Journal) Write(d *Decision) {
	if d.Verdict == ipwarden.Allow && !d.Degraded && len(d.Shadow) == 0 && d.WouldLimit == "" {
		if j.cfg.Sample < 0 || int(j.count.Add(1)%1000) >= j.cfg.Sample {
			return
		}
	}
	if !j.room(d.Time) {
		j.tooMany.Add(1)
		return
	}
	buf, _ := j.free.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	line := append(d.appendLog((*buf)[:0], j.cfg.FullAddresses), '\n')
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.closed {
		return
	}
	select {
	case j.lines <- line:
	default:
		j.slow.Add(1)
	}
}

// room takes one of the lines of a second. A clock that goes back ends the second
// too.
func (j *Journal) room(now time.Time) bool {
	if j.cfg.Rate < 0 {
		return true
	}
	this := uint64(now.Unix()) << secondShift
	for {
		was := j.second.Load()
		next := this + 1
		if was&^(1<<secondShift-1) == this {
			if was-this >= uint64(j.cfg.Rate) {
				return false
			}
			next = was + 1
		}
		if j.second.CompareAndSwap(was, next) {
			return true
		}
	}
}

// maxLogged bounds a path or a host in the log, bytes.
const maxLogged = 512

// appendLog appends the decision as a JSON object. What comes from outside is
// escaped as JSON strings are, so no line can be forged.
func (d *Decision) appendLog(dst []byte, full bool) []byte {
	req := &d.request
	dst = append(dst, `{"time":"`...)
	dst = d.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","decision":"`...)
	dst = d.ID.AppendTo(dst)
	dst = append(dst, `","verdict":"`...)
	dst = append(dst, d.Verdict.String()...)
	dst = append(dst, `","reason":"`...)
	dst = append(dst, d.Reason.String()...)
	dst = append(dst, '"')
	if name := d.By(); name != "" {
		dst = ipwarden.AppendString(append(dst, `,"rule":`...), name)
	}
	if d.Ban != nil {
		dst = append(d.Ban.Until.UTC().AppendFormat(append(dst, `,"ban_until":"`...), time.RFC3339), '"')
	}
	if d.Tier != nil {
		dst = ipwarden.AppendString(append(dst, `,"tier":`...), d.Tier.Name)
	}
	if s := d.Status(); s != 0 {
		dst = strconv.AppendInt(append(dst, `,"status":`...), int64(s), 10)
	}
	dst = append(dst, `,"client":"`...)
	dst = appendMasked(dst, d.Client.Addr, full)
	dst = append(dst, `","client_status":"`...)
	dst = append(dst, d.Client.Status.String()...)
	dst = append(dst, '"')
	if c := d.Record.CountryCode(); c != "" {
		dst = ipwarden.AppendString(append(dst, `,"country":`...), c)
	}
	if as := d.Record.ASNumber(); as != 0 {
		dst = strconv.AppendUint(append(dst, `,"asn":`...), uint64(as), 10)
	}
	if t := d.Record.Traits(); t != 0 {
		dst = append(dst, `,"traits":"`...)
		dst = append(appendTraits(dst, t), '"')
	}
	dst = strconv.AppendUint(append(dst, `,"risk":`...), uint64(d.Score), 10)
	dst = ipwarden.AppendString(append(dst, `,"method":`...), bounded(req.Method))
	dst = ipwarden.AppendString(append(dst, `,"host":`...), bounded(req.Host))
	dst = ipwarden.AppendString(append(dst, `,"path":`...), bounded(req.Path))
	if d.Degraded {
		dst = append(dst, `,"degraded":true`...)
	}
	for i, r := range d.Shadow {
		if i == 0 {
			dst = append(dst, `,"shadow":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = ipwarden.AppendString(dst, r.Name)
	}
	if len(d.Shadow) > 0 {
		dst = append(dst, ']')
	}
	if d.WouldLimit != "" {
		dst = ipwarden.AppendString(append(dst, `,"would_limit":`...), d.WouldLimit)
	}
	return append(dst, '}')
}

func bounded(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged]
	}
	return s
}

// appendMasked appends the address, or the network it is hidden in.
func appendMasked(dst []byte, a netip.Addr, full bool) []byte {
	if !a.IsValid() || full {
		return appendAddr(dst, a)
	}
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return dst // cannot be: the address is valid and the bits are in range
	}
	return p.AppendTo(dst)
}
