package api

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
)

// zoneEnds keeps when each time zone's present offset ends, since looking it up
// takes longer than the rest of an answer's header. There are some 600 zones.
type zoneEnds struct{ known sync.Map } // name to bounds

type bounds struct{ start, end time.Time }

// at returns between which times the offset in force at now holds; a zero time
// is no bound.
func (z *zoneEnds) at(zone *time.Location, now time.Time) bounds {
	if v, ok := z.known.Load(zone.String()); ok {
		if b := v.(bounds); !now.Before(b.start) && (b.end.IsZero() || now.Before(b.end)) {
			return b
		}
	}
	start, end := now.In(zone).ZoneBounds()
	z.known.Store(zone.String(), bounds{start, end})
	return bounds{start, end}
}

// endsOfDay keeps the same by the number of the answer, of the answers that most
// addresses share: finding the zone of an answer means reading in five places,
// and this is one. It holds for one Backing and one day of UTC.
type endsOfDay struct {
	data     ipwarden.Backing
	midnight int64 // with which the day begins, time of Unix
	// When the offset of an answer's zone ends: seconds from midnight, plus 1; 0
	// is not known yet. The end of the next day stands for all that is later.
	seconds []atomic.Int32
}

const maxDayEnds = 1 << 16 // 256 KiB

// zoneLasts returns for how many whole seconds the offset of the Record's time
// zone still holds, at most a day.
func (x *exchange) zoneLasts(rec ipwarden.Record) int64 {
	now := x.now.Unix()
	if x.now.Nanosecond() > 0 {
		now++
	}
	return max(0, min(day, x.zoneEnd(rec)-now))
}

// zoneEnd returns when that offset ends, as a time of Unix; a later day than the
// next stands for never.
func (x *exchange) zoneEnd(rec ipwarden.Record) int64 {
	data, id := rec.Answer()
	now := x.now.Unix()
	midnight := now - now%day
	ends := x.st.ends.Load()
	if ends == nil || ends.data != data || ends.midnight != midnight {
		ends = x.st.newEnds(ends, data, midnight)
	}
	if ends == nil || int(id) >= len(ends.seconds) {
		_, end := x.zoneOf(rec)
		return end
	}
	if end := midnight + int64(ends.seconds[id].Load()) - 1; end > now {
		return end
	}
	start, end := x.zoneOf(rec)
	if start <= midnight { // else it does not hold for the whole of this day
		ends.seconds[id].Store(int32(min(end-midnight, 2*day) + 1))
	}
	return end
}

// zoneOf returns between which times the offset holds, without what is kept of
// answers.
func (x *exchange) zoneOf(rec ipwarden.Record) (start, end int64) {
	end = math.MaxInt64
	if zone := rec.Location().TimeZone.Zone; zone != nil {
		b := x.api.zones.at(zone, x.now)
		if start = b.start.Unix(); !b.end.IsZero() {
			end = b.end.Unix()
		}
	}
	return start, end
}

// newEnds replaces the ends of another day. It returns nil when nothing is to be
// kept for data: its answers are not shared, or others' are kept.
func (st *state) newEnds(old *endsOfDay, data ipwarden.Backing, midnight int64) *endsOfDay {
	shared, ok := data.(ipwarden.Shared)
	if !ok || old != nil && old.data != data {
		return nil
	}
	ends := &endsOfDay{data: data, midnight: midnight, seconds: make([]atomic.Int32, min(shared.Answers(), maxDayEnds))}
	st.ends.Store(ends) // of two racing requests one asks once more
	return ends
}
