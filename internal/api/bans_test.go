package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const asJSON = "Content-Type: application/json"

// A ban decides from its making to its lifting, and says so.
func TestBans(t *testing.T) {
	a := gated(t, 100)
	expect := func(what string, r *http.Response, status int, parts ...string) {
		t.Helper()
		text := textOf(t, r)
		if r.StatusCode != status {
			t.Errorf("%s: %d, not %d: %s", what, r.StatusCode, status, text)
		}
		for _, p := range parts {
			if !strings.Contains(text, p) {
				t.Errorf("%s: there is no %s in %s", what, p, text)
			}
		}
	}
	decide := func(ip string) *http.Response {
		return askGate(a, "@", "POST", "/v1/decide", `{"ip":"`+ip+`"}`)
	}
	expect("none yet", askGate(a, "@", "GET", "/v1/bans", ""), 200, `{"count":0,"truncated":false,"bans":[]}`)
	expect("a ban", askGate(a, "@", "POST", "/v1/bans", `{"ip":"203.0.113.7","for":"1h","reason":"sshd"}`, asJSON), 200,
		`{"network":"203.0.113.7/32","action":"block","since":"`+noon.UTC().Format("2006-01-02T15:04:05Z"), `"reason":"sshd"`)
	expect("who is banned", decide("203.0.113.7"), 200, `"verdict":"block","reason":"ban","by":"sshd"`, `"ban":{"network":"203.0.113.7/32","until":"`, `"passes":false,"status":403`)
	expect("mapped", decide("::ffff:203.0.113.7"), 200, `"reason":"ban"`)
	expect("inside of 6to4", decide("2002:cb00:7107::1"), 200, `"reason":"ban"`)
	expect("a neighbour", decide("203.0.113.8"), 200, `"verdict":"allow"`)
	expect("nginx", askGate(a, "@", "GET", "/gate/nginx", "", "X-Original-Uri: /", "X-Original-Method: GET", "X-Real-Ip: 203.0.113.7"), 403)
	expect("throttled", askGate(a, "@", "POST", "/v1/bans", `{"network":"2001:db8:1::/48","for":600,"action":"throttle"}`, asJSON), 200, `"action":"throttle"`)
	expect("who is throttled", decide("2001:db8:1:2::3"), 200, `"verdict":"throttle","reason":"ban"`, `"status":429,"retry_after":600`)
	expect("the list", askGate(a, "@", "GET", "/v1/bans?limit=1", ""), 200, `"count":2,"truncated":true`)
	expect("of an address", askGate(a, "@", "GET", "/v1/bans?ip=2001:db8:1:2::3", ""), 200, `"count":1`, `2001:db8:1::/48`)
	expect("an address of IPv6", askGate(a, "@", "POST", "/v1/bans", `{"ip":"2001:db8:1:2::3","for":"1m"}`, asJSON), 200, `"network":"2001:db8:1:2::/64"`)
	expect("lift", askGate(a, "@", "DELETE", "/v1/bans/2001:db8:1:2::3", ""), 200, `"lifted":true,"banned_by":"2001:db8:1::/48"`)
	expect("lift, encoded", askGate(a, "@", "DELETE", "/v1/bans/2001:db8:1::%2F48", ""), 200, `{"network":"2001:db8:1::/48","lifted":true}`)
	expect("lift again", askGate(a, "@", "DELETE", "/v1/bans/2001:db8:1::/48", ""), 200, `"lifted":false`)
	expect("after that", decide("2001:db8:1:2::3"), 200, `"verdict":"allow"`)
}

