// Package challenge lets a client prove itself that the policy wants to: a
// computation in its browser, a wait and a click where there is no script, or a
// CAPTCHA. Who has proven itself gets a clearance, a signed cookie.
//
// The call most people want gives the gate its challenges, and serves their page
// in front of it:
//
//	c, err := challenge.New(challenge.Config{Key: key})
//	g, err := gate.New(gate.Config{Challenges: c, …})
//	http.ListenAndServe(addr, c.Handler(g.Handler(app)))
//
// A clearance holds for a network (/24 of IPv4, /64 of IPv6) and up to a score,
// and for a while. It refuses to clear an address: others behind it have no
// cookie. A solution counts once. The page loads nothing from elsewhere, unless
// a CAPTCHA's operator wants it to.
package challenge
