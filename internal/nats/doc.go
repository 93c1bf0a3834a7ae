// Package nats carries batches of usage over NATS JetStream, and questions about leases
// between regions; and it can be the server itself, in this process.
//
// The call most people want:
//
//	server, err := nats.Serve(nats.ServerConfig{Dir: "/var/lib/ipwarden/stream"})
//	conn, err := nats.Connect(nats.Config{Server: server})
//	stream := conn.Stream("eu-west")
//
// Each region has a server of its own, and every region reads every other's stream as a
// client of it. So no region needs another to take its batches, there is no meta group
// that must have a majority, and a region that was cut off is read on from where it was
// as soon as it can be reached.
package nats
