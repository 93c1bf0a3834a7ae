package extauthz

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/door"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// bytesCodec sends bytes as they are, whatever they are.
type bytesCodec struct{ encoding.CodecV2 }

func (c bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// spoil makes a question whose host is bytes that are no UTF-8, which protobuf does
// not write by itself.
func spoil(t testing.TB, q *auth.CheckRequest, is, by string) []byte {
	t.Helper()
	b, err := proto.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	if len(is) != len(by) || !bytes.Contains(b, []byte(is)) {
		t.Fatalf("%q cannot stand for %q", by, is)
	}
	return bytes.ReplaceAll(b, []byte(is), []byte(by))
}

// A question that cannot be read is refused by an answer: an error would let it pass
// where Envoy is told to let pass what is not answered.
func TestUnreadableQuestionsAreRefused(t *testing.T) {
	asked := 0
	e := startTCP(t, Config{Decide: func(_ context.Context, _ *ipwarden.Request, a *door.Answer) {
		asked++
		a.Verdict = ipwarden.Allow
	}})
	plain := question("192.0.2.1", "GET", "shop.example", "/blocked", true, "x-a: value")
	whole, err := proto.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	deep := []byte(nil)
	for range 20_000 { // attributes.metadata_context… of messages in messages
		deep = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), deep[:min(len(deep), 60_000)])
	}
	for name, b := range map[string][]byte{
		"a path":             spoil(t, plain, "/blocked", "/\xffblocke"),
		"a host":             spoil(t, plain, "shop.example", "sh\xc3(.example"),
		"a field's name":     spoil(t, plain, "x-a", "x\x80a"),
		"joined":             spoil(t, question("192.0.2.1", "GET", "a", "/", false, "x-a: value"), "value", "val\xed\xa0"),
		"cut off":            whole[:len(whole)-3],
		"a length that lies": protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.BytesType), 1<<62),
		"an endless number":  append(protowire.AppendTag(nil, 1, protowire.BytesType), bytes.Repeat([]byte{0xff}, 11)...),
		"an unknown type":    {0x0f},
		"junk":               []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		out := new(auth.CheckResponse)
		err := e.conn.Invoke(t.Context(), auth.Authorization_Check_FullMethodName, b, out, grpc.ForceCodecV2(bytesCodec{encoding.GetCodecV2("proto")}))
		if err != nil || out.GetDeniedResponse().GetStatus().GetCode() != 400 || !strings.Contains(out.GetDeniedResponse().GetBody(), "cannot be read") {
			t.Errorf("%s: %v, %v", name, out, err)
		}
		if err := out.ValidateAll(); err != nil {
			t.Errorf("%s: Envoy would not take the answer: %v", name, err)
		}
	}
	if asked != 0 {
		t.Errorf("%d were decided about", asked)
	}
	// What is in addition is passed over, as protobuf has it.
	more := append(bytes.Clone(whole), protowire.AppendBytes(protowire.AppendTag(nil, 1000, protowire.BytesType), deep)...)
	if err := e.conn.Invoke(t.Context(), auth.Authorization_Check_FullMethodName, more, new(auth.CheckResponse), grpc.ForceCodecV2(bytesCodec{encoding.GetCodecV2("proto")})); err != nil || asked != 1 {
		t.Errorf("with a field that nobody knows: %v", err)
	}
	// The largest header that Envoy may be told to take.
	large := question("192.0.2.1", "GET", "a", "/", true, "x-a: "+strings.Repeat("a", 8<<20))
	if r := e.check(large); r.GetOkResponse() == nil {
		t.Errorf("8 MiB: %v", r.GetStatus())
	}
}

