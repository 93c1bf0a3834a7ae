package gateway

import "strings"

// A keeper copies values out of a decision's memory, which is another request's when
// this one is over: HTTP/2 keeps header lines in the table of its compression for as
// long as the connection lasts (RFC 7541 section 2.3.2), and a request that was given
// up may still be on its way to the upstream.
type keeper struct{ text strings.Builder }

// keeperRoom is what the values of one message mostly need, in bytes.
const keeperRoom = 256

// keep returns value in memory that nobody writes to again. One piece holds many.
func (k *keeper) keep(value string) string {
	if k.text.Cap()-k.text.Len() < len(value) {
		k.text = strings.Builder{}
		k.text.Grow(max(keeperRoom, len(value)))
	}
	from := k.text.Len()
	k.text.WriteString(value)
	return k.text.String()[from:]
}
