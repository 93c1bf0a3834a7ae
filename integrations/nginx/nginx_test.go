package nginx

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

type world struct {
	*proxytest.Proxy
	config string
	http2  string // where it speaks HTTP/2
	gate   *proxytest.Gate
	nginx  *proxytest.Process
}

// As it stands nginx waits 50 ms for an answer, which a busy machine may take;
// where that is not what a test is about, it is more.
var patient = []string{"timeout 50ms;", "timeout 5s;", "timeout    50ms;", "timeout 5s;"}

// start starts nginx with the configuration, changed by oldnew if given.
func start(t *testing.T, oldnew ...string) *world {
	t.Helper()
	w := &world{
		Proxy: &proxytest.Proxy{
			Addr: proxytest.FreeAddr(t), App: proxytest.NewApp(t),
			Words: true, MaxLines: 60, Unknown: true,
		},
		gate: proxytest.NewGate(t), http2: proxytest.FreeAddr(t),
	}
	w.nginx, w.config = proxytest.Nginx(t, ".", proxytest.Link{Addr: w.Addr, HTTP2: w.http2, App: w.App.Addr, Unix: w.gate.Unix()}, oldnew...)
	return w
}

func TestNginx(t *testing.T) {
	w := start(t, patient...)
	w.Cases(t)

	t.Run("HTTP/2", func(t *testing.T) { w.HTTP2Cases(t, w.http2) })

	// The problem documents of the configuration have the decision's id.
	t.Run("words", func(t *testing.T) {
		r := proxytest.Get(t, w.Addr, "/block", "X-Forwarded-For: 8.8.8.8")
		if id := strings.Split(r.Body, `"decision_id":"`); r.Header.Get("Content-Type") != "application/problem+json" || len(id) != 2 || strings.Index(id[1], `"`) != 26 {
			t.Errorf("%v %s", r.Header, r.Body)
		}
	})
	// The application's own refusals are its own.
	t.Run("refused by the application", func(t *testing.T) {
		for i, path := range []string{"/status/403", "/status/500", "/status/404"} {
			before := w.App.Hits()
			client := fmt.Sprint("X-Forwarded-For: 126.1.2.", i) // nobody says what became of it
			if r := proxytest.Get(t, w.Addr, path, client); r.Seen == nil || w.App.Hits() != before+1 {
				t.Errorf("%s: %+v, asked %d times", path, r, w.App.Hits()-before)
			}
		}
	})
	// C14, F6: the host and path that are decided about are those that the
	// application sees.
	t.Run("absolute form", func(t *testing.T) {
		for _, c := range []struct{ target, want string }{
			{"http://evil.example/block", "HTTP/1.1 403"},
			{"http://evil.example/x", "HTTP/1.1 200"},
		} {
			r := raw(t, w.Addr, "GET "+c.target+" HTTP/1.1\r\nHost: good.example\r\nX-Forwarded-For: 8.8.8.8\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(r, c.want) || strings.Contains(r, "evil.example") {
				t.Errorf("%s: %s", c.target, r)
			}
		}
	})
	// Nobody asks the gate from outside, through nginx or with its words.
	t.Run("the question is internal", func(t *testing.T) {
		for _, path := range []string{"/.ipwarden-auth", "/.ipwarden-refused"} {
			if r := proxytest.Get(t, w.Addr, path, "X-Original-URI: /", "X-Ipwarden-Status: 200"); r.Status != 404 {
				t.Errorf("%s: %+v", path, r)
			}
		}
		if r := proxytest.Get(t, w.Addr, "/gate/nginx/refusal", "X-Ipwarden-Status: 451", "X-Ipwarden-Problem: {}", "X-Forwarded-For: 8.8.8.8"); r.Seen == nil {
			t.Errorf("%+v", r)
		}
		if r := proxytest.Get(t, w.Addr, "/block", "X-Forwarded-For: 8.8.8.8", "X-Ipwarden-Status: 451", "X-Ipwarden-Problem: {}", "X-Ipwarden-Location: /x"); r.Status != 403 || !strings.Contains(r.Body, "decision_id") {
			t.Errorf("%+v", r)
		}
		r := proxytest.Get(t, w.Addr, "/block", "X-Forwarded-For: 8.8.8.8", "X-Original-URI: /public", "X-Original-Method: GET", "X-Forwarded-Uri: /public", "X-Forwarded-Prefix: /public")
		if r.Status != 403 {
			t.Errorf("%+v", r)
		}
	})
}