func TestBansThatAreRefused(t *testing.T) {
	a := gated(t, 100)
	for body, want := range map[string]string{
		`{}`: "400 one of; time", `{"ip":"203.0.113.7"}`: "400 no time", `{"ip":"203.0.113.7","network":"203.0.113.0/24","for":"1h"}`: "400 one of",
		`{"ip":"203.0.113.0/24","for":"1h"}`: "400 is no address", `{"ip":"localhost","for":"1h"}`: "400 localhost", `{"network":"0.0.0.0/0","for":"1h"}`: "400 too wide",
		`{"network":"::/0","for":"1h","force":true}`: "400 too wide", `{"network":"203.0.113.7/24","for":"1h"}`: "400 the network is 203.0.113.0/24",
		`{"ip":"203.0.113.7","for":"31d"}`: "400 1s to 30d", `{"ip":"203.0.113.7","for":-1}`: "400 1s to 30d", `{"ip":"203.0.113.7","for":1.5}`: "400 no time", `{"ip":"203.0.113.7","for":null}`: "400 no time",
		`{"ip":"203.0.113.7","for":"1h","action":"allow"}`: "400 none of block, challenge and throttle", `{"ip":"203.0.113.7","for":"1h","reason":"a\nb"}`: "400 one line",
		`{"ip":"203.0.113.7","for":"1h","until":1}`: "400 until", `{"ip":"203.0.113.7","for":"1h","ip":"1.1.1.1"}`: "400 there twice", `[]`: "400 JSON object",
		`{"ip":"127.0.0.1","for":"1h"}`: "409 loopback", `{"ip":"::1","for":"1h"}`: "409 loopback", `{"ip":"10.1.2.3","for":"1h"}`: "409 trusted proxy 10.0.0.0/8", `{"ip":"198.51.100.9","for":"1h"}`: "409 your own",
		`{"ip":"10.1.2.3","for":"1h","force":true}`: "200",
	} {
		r := askGate(a, "198.51.100.9:1234", "POST", "/v1/bans", body, asJSON, "Authorization: Bearer "+serviceToken)
		text := textOf(t, r)
		status, parts, _ := strings.Cut(want, " ")
		if fmt.Sprint(r.StatusCode) != status {
			t.Errorf("%s: %d %s", body, r.StatusCode, text)
		}
		for p := range strings.SplitSeq(parts, "; ") {
			if !strings.Contains(text, p) {
				t.Errorf("%s: there is no %q in %s", body, p, text)
			}
		}
	}
	for want, r := range map[string]*http.Response{
		"415": askGate(a, "@", "POST", "/v1/bans", `{"ip":"203.0.113.7","for":"1h"}`, "Content-Type: text/plain"),
		"405": askGate(a, "@", "PUT", "/v1/bans", `{}`), "405 ": askGate(a, "@", "GET", "/v1/bans/203.0.113.7", ""),
		"400": askGate(a, "@", "DELETE", "/v1/bans/x", ""), "400 ": askGate(a, "@", "GET", "/v1/bans?limit=0", ""), "400  ": askGate(a, "@", "GET", "/v1/bans?ip=x", ""),
		"400   ": askGate(a, "@", "GET", "/v1/bans?of=x", ""), "404": askGate(a, "@", "GET", "/v1/bansx", ""),
	} {
		if fmt.Sprint(r.StatusCode) != strings.TrimSpace(want) {
			t.Errorf("%s, not %s: %s", r.Status, want, textOf(t, r))
		}
	}
	if got := textOf(t, askGate(a, "@", "GET", "/v1/bans", "")); !strings.Contains(got, `"count":1,`) {
		t.Errorf("what was refused is banned: %s", got)
	}
}

// No body of a ban makes the server fail, and what is answered is JSON.
func FuzzBan(f *testing.F) {
	for _, s := range []string{`{"ip":"203.0.113.7","for":"1h","reason":"x"}`, `{"network":"2001:db8::/32","for":60,"action":"throttle","force":true}`, `{"for":1e99}`, `{"ip":"::ffff:0.0.0.0/0"}`, "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a := gated(t, 100)
		r := askGate(a, "@", "POST", "/v1/bans", body, asJSON)
		text := textOf(t, r)
		if r.StatusCode >= 500 || !json.Valid([]byte(text)) {
			t.Errorf("%q: %d %s", body, r.StatusCode, text)
		}
		if list := textOf(t, askGate(a, "@", "GET", "/v1/bans", "")); !json.Valid([]byte(list)) || (r.StatusCode == 200) != strings.Contains(list, `"count":1,`) {
			t.Errorf("%q: %d, and then %s", body, r.StatusCode, list)
		}
	})
}
