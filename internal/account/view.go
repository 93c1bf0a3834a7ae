package account

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// AccountView is an account in JSON.
type AccountView struct {
	ID       string    `json:"id"`
	Email    string    `json:"email"`
	Verified time.Time `json:"verified,omitzero"`
	Status   string    `json:"status"`
	Plan     string    `json:"plan"`
	PlanFrom time.Time `json:"plan_from"`
	Created  time.Time `json:"created"`
}

// ViewAccount is how an account is shown.
func ViewAccount(a *customer.Account) AccountView {
	return AccountView{a.ID.String(), a.Email, a.Verified, a.Status.String(), a.Plan, a.PlanFrom, a.Created}
}

// KeyView is a key in JSON, without its hash.
type KeyView struct {
	ID        string         `json:"id"`
	Account   string         `json:"account"`
	State     string         `json:"state"` // live, ending, expired, revoked
	Hint      string         `json:"hint"`
	Kind      string         `json:"kind"`
	Mode      string         `json:"mode"`
	Name      string         `json:"name,omitempty"`
	Tags      []string       `json:"tags,omitempty"`
	Scopes    []string       `json:"scopes"`
	Networks  []netip.Prefix `json:"networks,omitempty"`
	Origins   []string       `json:"origins,omitempty"`
	Endpoints []string       `json:"endpoints,omitempty"`
	Limits    []LimitView    `json:"limits,omitempty"`
	Created   time.Time      `json:"created"`
	Expires   time.Time      `json:"expires,omitzero"`
	Revoked   time.Time      `json:"revoked,omitzero"`
	Replaces  string         `json:"replaces,omitempty"`
}

// LimitView is a limit of a key in JSON.
type LimitView struct {
	Name string `json:"name"`
	Per  string `json:"per"`
	N    int64  `json:"n"`
}

// ViewKey is how a key is shown at now.
func ViewKey(k *customer.Key, now time.Time) KeyView {
	v := KeyView{
		ID: k.ID.String(), Account: k.Account.String(), State: State(k, now), Hint: k.Hint, Kind: k.Kind.String(), Mode: k.Mode.String(),
		Name: k.Name, Tags: k.Tags, Scopes: k.Scopes, Networks: k.Networks, Origins: k.Origins, Endpoints: k.Endpoints,
		Created: k.Created, Expires: k.Expires, Revoked: k.Revoked,
	}
	if len(v.Scopes) == 0 {
		v.Scopes = []string{customer.ScopeLookup}
	}
	for _, l := range k.Limits {
		v.Limits = append(v.Limits, LimitView{l.Name, l.Per.String(), l.N})
	}
	if k.Replaces != 0 {
		v.Replaces = k.Replaces.String()
	}
	return v
}

// State says in a word whether a key can be used at now.
func State(k *customer.Key, now time.Time) string {
	switch {
	case k.Ended, !k.Revoked.IsZero() && !k.Revoked.After(now):
		return "revoked"
	case !k.Expires.IsZero() && !k.Expires.After(now):
		return "expired"
	case !k.Revoked.IsZero():
		return "ending"
	}
	return "live"
}

// PlanView is a plan in JSON. 0 of a number is no bound.
type PlanView struct {
	Name      string   `json:"name"`
	Title     string   `json:"title"`
	PerDay    int64    `json:"per_day"`
	PerMonth  int64    `json:"per_month"`
	PerSecond int      `json:"per_second"`
	Burst     int      `json:"burst"`
	Fields    []string `json:"fields,omitempty"`
	Bulk      int      `json:"bulk"`
	Window    string   `json:"window"`
	Upgrade   string   `json:"upgrade,omitempty"`
}

// ViewPlan is how a plan is shown.
func ViewPlan(p *customer.Plan) PlanView {
	return PlanView{p.Name, p.Title, p.PerDay, p.PerMonth, p.PerSecond, p.Burst, p.Fields, p.Bulk, p.Window.String(), p.Upgrade}
}