// TestOutcomes: the limit of failures counts what the application answers.
func TestOutcomes(t *testing.T) {
	w := start(t, patient...)
	const client = "X-Forwarded-For: 8.8.4.4"
	told := uint64(0)
	ask := func(target string) {
		t.Helper()
		// A place is held until what became of the attempt before is counted.
		proxytest.Eventually(t, target+" comes through", func() bool {
			r := proxytest.Get(t, w.Addr, target, client)
			if r.Seen != nil && r.Seen.Header.Get("X-Ipwarden-Awaits") != "" {
				t.Errorf("the application sees %v", r.Seen.Header)
			}
			return r.Seen != nil
		})
		told++
		proxytest.Eventually(t, "the gate hears of "+target, func() bool { return w.gate.Outcomes() == told })
	}
	for range 3 {
		ask("/status/200") // which would be too many, if they had failed
	}
	ask("/status/401")
	if proxytest.Get(t, w.Addr, "/", client).Seen == nil { // no limit waits for it
		t.Error("/ does not come through")
	}
	ask("/status/401")
	proxytest.Eventually(t, "two failures are too many", func() bool {
		r := proxytest.Get(t, w.Addr, "/status/200", client)
		retry, _ := strconv.Atoi(r.Header.Get("Retry-After"))
		if r.Status != 429 || !strings.Contains(r.Body, `"violated-policies":["failures"]`) {
			t.Errorf("after two failures: %d %v %s", r.Status, r.Header, r.Body)
		}
		return retry > 60 // a second while their outcome is on its way
	})
	if w.gate.Outcomes() != told {
		t.Errorf("%d outcomes were told, of %d", w.gate.Outcomes(), told)
	}
}

// TestRefusedBodies: who is refused need not send the body first; without one the
// connection goes on.
func TestRefusedBodies(t *testing.T) {
	w := start(t, patient...)
	head := "POST /block HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 8.8.8.8\r\n"
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", w.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return c, bufio.NewReader(c)
	}
	answer := func(c net.Conn, r *bufio.Reader, request string, status int, word string) {
		t.Helper()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%.60s: %v", request, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != status || !strings.Contains(string(body), word) {
			t.Errorf("%.60s: %d %v %s", request, res.StatusCode, err, body)
		}
	}
	const blocked = `"type":"https://ipwarden.dev/problems/blocked"`
	c, r := dial()
	answer(c, r, head+"Content-Length: 1000000\r\n\r\n", 403, blocked) // nothing of it comes
	c, r = dial()
	answer(c, r, head+"Content-Length: 1000000\r\n\r\nabc", 403, blocked)
	c, r = dial()
	answer(c, r, head+"Transfer-Encoding: chunked\r\n\r\n3e8\r\nabc", 403, blocked)
	c, r = dial()
	answer(c, r, head+"Content-Length: 5\r\n\r\nhello", 403, blocked)
	c, r = dial()
	for _, body := range []string{"Content-Length: 1\r\n\r\nh", "Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		answer(c, r, head+body, 403, blocked)
	}
	answer(c, r, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 8.8.8.8\r\n\r\n", 200, `"Path":"/"`)
}

// TestGateAwayBetween: it has refused, and is gone before it says how.
func TestGateAwayBetween(t *testing.T) {
	w := start(t, append(patient, "rewrite ^ /gate/nginx/refusal? break;\n            proxy_pass http://ipwarden;", "proxy_pass http://"+proxytest.FreeAddr(t)+";")...)
	for target, want := range map[string]int{"/block": 403, "/legal": 403, "/a%5cb": 400, "/challenge": 302} {
		r := proxytest.Get(t, w.Addr, target, "X-Forwarded-For: 8.8.8.8", "Accept: text/html")
		if r.Status != want || r.Seen != nil || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %+v", target, r)
		}
		if want != 302 && (r.Header.Get("Content-Type") != "application/problem+json" || !json.Valid([]byte(r.Body))) {
			t.Errorf("%s: %v %s", target, r.Header, r.Body)
		}
	}
	for range 2 {
		proxytest.Get(t, w.Addr, "/limited", "X-Forwarded-For: 8.8.4.4")
	}
	r := proxytest.Get(t, w.Addr, "/limited", "X-Forwarded-For: 8.8.4.4")
	if r.Status != 429 || r.Header.Get("Retry-After") == "" || r.Header.Get("RateLimit") == "" || !strings.Contains(r.Body, `"violated-policies":["few"]`) {
		t.Errorf("%d %v %s", r.Status, r.Header, r.Body)
	}
}

