// Package people lets people have accounts: they sign up, confirm their address, sign
// in with a password and a second factor, and look after all of that themselves. What
// operators do is in package account, beneath it.
//
// The calls that most people want:
//
//	p, err := people.New(people.Config{Accounts: service, Store: store, Secret: secret, Send: box.Send, …})
//	…
//	in, err := p.SignIn(ctx, visit, email, password) // in.Session, or in.Ticket for SecondFactor
//	s, err := p.Session(ctx, text)                   // of a cookie or a bearer token
//
// Nothing here tells anybody whether an address has an account: the answers, the work
// and the number of letters are the same. Of what opens a door only a hash is kept.
package people
