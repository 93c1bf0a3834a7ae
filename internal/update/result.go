package update

import (
	"fmt"
	"time"
)

// Status is what became of one feed.
type Status string

const (
	Updated   Status = "updated"   // there is something new
	Unchanged Status = "unchanged" // the publisher says that the copy is current
	Fresh     Status = "fresh"     // asked so recently that nobody was asked again
	InPlace   Status = "in place"  // the operator's own file
	Kept      Status = "kept"      // could not be had; the last good copy stays
	Refused   Status = "refused"   // what came is not believed; the last good copy, if any, stays
	Missing   Status = "missing"   // could not be had, and there is no copy
	Outdated  Status = "outdated"  // too old to be told beside the others
	Absent    Status = "absent"    // an optional feed that nobody put there
)

// Result is one feed's line of the table.
type Result struct {
	Feed     string        `json:"feed"`
	Status   Status        `json:"status"`
	Why      string        `json:"why,omitempty"` // for Kept, Refused and Missing
	Rows     int           `json:"rows"`          // good rows of what is there now
	Was      int           `json:"was,omitempty"` // rows of the copy before
	Bad      int           `json:"bad,omitempty"` // rows that were skipped
	Bytes    int64         `json:"bytes,omitempty"`
	Date     time.Time     `json:"date,omitzero"` // of the data
	Attempts int           `json:"attempts,omitempty"`
	Took     time.Duration `json:"-"`
}

// Failed reports whether the feed is not what its publisher has today.
func (r *Result) Failed() bool {
	return r.Status == Kept || r.Status == Refused || r.Status == Missing
}

// String says it in one line.
func (r *Result) String() string {
	s := fmt.Sprintf("%s: %s", r.Feed, r.Status)
	if r.Why != "" {
		s += ": " + r.Why
	}
	return s
}

// Progress tells how far one feed is.
type Progress struct {
	Feed  string
	Done  int64 // bytes
	Total int64 // bytes, -1 when the publisher does not say
	// Result is set once, when the feed is finished.
	Result *Result
}
