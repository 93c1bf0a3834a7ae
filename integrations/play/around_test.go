package play

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// closed lets nobody in below /closed, /proved and /moved.
const closed = `version: 1
rules:
  - {name: closed, when: 'request.path.startsWith("/closed")', action: block}
  - {name: proved, when: 'request.path.startsWith("/proved")', action: challenge}
  - {name: moved, when: 'request.path.startsWith("/moved")', action: allow, response: elsewhere}
  - {name: data centre, when: ip.security.is_hosting, action: block}
responses:
  elsewhere: {redirect: 'https://other.example{request.path}?{request.query}'}
routes:
  - {name: all, path: /*, budget: 2s}
`

// No request can be written so that its question to the gate breaks, and it passes
// because nobody has answered: neither by its size nor by its bytes.
func TestNobodyGoesRound(t *testing.T) {
	app := proxytest.NewApp(t)
	n := startNode(t, closed)
	for _, p := range proxies(t, n, app) {
		t.Run(p.name, func(t *testing.T) {
			for name, text := range aroundTheGate() {
				before := app.Hits()
				answer := p.raw(t, text)
				if app.Hits() != before {
					t.Errorf("%s: the application was asked: %.300q", name, answer)
				}
			}
		})
	}
}

// aroundTheGate are requests for what is closed, by what is odd about them.
func aroundTheGate() map[string]string {
	all := map[string]string{}
	add := func(name, line, host, fields string) {
		all[name] = line + " HTTP/1.1\r\nHost: " + host + "\r\n" + fields + "Connection: close\r\n\r\n"
	}
	for _, kb := range []int{4, 15, 31, 60, 72, 100, 128, 200, 300, 500, 900, 1000} {
		size := kb << 10
		for name, fields := range map[string]string{
			"a long line": "X-Pad: " + strings.Repeat("p", size) + "\r\n", "lines": strings.Repeat("X-Pad: "+strings.Repeat("p", 990)+"\r\n", kb),
			"tiny lines": strings.Repeat("a: b\r\n", size/6), "cookies": "Cookie: " + strings.Repeat("a=b; ", size/5) + "\r\n",
			"addresses": "X-Forwarded-For: " + strings.Repeat("8.8.8.8, ", size/9) + "192.0.2.200\r\n",
		} {
			add(fmt.Sprint(kb, " KiB of ", name), "GET /closed", "shop.example", fields)
		}
		add(fmt.Sprint(kb, " KiB of query"), "GET /closed?"+strings.Repeat("q", size), "shop.example", "")
		add(fmt.Sprint(kb, " KiB of path"), "GET /closed/"+strings.Repeat("q", size), "shop.example", "")
	}
	// Where a client is sent has what it asked for in it, and the proxy has so much room
	// for that.
	for _, text := range []string{"a", "&", "=%", "%C3%A9", "%25"} {
		for _, size := range []int{500, 1000, 1300, 1600, 1900, 2100, 3000, 6000, 7900} {
			for _, path := range []string{"/proved", "/moved"} {
				for _, more := range []string{"?", "/"} {
					if text == "=%" && more == "/" {
						continue // a path with a percent sign of its own is refused
					}
					add(fmt.Sprintf("%d bytes of %s behind %s%s", size, text, path, more), "GET "+path+more+strings.Repeat(text, size/len(text)), "shop.example", "X-Forwarded-For: 192.0.2.7\r\n")
				}
			}
		}
	}
	for _, c := range []byte("\x00\x01\x08\t\x0b\x0c\r\x1b !\"#$%&'()*+,/:;<=>?@[\\]^_`{|}~\x7f\x80\xa0\xc3\xff") {
		at := string([]byte{c})
		add(fmt.Sprintf("byte %#x in a value", c), "GET /closed", "shop.example", "X-A: a"+at+"b\r\n")
		add(fmt.Sprintf("byte %#x in a name", c), "GET /closed", "shop.example", "X-A"+at+"b: c\r\n")
		add(fmt.Sprintf("byte %#x in a path", c), "GET /closed"+at, "shop.example", "")
		add(fmt.Sprintf("byte %#x in a query", c), "GET /closed?a"+at+"b", "shop.example", "")
		add(fmt.Sprintf("byte %#x in a host", c), "GET /closed", "shop"+at+".example", "")
		add(fmt.Sprintf("byte %#x in a method", c), "GE"+at+"T /closed", "shop.example", "")
		add(fmt.Sprintf("byte %#x in the address", c), "GET /closed", "shop.example", "X-Forwarded-For: 192.0.2.200"+at+"\r\n")
	}
	for name, fields := range map[string]string{
		"Expect": "Expect: 100-continue\r\n", "another Expect": "Expect: 200-maybe\r\n",
		"an upgrade":              "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
		"an upgrade to HTTP/2":    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
		"trailers":                "TE: trailers\r\nTrailer: X-A\r\n",
		"conditions":              "Range: bytes=0-0\r\nIf-None-Match: *\r\nIf-Match: *\r\nIf-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT\r\n",
		"the question's own":      "X-Forwarded-Uri: /\r\nX-Original-URI: /\r\nX-Forwarded-Method: \x7f\r\nX-Forwarded-Host: \x01\r\n",
		"credentials":             "Authorization: Bearer x\r\nProxy-Authorization: Basic eA==\r\n",
		"old connection fields":   "Keep-Alive: 1\r\nProxy-Connection: keep-alive\r\n",
		"a folded line":           "X-A: a\r\n b\r\n",
		"codings":                 "Content-Encoding: gzip\r\nAccept-Encoding: gzip;q=NaN\r\n",
		"a long Accept":           "Accept: " + strings.Repeat("a/b;q=0.1,", 500) + "\r\n",
		"no name":                 ": b\r\n",
		"no colon":                "abc\r\n",
		"connection fields named": "Connection: X-Original-URI, X-Real-IP, X-Forwarded-For, X-Forwarded-Uri, X-Forwarded-Method, Host\r\n",
	} {
		add(name, "GET /closed", "shop.example", fields)
	}
	for name, line := range map[string]string{
		"TRACE": "TRACE /closed", "CONNECT": "CONNECT /closed", "a long method": strings.Repeat("M", 4000) + " /closed",
		"an absolute target": "GET http://shop.example/closed", "one with a port that is none": "GET http://shop.example:99999999/closed",
		"one with a user": "GET http://a:b@shop.example/closed", "out of the challenge's page": "GET /.ipwarden/../closed",
		"out of it, encoded": "GET /.ipwarden/%2e%2e/closed", "out of it, by two slashes": "GET /.ipwarden//../closed",
		"out of it, by an encoded slash": "GET /.ipwarden%2f..%2fclosed", "into it, encoded": "GET /%2eipwarden/../closed",
		"below it": "GET /.ipwarden/closed",
	} {
		add(name, line, "shop.example", "X-Forwarded-For: 192.0.2.200\r\n")
	}
	for _, host := range []string{"", strings.Repeat("h", 7000), "a\r\nHost: b", "a:b:c", "[::1", "a b"} {
		add(fmt.Sprintf("the host %.20q", host), "GET /closed", host, "")
	}
	all["HTTP/1.0"] = "GET /closed HTTP/1.0\r\n\r\n"
	all["a body"] = "POST /closed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	return all
}

// raw sends bytes to a proxy, and returns what comes until it has nothing more to say.
func (p *proxy) raw(t *testing.T, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, text) // who refuses it early reads no more
	}()
	answer, _ := io.ReadAll(io.LimitReader(c, 1<<20)) // and may reset the connection
	c.Close()
	<-sent
	return string(answer)
}
