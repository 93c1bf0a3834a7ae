package customer

import "time"

// A Plan is what an account may use. Zero of a number is no bound.
type Plan struct {
	Name      string // in URLs and files: "free"
	Title     string // for people: "Free"
	PerDay    int64  // look-ups
	PerMonth  int64
	PerSecond int      // look-ups, of all keys of the account, in one region
	Burst     int      // how many at once; 0 is PerSecond
	Fields    []string // of a record, as in ?fields=; nil is all
	Bulk      int      // addresses a call
	Window    Window
	Upgrade   string // URL that says how to get more
	Revision  int64  // as a key's
}

// Window says when a quota begins anew.
type Window uint8

const (
	// Calendar: the day and the month in UTC.
	Calendar Window = iota
	// Rolling: the last 24 hours and the last 30 days, counted in whole hours: the hour
	// that is running and the 23 (719) before it.
	Rolling
)

func (w Window) String() string { return [...]string{"calendar", "rolling"}[w&1] }

// A Limit is one bound of a key's own.
type Limit struct {
	Name string // in headers and refusals: letters, digits, "-"
	Per  Period
	N    int64 // look-ups
}

// Period of a limit.
type Period uint8

const (
	PerSecond Period = iota
	PerMinute
	PerHour
	PerDay
	PerMonth
)

func (p Period) String() string {
	return [...]string{"second", "minute", "hour", "day", "month", "unknown"}[min(p, 5)]
}

// Hour is a whole hour since 1970 in UTC: what counts are kept by.
type Hour uint32

// HourOf is the hour that t lies in.
func HourOf(t time.Time) Hour { return Hour(t.Unix() / 3600) }

// Time is the first moment of the hour.
func (h Hour) Time() time.Time { return time.Unix(int64(h)*3600, 0).UTC() }

// Span is what counts toward a quota at now: hours from First up to and with now's,
// and when some of it falls out.
type Span struct {
	First Hour
	Reset time.Time
}

// Day is the span of a day's quota.
func (w Window) Day(now time.Time) Span {
	if w == Rolling {
		h := HourOf(now)
		return Span{First: h - 23, Reset: (h + 1).Time()}
	}
	y, m, d := now.UTC().Date()
	return Span{First: HourOf(time.Date(y, m, d, 0, 0, 0, 0, time.UTC)), Reset: time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)}
}

// Month is the span of a month's quota.
func (w Window) Month(now time.Time) Span {
	if w == Rolling {
		h := HourOf(now)
		return Span{First: h - 719, Reset: (h + 1).Time()}
	}
	y, m, _ := now.UTC().Date()
	return Span{First: HourOf(time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)), Reset: time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)}
}