// An answer with a client's own bytes in it is written.
func TestAnswersAreWritten(t *testing.T) {
	e := startTCP(t, Config{Decide: func(_ context.Context, r *ipwarden.Request, a *door.Answer) {
		a.Verdict = ipwarden.Block
		if r.Path == "/pass" {
			a.Verdict = ipwarden.Allow
		}
		a.Location, a.Status = "/to?\xff", 302
		if r.Path == "/pass" {
			a.Location, a.Status = "", 0
		}
		a.SetUpstream("X-Ipwarden-Tags", "a\xffb")
		a.SetReply("X-Told", "\xc3(")
		a.Body = append(a.Body, "\xff"...)
	}})
	for _, path := range []string{"/", "/pass"} {
		r := e.check(question("192.0.2.1", "GET", "a", path, true))
		if path == "/pass" != (r.GetOkResponse() != nil) {
			t.Errorf("%s: %v", path, r)
		}
	}
}

// A flood is a client of HTTP/2 that does what it likes.
type flood struct {
	t *testing.T
	c net.Conn
	f *http2.Framer
	h []byte // the header of a question
}

func (e *envoy) flood(t *testing.T) *flood {
	t.Helper()
	c, err := net.Dial("tcp", e.conn.Target())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := &flood{t: t, c: c, f: http2.NewFramer(c, c)}
	if err := f.f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	f.h = header("application/grpc", auth.Authorization_Check_FullMethodName)
	return f
}

func header(contentType, path string, more ...string) []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i, all := 0, append([]string{
		":method", "POST", ":scheme", "http", ":path", path, ":authority", "x", "content-type", contentType, "te", "trailers",
	}, more...); i < len(all); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]})
	}
	return block.Bytes()
}

// ends reads until a stream has ended, or the connection.
func (f *flood) ends() {
	f.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := f.f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if frame.StreamEnded() {
				return
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return
		}
	}
}

