package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/policy/compile"
)

// The bars speak of twenty rules, and of nothing that runs on CEL itself.
func TestGatePolicy(t *testing.T) {
	p, err := compile.Read("gatepolicy.yaml", gatePolicy, compile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Program.Rules()); n != 20 {
		t.Errorf("%d rules, want 20", n)
	}
	if p.Foreign != 0 {
		t.Errorf("%d parts of conditions were not lowered", p.Foreign)
	}
}

func TestTexts(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("8.8.8.8")}
	lists := texts{}
	for range 2 {
		list := lists.of(addrs)
		for i, want := range addrs {
			if got := list.at(i); got != want.String() {
				t.Errorf("address %d as text: %s, want %s", i, got, want)
			}
		}
	}
}

func TestBareHandlerPasses(t *testing.T) {
	c, err := openBareHandler(nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := c.pass(make([]netip.Addr, 3)); n != 3 {
		t.Errorf("%d of 3 requests reached the application", n)
	}
}

func TestSPOP(t *testing.T) {
	ours, theirs := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serveSPOP(theirs) }()
	frame := func(kind byte, rest string) []byte {
		return append([]byte{0, 0, 0, byte(5 + len(rest)), kind, 0, 0, 0, 1}, rest...)
	}
	answer := func(question, want []byte) {
		t.Helper()
		if _, err := ours.Write(question); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		for n := 0; n < len(got); {
			k, err := ours.Read(got[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
		if string(got) != string(want) {
			t.Errorf("%q is answered with %q, want %q", question, got, want)
		}
	}
	answer(frame(spopHello, "\x00\x00"), frame(spopAgentHello, "\x00\x00"+spopWelcome))
	// Stream 300 takes two bytes, frame 5 one; two frames in one write.
	ack := frame(spopAck, "\xfc\x03\x05"+spopAllow)
	answer(append(frame(spopNotify, "\xfc\x03\x05ignored"), frame(spopNotify, "\xfc\x03\x05")...), append(ack, ack...))
	if _, err := ours.Write(frame(spopNotify, "\xff\xff")); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a number that does not end is taken")
	}
}

func TestAnswerSize(t *testing.T) {
	for _, tt := range []struct {
		head string
		body int
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nEtag: x\r\n\r\n", 12},
		{"HTTP/1.1 204 No Content\r\n\r\n", 0},
	} {
		got, ok := answerSize([]byte(tt.head + "what follows"))
		if want := len(tt.head) + tt.body; !ok || got != want {
			t.Errorf("%q: %d bytes, want %d", tt.head, got, want)
		}
	}
	if got, ok := answerSize([]byte("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n")); ok {
		t.Errorf("half a head is an answer of %d bytes", got)
	}
}

func TestPace(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/page" || r.Header.Get("X-Client") == "" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "addresses")
	if err := os.WriteFile(file, []byte("192.0.2.1\n192.0.2.2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	requests, err := browserRequests(file)
	if err != nil || len(requests) != 2 {
		t.Fatalf("%d requests, %v", len(requests), err)
	}
	p, err := paceOver(s.Listener.Addr().String(), requests, 200, 1)
	if err != nil {
		t.Fatal(err)
	}
	if p.Requests != 200 || p.Bad != 0 || p.P50 <= 0 || p.P99 < p.P50 || p.Max < p.P99 {
		t.Errorf("of 200 requests: %+v", p)
	}
}

// The rules that people copy are those that are measured.
func TestHAProxyRulesAreTaken(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "integrations", "haproxy", "haproxy.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := frontendOf(string(text), "127.0.0.1:4711", "/x/spoe.cfg")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"frontend full\n", "bind 127.0.0.1:4711\n", "config /x/spoe.cfg\n", "http-request set-header X-Ipwarden-Country"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the frontend", want)
		}
	}
	if _, err := frontendOf("frontend other\n", "", ""); err == nil {
		t.Error("a file without the frontend is taken")
	}
}

func TestModuleRoot(t *testing.T) {
	root, err := moduleRoot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "integrations", "nginx", "ipwarden-question.conf")); err != nil {
		t.Error(err)
	}
}

func TestVerdictWithoutAPeer(t *testing.T) {
	v := verdict{bar: bar{row: "a", goal: 600}, own: stats{500, 600, 700}}
	if !v.met() {
		t.Error("600 does not meet 600")
	}
	v.own = stats{601}
	if v.met() {
		t.Error("601 meets 600")
	}
	var b strings.Builder
	writeVerdicts(&b, []verdict{v})
	if !strings.Contains(b.String(), "none; at most 600") {
		t.Errorf("it is written %s", b.String())
	}
}

// A machine that stands still for a moment is seen in the whole, and not in the median of
// the parts.
func TestSummedKnowsStalls(t *testing.T) {
	var waits []wait
	for i := range 20_000 { // two seconds
		due := time.Duration(i) * 100 * time.Microsecond
		took := time.Millisecond
		if stalled := 1060*time.Millisecond - due; stalled > 0 && stalled <= 60*time.Millisecond {
			took += stalled
		}
		waits = append(waits, wait{due, took})
	}
	got := summed(waits, 0)
	if got.Requests != 20_000 || got.P50 != 1000 || got.P99 < 20_000 || got.Calm99 != 1000 {
		t.Errorf("%+v", got)
	}
}
