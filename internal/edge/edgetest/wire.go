package edgetest

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/edge/decide"
	"github.com/ipwarden/ipwarden/internal/edge/pack"
	"github.com/ipwarden/ipwarden/policy"
)

// Append writes a question as the engine reads it.
func (q *Question) Append(dst []byte, now time.Time, flags, cleared byte, sample uint32) []byte {
	dst = append(dst, decide.Version, flags, cleared, 0)
	dst = binary.LittleEndian.AppendUint32(dst, sample)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(now.UnixMilli()))
	text := func(s string) {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(s)))
		dst = append(dst, s...)
	}
	for _, s := range []string{q.Address, q.Method, q.Scheme, q.Host, q.Path} {
		text(s)
	}
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(q.Headers)))
	for _, l := range q.Headers {
		text(l[0])
		text(l[1])
	}
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(q.Account)))
	for k, v := range q.Account {
		text(k)
		text(v)
	}
	return dst
}

// ReadVerdict reads a verdict of the engine.
func ReadVerdict(b []byte) (a Answer, err error) {
	if len(b) < 24 || b[0] != decide.OK {
		return a, fmt.Errorf("no verdict: %q", b)
	}
	a.Verdict, a.Reason = ipwarden.Verdict(b[1]).String(), policy.Reason(b[2]).String()
	a.Status, a.ASN = int(binary.LittleEndian.Uint16(b[4:])), binary.LittleEndian.Uint32(b[12:])
	if pack.Told(b[7])&pack.TellRisk != 0 {
		a.Risk = b[6]
	}
	if b[16] != 0 {
		a.Country = string(b[16:18])
	}
	rest := b[24:]
	text := func() string {
		n := int(binary.LittleEndian.Uint16(rest))
		s := string(rest[2 : 2+n])
		rest = rest[2+n:]
		return s
	}
	a.By, a.Tier, a.Location = text(), text(), text()
	text()
	a.Tags = text()
	return a, nil
}