// What can be done to the connection of HTTP/2, by whom Peers lets in, takes nothing
// from the others and leaves nothing behind.
func TestFloods(t *testing.T) {
	e := startTCP(t, Config{Decide: func(_ context.Context, _ *ipwarden.Request, a *door.Answer) { a.Verdict = ipwarden.Allow }})
	q := question("192.0.2.1", "GET", "a", "/", true)
	body, err := proto.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	message := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...)
	e.check(q)
	before := runtime.NumGoroutine()
	heap := inUse()
	for name, attack := range map[string]func(f *flood){
		"streams that are reset at once": func(f *flood) {
			go func() { _, _ = io.Copy(io.Discard, f.c) }()
			for id := uint32(1); id < 40_000; id += 2 {
				if f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.h, EndHeaders: true}) != nil ||
					f.f.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
					return // it was ended
				}
			}
		},
		"questions that are reset at once": func(f *flood) {
			go func() { _, _ = io.Copy(io.Discard, f.c) }()
			for id := uint32(1); id < 20_000; id += 2 {
				if f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.h, EndHeaders: true}) != nil ||
					f.f.WriteData(id, true, message) != nil || f.f.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
					return
				}
			}
		},
		"a header without end": func(f *flood) {
			pad := bytes.Repeat([]byte{0}, 16<<10) // of an indexed field that is none
			_ = f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.h})
			for range 2000 {
				if f.f.WriteContinuation(1, false, pad) != nil {
					return
				}
			}
			f.t.Error("a header of 32 MB was taken")
		},
		"empty continuations": func(f *flood) {
			_ = f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.h})
			for range 20_000 {
				if f.f.WriteContinuation(1, false, nil) != nil {
					return
				}
			}
		},
		"metadata": func(f *flood) {
			h := header("application/grpc", auth.Authorization_Check_FullMethodName, "x-a", strings.Repeat("a", maxMetadata))
			for first := true; len(h) > 0; first = false {
				n := min(len(h), 16<<10)
				if first {
					_ = f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h[:n]})
				} else {
					_ = f.f.WriteContinuation(1, n == len(h), h[:n])
				}
				h = h[n:]
			}
			f.ends()
		},
		"more streams than may be": func(f *flood) {
			for id := uint32(1); id < 2*(2*maxStreams); id += 2 {
				if f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.h, EndHeaders: true}) != nil {
					return
				}
			}
		},
		"settings": func(f *flood) {
			go func() { _, _ = io.Copy(io.Discard, f.c) }()
			for range 20_000 {
				if f.f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}) != nil {
					return
				}
			}
		},
		"pings": func(f *flood) {
			go func() { _, _ = io.Copy(io.Discard, f.c) }()
			for range 20_000 {
				if f.f.WritePing(false, [8]byte{}) != nil {
					return
				}
			}
		},
		"pings whose answers nobody reads": func(f *flood) {
			_ = f.c.SetWriteDeadline(time.Now().Add(2 * time.Second)) // it may be held up
			for range 200_000 {
				if f.f.WritePing(false, [8]byte{}) != nil {
					return
				}
			}
		},
		"a message of 4 GB": func(f *flood) {
			_ = f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.h, EndHeaders: true})
			_ = f.f.WriteData(1, false, []byte{0, 0xff, 0xff, 0xff, 0xff, 1})
			f.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			for {
				frame, err := f.f.ReadFrame()
				if err != nil {
					f.t.Errorf("a message of 4 GB: %v", err)
					return
				}
				if h, ok := frame.(*http2.MetaHeadersFrame); ok {
					if got := fmt.Sprint(h.Fields); !strings.Contains(got, `"grpc-status" = "8"`) {
						f.t.Errorf("a message of 4 GB: %s", got)
					}
					return
				}
			}
		},
		"half a message": func(f *flood) {
			_ = f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.h, EndHeaders: true})
			_ = f.f.WriteData(1, true, message[:len(message)/2])
		},
		"a compressed message": func(f *flood) {
			_ = f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.h, EndHeaders: true})
			_ = f.f.WriteData(1, true, append([]byte{1}, message[1:]...))
		},
		"trailers of a client": func(f *flood) {
			_ = f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.h, EndHeaders: true})
			_ = f.f.WriteData(1, false, message)
			_ = f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: header("application/grpc", "/x"), EndHeaders: true, EndStream: true})
		},
		"frames that are too large": func(f *flood) {
			_, _ = f.c.Write(append([]byte{0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1}, make([]byte, 1<<16)...))
			f.ends()
		},
		"bytes": func(f *flood) { _, _ = f.c.Write(bytes.Repeat([]byte{0xa5}, 1<<16)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := e.flood(t)
			attack(f)
			e.check(q) // another client is answered
			f.c.Close()
			e.check(q)
		})
	}
	proxytest.Eventually(t, "what served them is gone", func() bool { return runtime.NumGoroutine() <= before+8 })
	if now := inUse(); now > heap+64<<20 {
		t.Errorf("%d MiB are in use, %d before", now>>20, heap>>20)
	}
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// Whatever a question is, it has an answer that Envoy takes.
func FuzzQuestion(f *testing.F) {
	whole, err := proto.Marshal(question("192.0.2.1", "GET", "shop.example", "/a?b", true, "x-a: b", "cookie: c=d"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:40])
	f.Add([]byte{0x0a, 0x00})
	s, err := New(Config{Decide: func(_ context.Context, r *ipwarden.Request, a *door.Answer) {
		a.Verdict = ipwarden.Verdict(len(r.Path) % 7)
		a.Location = r.Path
		a.SetUpstream("X-Ipwarden-Host", r.Host)
		a.SetReply("X-Query", r.Query)
		a.Body = append(a.Body, r.Method...)
	}})
	if err != nil {
		f.Fatal(err)
	}
	c := codec{encoding.GetCodecV2("proto")}
	f.Fuzz(func(t *testing.T, b []byte) {
		q := new(auth.CheckRequest)
		if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, q); err != nil {
			t.Fatal(err)
		}
		r, err := s.Check(t.Context(), q)
		if err != nil {
			if q.GetAttributes().GetRequest().GetHttp() != nil {
				t.Fatal(err)
			}
			return
		}
		if _, err := proto.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}
