package customer

import "time"

// An Account is who pays, or could.
type Account struct {
	ID       AccountID
	Email    string // as given, without space around it
	Verified time.Time
	Status   Status
	Plan     string    // a [Plan.Name]
	PlanFrom time.Time // since when: alerts begin anew with it, counts do not
	Created  time.Time
	Revision int64 // as a key's
}

// Status of an account.
type Status uint8

const (
	Active    Status = iota
	Suspended        // by the operator: its keys are refused
	Deleted          // by its owner: its keys are gone, its counts remain
)

func (s Status) String() string {
	return [...]string{"active", "suspended", "deleted", "unknown"}[min(s, 3)]
}
