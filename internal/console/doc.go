// Package console is the web pages of accounts: signing up and in, keys, usage, limits,
// security, and the end of an account. They are rendered here, work without JavaScript,
// and load nothing from anywhere else.
//
// The call most people want:
//
//	c, err := console.New(console.Config{People: p, Accounts: service, URL: "https://ip.example", …})
//	api.Config{Mounts: []api.Mount{{console.Prefix, c}}, …}
//
// What people may do is in package people; here is how it looks. A form that another
// site has sent is refused (net/http's CrossOriginProtection), and cookies are strict.
package console
