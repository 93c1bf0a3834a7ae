package decide

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"github.com/ipwarden/ipwarden"
)

// asked is what a request has beside its parts.
type asked struct {
	addr    netip.Addr // canonical
	now     time.Time
	sample  uint32
	cleared int // the highest score for which a clearance holds, plus one
	charge  bool
}

// parts cuts a request; the first mistake sticks.
type parts struct {
	b   []byte
	bad bool
}

func (p *parts) short() int {
	if len(p.b) < 2 {
		p.bad, p.b = true, nil
		return 0
	}
	n := int(binary.LittleEndian.Uint16(p.b))
	p.b = p.b[2:]
	return n
}

// text is a part of the request's own bytes, which stay as they are while it is decided.
func (p *parts) text() string {
	n := p.short()
	if n > len(p.b) {
		p.bad, p.b = true, nil
		return ""
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return unsafe.String(unsafe.SliceData(b), n)
}

// read reads a request. Nothing of it is copied.
func (e *Engine) read(b []byte) (a asked, ok bool) {
	if len(b) < requestHead || b[0] != Version || b[1]&^RequestCharge != 0 || b[2] > 101 || b[3] != 0 {
		return a, false
	}
	ms := int64(binary.LittleEndian.Uint64(b[8:]))
	if ms < 0 || ms > maxMillis {
		return a, false
	}
	a.charge, a.cleared = b[1]&RequestCharge != 0, int(b[2])
	a.sample, a.now = binary.LittleEndian.Uint32(b[4:]), time.UnixMilli(ms).UTC()
	p := &parts{b: b[requestHead:]}
	addr := p.text()
	e.request = ipwarden.Request{Method: upper(p.text()), Scheme: p.text(), Host: p.text()}
	e.request.Path, e.request.Query, _ = strings.Cut(p.text(), "?")
	e.lines.Reset()
	for n := p.short(); n > 0 && !p.bad; n-- {
		name := p.text()
		e.lines.Add(name, p.text())
	}
	clear(e.account)
	for n := p.short(); n > 0 && !p.bad; n-- {
		key := p.text()
		e.account[key] = p.text()
	}
	e.request.Header = &e.lines
	if len(e.account) > 0 {
		e.request.Account = e.account
	}
	if p.bad || len(p.b) != 0 {
		return a, false
	}
	if parsed, err := ipwarden.ParseAddr(addr); err == nil {
		a.addr, _ = ipwarden.Canonical(parsed)
	}
	return a, true
}

// maxMillis is the year 9999.
const maxMillis = 253402300799999
