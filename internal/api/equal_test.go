package api

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The two shells answer alike: the same status line, header lines and body,
// but for Date, Server and Connection. The order of the header lines, to which
// HTTP gives no meaning, is each transport's own.
func TestListenersAnswerAlike(t *testing.T) {
	s, _ := serve(t, ServerConfig{FastListen: "127.0.0.1:0"})
	for _, raw := range goodAndHostile() {
		var got [2]reply
		c, br := dial(t, s.Addr())
		got[0] = ask(t, c, br, raw)
		c, br = dial(t, s.FastAddr())
		got[1] = ask(t, c, br, raw)
		if got[0].line != got[1].line || !slices.Equal(got[0].lines, got[1].lines) || got[0].body != got[1].body {
			t.Errorf("%s\nnet/http: %s\n%s\n%s\nfast:     %s\n%s\n%s", short(raw), got[0].line, strings.Join(got[0].lines, "\n"), short(got[0].body),
				got[1].line, strings.Join(got[1].lines, "\n"), short(got[1].body))
		}
		if got[0].status >= 400 && !slices.Contains(got[0].lines, "Content-Type: application/problem+json") {
			t.Errorf("%s\n%d is no problem document: %v", short(raw), got[0].status, got[0].lines)
		}
	}
}

// goodAndHostile returns requests, as they are on the wire.
func goodAndHostile() []string {
	get := func(target string, header ...string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + lines(header) + "\r\n"
	}
	post := func(target, kind, body string, header ...string) string {
		return "POST " + target + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + kind + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" + lines(header) + "\r\n" + body
	}
	const json = "application/json"
	return []string{
		get("/v1/ip/8.8.8.8"),
		get("/v1/ip/8.8.8.8?"),
		get("/v1/ip/8.8.8.8?fields=location.country_code"),
		get("/v1/ip/8.8.8.8?fields=location.country_code,asn&explain=1"),
		get("/v1/ip/8.8.8.8?fields=location.time_zone.current_time"),
		get("/v1/ip/8.8.8.8?fields=location%2Ecity,ip"),
		get("/v1/ip/8.8.8.8?fields=nonsense"),
		get("/v1/ip/8.8.8.8?fields="),
		get("/v1/ip/8.8.8.8?fields=ip&fields=ip"),
		get("/v1/ip/8.8.8.8?feilds=ip"),
		get("/v1/ip/8.8.8.8?limit=3"),
		get("/v1/ip/8.8.8.8?format=yaml"),
		get("/v1/ip/8.8.8.8?format=csv"),
		get("/v1/ip/8.8.8.8?format=text"),
		get("/v1/ip/8.8.8.8?format=xml"),
		get("/v1/ip/8.8.8.8?format=csv&explain=1"),
		get("/v1/ip/8.8.8.8?explain=maybe"),
		get("/v1/ip/8.8.8.8?fields=%"),
		get("/v1/ip/8.8.8.8?fields=%zz"),
		get("/v1/ip/185.220.101.4"),
		get("/v1/ip/185.220.101.4?explain=1&format=text"),
		get("/v1/ip/126.1.2.3"),
		get("/v1/ip/198.51.100.20"), // nothing is known
		get("/v1/ip/2001:4860:4860::8888"),
		get("/v1/ip/2001%3A4860%3A4860%3A%3A8888"),
		get("/v1/ip/2001:4860:4860:0:0:0:0:8888"),
		get("/v1/ip/::ffff:8.8.8.8"),
		get("/v1/ip/64:ff9b::808:808"),
		get("/v1/ip/2002:808:808::1"),
		get("/v1/ip/2001:0:4136:e378:8000:63bf:3fff:fdd2"),
		get("/v1/ip/fe80::1%25eth0"),
		get("/v1/ip/fe80::1%25eth0%3Cscript%3E"),
		get("/v1/ip/fe80::1%eth0"),
		get("/v1/ip/fe80::1%"),
		get("/v1/ip/%"),
		get("/v1/ip/169.254.169.254"),
		get("/v1/ip/localhost"),
		get("/v1/ip/1.2.3"),
		get("/v1/ip/0x7f.1"),
		get("/v1/ip/3405803842"),
		get("/v1/ip/0203.0.113.66"),
		get("/v1/ip/203.0.113.066"),
		get("/v1/ip/8.8.8.8:53"),
		get("/v1/ip/[2001:db8::9]"),
		get("/v1/ip/[2001:db8::9]:53"),
		get("/v1/ip/8.8.8.8%2F24"),
		get("/v1/ip/8.8.8.8%00"),
		get("/v1/ip/8.8.8.8%0d%0aX-Evil:%201"),
		get("/v1/ip/+8.8.8.8"),
		get("/v1/ip/8.8.8.8;x=1"),
		get("/v1/ip/8.8.8.8#x"),
		get("/v1/ip/\xff\xfe"),
		get("/v1/ip/é"),
		get("/v1/ip/" + strings.Repeat("1", 5000)),
		get("/v1/ip/"),
		get("/v1/ip/..%2fadmin"),
		get("http://elsewhere/v1/ip/8.8.8.8?fields=ip"),
		get("/healthz"),
		get("/healthz?x=1"),
		get("/v1/ip/8.8.8.8", "Accept: application/yaml"),
		get("/v1/ip/8.8.8.8", "Accept: text/csv;q=0.5, application/json;q=0.4"),
		get("/v1/ip/8.8.8.8", "Accept: text/csv;q=0.5", "Accept: application/json;q=0.6"),
		get("/v1/ip/8.8.8.8", "Accept: image/png"),
		get("/v1/ip/8.8.8.8", "Accept: application/json;q=0, */*"),
		get("/v1/ip/8.8.8.8", "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
		get("/v1/ip/8.8.8.8", "Accept-Encoding: gzip, br"),
		get("/v1/ip/8.8.8.8", "accept-encoding: GZIP"),
		get("/v1/ip/8.8.8.8", "Accept-Encoding: gzip;q=0"),
		get("/v1/ip/8.8.8.8", "Accept-Encoding: br", "Accept-Encoding: gzip"),
		get("/v1/ip/8.8.8.8?fields=ip", "Accept-Encoding: gzip"),
		get("/v1/ip/localhost", "Accept-Encoding: gzip"),
		get("/v1/ip/8.8.8.8", "If-None-Match: *"),
		get("/v1/ip/8.8.8.8", `If-None-Match: "nope"`),
		get("/v1/ip/8.8.8.8", "X-Forwarded-For: 1.1.1.1", "Forwarded: for=1.1.1.1"),
		get("/v1/ip/8.8.8.8", "Origin: https://example.com"),
		get("/v1/ip/8.8.8.8", "Range: bytes=0-10"),
		get("/v1/ip/8.8.8.8", "Cookie: a=b; c=d"),
		"HEAD /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
		"HEAD /v1/ip/localhost HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
		"OPTIONS /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n\r\n",
		"OPTIONS /v1/ip HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n\r\n",
		"DELETE /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n",
		"get /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /v1/ip HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"POST /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		"PROPFIND /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
		post("/v1/ip", json, `["8.8.8.8","1.1.1.1"]`),
		post("/v1/ip", json, ` [ "8.8.8.8" , "::ffff:8.8.8.8","fe80::1%eth0" ] `),
		post("/v1/ip?fields=ip,asn.number", json, `["8.8.8.8","nope",3,null,{"a":["]"]},"8.8.8.8",true,[[]],""]`),
		post("/v1/ip?fields=ip&format=csv", json, `["8.8.8.8","no\"pe",3]`),
		post("/v1/ip?explain=1&fields=location", json, `["8.8.8.8"]`),
		post("/v1/ip?explain=1&format=csv", json, `["8.8.8.8"]`),
		post("/v1/ip?fields=ip", json, `["8.8.8.8","1.1.1.1"]`, "Accept: application/x-ndjson"),
		post("/v1/ip?fields=ip", json, `["8.8.8.8"]`, "Accept: text/html"),
		post("/v1/ip?fields=ip", "application/x-www-form-urlencoded", `["8.8.8.8"]`),
		post("/v1/ip?fields=ip", "application/json; charset=utf-8", `["\u0038.8.8.8"]`),
		post("/v1/ip?fields=ip", "text/plain", `8.8.8.8`),
		post("/v1/ip", json, ``),
		post("/v1/ip", json, `[]`),
		post("/v1/ip", json, `{}`),
		post("/v1/ip", json, `["8.8.8.8"`),
		post("/v1/ip", json, `["8.8.8.8",]`),
		post("/v1/ip", json, `["8.8.8.8"] x`),
		post("/v1/ip", json, "[\"8.8.8.8\n\"]"),
		post("/v1/ip", json, strings.Repeat("[", 5000)),
		post("/v1/ip?fields=ip", json, "["+strings.Repeat(`"8.8.8.8",`, 200)+`"1.1.1.1"]`, "Accept-Encoding: gzip"),
		post("/v1/ip?fields=ip", json, "["+strings.Repeat(`1,`, maxBulkItems)+`1]`),
		post("/v1/ip?fields=ip&explain=1", json, "["+strings.Repeat(`1,`, maxBulkExplain)+`1]`),
		post("/v1/ip?fields=ip", json, `["`+strings.Repeat("a", maxBulkBody)+`"]`),
		"POST /v1/ip?fields=ip HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[\"8.8\r\n6\r\n.8.8\"]\r\n0\r\n\r\n",
		"POST /v1/ip?fields=ip HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n[\"8.8.8.8\"]",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: a b\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.0\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/2.0\r\nHost: x\r\n\r\n",
		"GET  /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/ip/8.8.8.8 x HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=i\x00p HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/ip/8.8\t.8.8 HTTP/1.1\r\nHost: x\r\n\r\n",
		"G\x01ET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"CONNECT /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/ip HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nContent-Length: 12\r\n\r\n[\"8.8.8.8\"]",
		"POST /v1/ip HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /v1/ip HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"POST /v1/ip HTTP/1.1\r\nHost: x\r\nContent-Length: +11\r\n\r\n[\"8.8.8.8\"]",
		"POST /v1/ip HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/ip HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=a\r\nContent-Length: 3\r\n\r\nabc",
		"GET /v1/ip/8.8.8.8\r\n\r\n",
		"NONSENSE\r\n\r\n",
	}
}

// An entity tag of one listener is known by the other.
func TestListenersShareTags(t *testing.T) {
	s, _ := serve(t, ServerConfig{FastListen: "127.0.0.1:0"})
	for _, header := range []string{"", "Accept-Encoding: gzip\r\n"} {
		c, br := dial(t, s.Addr())
		r := ask(t, c, br, "GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n"+header+"\r\n")
		var tag string
		for _, l := range r.lines {
			if v, ok := strings.CutPrefix(l, "Etag: "); ok {
				tag = v
			}
		}
		raw := "GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n" + header + "If-None-Match: W/\"a\", " + tag + "\r\n\r\n"
		first := ask(t, c, br, raw)
		c, br = dial(t, s.FastAddr())
		second := ask(t, c, br, raw)
		if first.status != 304 || second.status != 304 || !slices.Equal(first.lines, second.lines) {
			t.Errorf("If-None-Match %s: %+v and %+v", tag, first, second)
		}
	}
}

func lines(header []string) string {
	var b strings.Builder
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}

func short(s string) string {
	if len(s) > 400 {
		return s[:400] + "…"
	}
	return s
}