// EntryView is an entry of the log in JSON.
type EntryView struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`
	Subject string    `json:"subject"`
	Detail  string    `json:"detail,omitempty"`
	Address string    `json:"address,omitempty"`
}

// ViewEntry is how an entry of the log is shown.
func ViewEntry(e *Entry) EntryView {
	return EntryView{e.ID, e.At, e.Actor, e.Action, e.Subject, e.Detail, e.Address}
}

// ExportView is all that is kept about an account, in JSON.
type ExportView struct {
	Account AccountView `json:"account"`
	Plan    PlanView    `json:"plan"`
	Keys    []KeyView   `json:"keys"`
	Usage   []UsageView `json:"usage"`
	Alerts  []int       `json:"alerts"` // percentages of the plan at which a letter comes
	SignIn  SignInView  `json:"sign_in"`
	Log     []EntryView `json:"log"`
}

// SignInView is how an account signs in, in JSON, without what opens it.
type SignInView struct {
	Password time.Time     `json:"password_since,omitzero"`
	TOTP     time.Time     `json:"second_factor_since,omitzero"`
	Recovery int           `json:"recovery_codes"`
	Sessions []SessionView `json:"sessions"`
	Devices  []DeviceView  `json:"devices"`
	Letters  []LetterView  `json:"letters"`
}

// SessionView is a session in JSON.
type SessionView struct {
	ID      string    `json:"id"`
	Current bool      `json:"current,omitempty"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Expires time.Time `json:"expires"`
	Factor  time.Time `json:"second_factor,omitzero"`
	Address string    `json:"address,omitempty"`
	Agent   string    `json:"agent,omitempty"`
}

// DeviceView is a remembered device in JSON.
type DeviceView struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Expires time.Time `json:"expires"`
}

// LetterView is a link that was mailed, in JSON.
type LetterView struct {
	Purpose string    `json:"purpose"`
	Email   string    `json:"email"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Used    time.Time `json:"used,omitzero"`
}

// ViewSession is how a session is shown.
func ViewSession(s *Session) SessionView {
	return SessionView{
		ID: fmt.Sprintf("%016x", s.ID), Created: s.Created, Seen: s.Seen, Expires: s.Expires, Factor: s.Factor, Address: s.Address, Agent: s.Agent,
	}
}

// ViewDevice is how a remembered device is shown.
func ViewDevice(d *Device) DeviceView {
	return DeviceView{ID: fmt.Sprintf("%016x", d.ID), Name: d.Name, Created: d.Created, Seen: d.Seen, Expires: d.Expires}
}

// UsageView is what a key has used on a day in JSON.
type UsageView struct {
	Day   string `json:"day"`
	Key   string `json:"key"`
	Class string `json:"class"`
	N     int64  `json:"n"`
}

// ViewExport is how an export is written at now.
func ViewExport(x *Export, now time.Time) ExportView {
	v := ExportView{Account: ViewAccount(&x.Account), Plan: ViewPlan(&x.Plan), Keys: []KeyView{}, Usage: []UsageView{}, Log: []EntryView{}, Alerts: x.Alerts}
	v.SignIn = SignInView{Password: x.PasswordSince, TOTP: x.TOTPSince, Recovery: x.Recovery, Sessions: []SessionView{}, Devices: []DeviceView{}, Letters: []LetterView{}}
	for i := range x.Sessions {
		v.SignIn.Sessions = append(v.SignIn.Sessions, ViewSession(&x.Sessions[i]))
	}
	for i := range x.Devices {
		v.SignIn.Devices = append(v.SignIn.Devices, ViewDevice(&x.Devices[i]))
	}
	for _, l := range x.Letters {
		v.SignIn.Letters = append(v.SignIn.Letters, LetterView{l.Purpose, l.Email, l.Created, l.Expires, l.Used})
	}
	for i := range x.Keys {
		v.Keys = append(v.Keys, ViewKey(&x.Keys[i], now))
	}
	for _, u := range x.Usage {
		v.Usage = append(v.Usage, UsageView{u.Day.Format(time.DateOnly), u.Key.String(), u.Class.String(), u.N})
	}
	for i := range x.Log {
		v.Log = append(v.Log, ViewEntry(&x.Log[i]))
	}
	return v
}
