package decide

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/edge/pack"
	"github.com/ipwarden/ipwarden/policy"
)

// verdict is what a verdict says beside the decision.
type verdict struct {
	limited bool
	over    string // the limit that refuses
	retry   time.Duration
	limits  []state
}

// write puts the verdict into e.out.
func (e *Engine) write(v *verdict) {
	d, in, b := &e.decision, &e.input, e.out
	status := e.status()
	flags := byte(0)
	for bit, on := range [...]bool{status == 0, in.Shared, d.Softened, v.limited, len(e.location) > 0} {
		if on {
			flags |= 1 << bit
		}
	}
	b[0], b[1], b[2], b[3] = OK, byte(d.Verdict), byte(d.Reason), flags
	binary.LittleEndian.PutUint16(b[4:], uint16(status))
	b[6], b[7] = in.Score, byte(e.told)
	if e.told&pack.TellTraits != 0 {
		binary.LittleEndian.PutUint32(b[8:], uint32(in.Record.Traits()))
	}
	if e.told&pack.TellASN != 0 {
		binary.LittleEndian.PutUint32(b[12:], in.Record.ASNumber())
	}
	if e.told&pack.TellCountry != 0 {
		copy(b[16:18], in.Record.CountryCode())
	}
	b[18] = byte(d.Route.FailMode)
	binary.LittleEndian.PutUint32(b[20:], whole(v.retry))
	tier := ""
	if d.Tier != nil {
		tier = d.Tier.Name
	}
	response := ""
	if d.Response != nil {
		response = d.Response.Name
	}
	b = appendText(b, e.by(v))
	b = appendText(b, tier)
	b = append(binary.LittleEndian.AppendUint16(b, uint16(len(e.location))), e.location...)
	b = appendText(b, response)
	at := len(b)
	b = append(b, 0, 0)
	for i, t := range d.Tags {
		if len(b)-at+len(t) > maxTags {
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, t...)
	}
	binary.LittleEndian.PutUint16(b[at:], uint16(len(b)-at-2))
	for i := range v.limits {
		l := &v.limits[i]
		if len(b)+len(l.name)+32 > MaxVerdict {
			break
		}
		b = appendText(b, l.name)
		for _, n := range [...]uint32{l.Limit, l.Remaining, whole(l.window), whole(l.Reset)} {
			b = binary.LittleEndian.AppendUint32(b, n)
		}
		b = append(b, 0)
		if l.Allowed {
			b[len(b)-1] = 1
		}
		b[19]++
	}
	e.out = b
}

// Bounds of the texts of a verdict, in bytes.
const (
	maxText = 8 << 10
	maxTags = 2 << 10
)

func appendText[T ~string | ~[]byte](dst []byte, s T) []byte {
	s = s[:min(len(s), maxText)]
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

// whole is a time in seconds, rounded up.
func whole(d time.Duration) uint32 {
	return uint32(min((max(d, 0)+time.Second-1)/time.Second, math.MaxUint32))
}

// by names what decided.
func (e *Engine) by(v *verdict) string {
	d := &e.decision
	switch {
	case d.Reason == policy.ByLimit:
		return v.over
	case d.Rule != nil:
		return d.Rule.Name
	case d.List != nil:
		return d.List.Name
	case d.Reason == policy.ByTier && d.Tier != nil:
		return d.Tier.Name
	}
	return ""
}

// status is what the client is answered, 0 for what goes on.
func (e *Engine) status() int {
	d := &e.decision
	switch {
	case d.Reason == policy.ByAmbiguousPath:
		return 400
	case len(e.location) > 0 && d.Response != nil && d.Response.Status != 0:
		return d.Response.Status
	case len(e.location) > 0:
		return 302
	case d.Verdict.Passes():
		return 0
	case d.Verdict == ipwarden.Throttle:
		return 429
	case d.Response != nil && d.Response.Status != 0:
		return d.Response.Status
	}
	return 403
}
