package spoa

import "testing"

// No frame of HAProxy's, however wrong, makes the agent panic, read beyond it,
// or answer with what is not a frame of the size agreed.
func FuzzFrames(f *testing.F) {
	f.Add(notifyFrame(nil, 1, 1, browser(nil)))
	f.Add(notifyFrame(notifyFrame(nil, 1, 1, message(nil, messageOutcome, kv{"decision", "d"}, kv{"status", 401})), 2, 300, browser(nil)))
	f.Add(appendHello(nil, hello{maxFrame: 300, pipelining: true}))
	f.Add(appendDisconnect(nil, 4, "why"))
	f.Add([]byte{0, 0, 0, 9, frameNotify, 0, 0, 0, 1, 5, 6, 'a', 'b'})
	f.Fuzz(func(t *testing.T, b []byte) {
		var x exchange
		for limit := 512; len(b) > 0; {
			fr, n, err := nextFrame(b, limit)
			if err != nil || n == 0 {
				return
			}
			if n > lengthSize+limit || n > len(b) {
				t.Fatalf("a frame of %d bytes in %d", n, len(b))
			}
			b = b[n:]
			if h, err := parseHello(fr.payload, limit); err == nil && (h.maxFrame < leastMax || h.maxFrame > limit) {
				t.Fatalf("agreed on %+v", h)
			}
			if x.parse(fr.payload) != nil {
				continue
			}
			if len(x.request.Path)+len(x.request.Query)+len(x.request.Method) > len(fr.payload) {
				t.Fatal("more text than there was")
			}
			enrich(&x.answer)
			x.answer.SetUpstream(x.request.Method, x.request.Path)
			ack, _ := appendAck(nil, &fr, &x, limit)
			if _, stream, id, err := variables(ack, limit); err != nil || stream != fr.stream || id != fr.id {
				t.Fatalf("stream %d, frame %d: %v", stream, id, err)
			}
		}
	})
}

func FuzzVarint(f *testing.F) {
	f.Add([]byte{0xf0, 0}, uint64(240))
	f.Fuzz(func(t *testing.T, b []byte, v uint64) {
		if got, rest, err := varint(appendVarint(nil, v)); err != nil || got != v || len(rest) != 0 {
			t.Fatalf("%d reads as %d, %v", v, got, err)
		}
		if _, rest, err := varint(b); err == nil && len(rest) >= len(b) {
			t.Fatal("a number of no bytes")
		}
	})
}
