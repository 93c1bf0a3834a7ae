// Package dialect answers in the wire formats of other vendors, from our own
// data: who points an existing client at ipwarden changes nothing else.
//
//	set, err := dialect.New(dialect.Config{})
//	d, path := set.Find(host, path) // by virtual host, or below /compat/NAME
//	d.Serve(call)                   // call.Out, call.Status, call.ContentType
//
// A dialect is a vendor's names and routes, the places where its clients put
// their key, and how it writes a record, a mistake and a refusal. It sees a
// [Call]: the neutral half of a request goes in, the neutral half of a response
// comes out. What carries it (net/http, the fast listener) is package api's.
//
// Null, omission, types, status codes and the texts of errors are the vendor's.
// What the vendor has and our data does not is null, empty or left out, as the
// vendor does it for an address of which it knows nothing; nothing is made up.
//
// A file a vendor; dialects in [All] is the table of them.
package dialect
