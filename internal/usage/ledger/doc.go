// Package ledger counts in memory-mapped files: calls by key, by client address and by
// referer. To count costs nanoseconds, and what was counted survives the process,
// however it ends.
//
// The call most people want:
//
//	l, err := ledger.Open(ledger.Config{Dir: "/var/lib/ipwarden/ledger", Region: "eu-west"})
//	…
//	key := l.Key(id, account)
//	l.Count(key, customer.EndpointLookup, customer.Charged, 1)
//	l.CountClient(client, 1)
//
// Counts only grow. Beside each stands how much of it was frozen into a batch: a file
// in the spool with the node's identity and the next sequence number, synced and
// renamed into place before anything is sent, and deleted when the stream has it. So a
// process that dies at any instruction finds on the next start either the batch, and
// raises "frozen" to what the batch says, or no batch, and freezes these counts anew.
// Nothing is lost and nothing counted twice.
//
// It refuses a folder that another process counts in, files it did not write, and a
// disk without room for them: they are allocated in full before the first count, so
// that a full disk is an error at the start and never a signal later.
package ledger
