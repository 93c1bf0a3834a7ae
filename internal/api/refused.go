package api

import (
	"github.com/ipwarden/ipwarden/internal/authz"
)

// sighted tells the Watch of a call that was refused because of its key, its quota or
// where it comes from.
func (x *exchange) sighted(r *authz.Refusal) {
	w := x.api.cfg.Watch
	if !w.Wants(x.now) {
		return
	}
	x.readFields()
	c := &x.keyed.call
	who := c.Client
	if !who.IsValid() {
		who = c.Peer
	}
	reason := r.Code.Slug()
	if r.Anonymous() {
		reason = "anonymous-" + reason
	}
	agent := ""
	if v := x.header.Values("User-Agent"); len(v) > 0 {
		agent = v[0]
	}
	w.Note(who, agent, reason)
}