// An answer that has much to say is still one: what nginx had no room for would be a
// gate that is away, and the request would pass.
func TestManyLimits(t *testing.T) {
	w := start(t, patient...)
	for _, want := range []int{200, 429} {
		r := proxytest.Get(t, w.Addr, "/many", "X-Forwarded-For: 8.8.4.4")
		if r.Status != want || len(r.Header.Get("RateLimit-Policy")) < 1000 {
			t.Errorf("%+v", r)
		}
	}
}

// raw sends bytes and returns what comes.
func raw(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return b.String()
		}
	}
}

// unasked wants a request that passed without the gate: the application is told,
// and sees nothing that the client forged.
func (w *world) unasked(t *testing.T) {
	t.Helper()
	before := w.App.Hits()
	r := proxytest.Get(t, w.Addr, "/block", "X-Ipwarden-Verdict: allow", "X-Ipwarden-Country: SE", "X-Forwarded-For: 198.51.100.20, 8.8.8.8")
	if r.Status != 200 || r.Seen == nil || w.App.Hits() != before+1 {
		t.Fatalf("%+v", r)
	}
	for name, want := range map[string]string{"X-Ipwarden-Verdict": "unavailable", "X-Ipwarden-Country": "", "X-Forwarded-For": "8.8.8.8"} {
		if got := strings.Join(r.Seen.Header.Values(name), ", "); got != want {
			t.Errorf("the application sees %s: %q, want %q", name, got, want)
		}
	}
	if r.Took > 5*time.Second {
		t.Errorf("it took %v", r.Took)
	}
}

// A gate that takes too long, and one that is gone: requests pass. When it is
// back, it is asked again.
func TestGateAway(t *testing.T) {
	w := start(t)
	asked := func() bool { return proxytest.Get(t, w.Addr, "/block", "X-Forwarded-For: 8.8.8.8").Status == 403 }
	w.gate.SetSlow(true)
	w.unasked(t)
	w.gate.SetSlow(false)
	proxytest.Eventually(t, "the gate is asked again", asked)
	w.gate.Kill()
	for range 5 {
		w.unasked(t)
	}
	if left := w.Forged(t, "/"); len(left) > 0 {
		t.Errorf("the application sees what the client said: %q", left)
	}
	w.gate.Start()
	proxytest.Eventually(t, "the gate is asked again", asked)
}

// The other way: without two lines, nothing passes unasked.
func TestClosed(t *testing.T) {
	w := start(t, append(patient, "proxy_intercept_errors on;", "", "error_page 500 502 503 504 =204 @ipwarden-away;", "")...)
	if r := proxytest.Get(t, w.Addr, "/", "X-Forwarded-For: 8.8.8.8"); r.Status != 200 {
		t.Fatalf("%+v", r)
	}
	w.gate.Kill()
	if r := proxytest.Get(t, w.Addr, "/", "X-Forwarded-For: 8.8.8.8"); r.Status != 500 || r.Seen != nil {
		t.Errorf("%+v", r)
	}
}

// A reload under load: every request is answered, and each that should be
// refused is.
func TestReload(t *testing.T) {
	w := start(t, patient...)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]int{}
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := proxytest.Try(t, w.Addr, "GET", "/block", "", "X-Forwarded-For: 8.8.8.8")
				mu.Lock()
				if err == nil {
					seen[r.Status]++
				}
				mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"first", "second"} {
		// What is new is seen at a place of its own.
		changed := strings.Replace(string(text), "location @ipwarden-away {", "location = /.mark-"+mark+" { return 204; }\n location @ipwarden-away {", 1)
		if err := os.WriteFile(w.config, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
		w.nginx.Signal(syscall.SIGHUP)
		proxytest.Eventually(t, "the configuration was read again", func() bool {
			r, err := proxytest.Try(t, w.Addr, "GET", "/.mark-"+mark, "")
			return err == nil && r.Status == 204
		})
	}
	close(stop)
	clients.Wait()
	t.Logf("statuses: %v", seen)
	if seen[403] == 0 || len(seen) != 1 {
		t.Errorf("statuses: %v", seen)
	}
}
