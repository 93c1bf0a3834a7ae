package api

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
)

// headFound is what readHead found at the front of some bytes.
type headFound uint8

const (
	headOdd   headFound = iota // nothing for readHead: fasthttp reads it
	headPart                   // its end has not come yet
	headWhole                  // a request that can be answered
	headSlow                   // the same, for which others would have to wait
)

// readHead reads a request without a body from the front of b into the exchange,
// and returns how many bytes it took. It knows one shape, which is what clients
// send: GET, a path, HTTP/1.1, lines that end with CR LF, names that are tokens,
// values of printable ASCII, one Host. Whatever else there is in HTTP (RFC 9112)
// is odd, and fasthttp's: this reader leaves it, rather than judging it.
//
// TestHeadsAreReadAlike and FuzzHead hold it to what fasthttp and readHeader
// make of the same bytes.
func (x *exchange) readHead(b []byte) (n int, found headFound) {
	const get, version = "GET /", " HTTP/1.1\r\n"
	if k := min(len(b), len(get)); string(b[:k]) != get[:k] {
		return 0, headOdd
	} else if k < len(get) {
		return 0, headPart
	}
	i := len(get)
	for i < len(b) && targetByte[b[i]] {
		i++
	}
	target := b[len(get)-1 : i]
	if k := min(len(b)-i, len(version)); string(b[i:i+k]) != version[:k] {
		return 0, headOdd
	} else if k < len(version) {
		return 0, headPart
	}
	i += len(version)
	head := i
	hosts := 0
	if len(target) > len(gatePath) && string(target[:len(gatePath)]) == gatePath {
		x.fields = &x.gateMemory().fields // which are wanted all
		x.fields.Reset()
	}
	for {
		end := bytes.IndexByte(b[i:], '\n')
		if end < 0 {
			return 0, headPart
		}
		line := b[i : i+end]
		i += end + 1
		if end == 0 || line[end-1] != '\r' {
			return 0, headOdd
		}
		if end == 1 {
			break
		}
		if line = line[:end-1]; !x.readLine(line, &hosts) {
			return 0, headOdd
		}
	}
	if hosts != 1 {
		return 0, headOdd
	}
	x.method, x.head = "GET", b[head:i]
	if x.fields != nil {
		x.header = x.fields
	}
	x.path, x.query = alias(target), ""
	if q := bytes.IndexByte(target, '?'); q >= 0 {
		x.path, x.query = alias(target[:q]), alias(target[q+1:])
	}
	return i, headWhole
}

// readLine reads one header line; false when it is odd.
func (x *exchange) readLine(line []byte, hosts *int) bool {
	n := 0
	for n < len(line) && tokenByte[line[n]] {
		n++
	}
	if n == 0 || n == len(line) || line[n] != ':' || !printable(line[n:]) {
		return false
	}
	name, value := alias(line[:n]), withoutSpaces(alias(line[n+1:]))
	if x.fields != nil {
		x.fields.Add(name, value)
	}
	switch n {
	case len("Host"):
		if strings.EqualFold(name, "Host") {
			*hosts++
			x.host = value
			return usualHost(value)
		}
	case len("Accept"):
		switch {
		case strings.EqualFold(name, "Accept"):
			x.accept = joinLine(x.accept, value)
		case strings.EqualFold(name, "Expect"):
			return false
		case strings.EqualFold(name, "Origin"):
			x.origin = joinLine(x.origin, value)
		}
	case len("Upgrade"), len("HTTP2-Settings"), len("Transfer-Encoding"), len("Proxy-Connection"): // Trailer, Content-Length
		switch {
		case strings.EqualFold(name, "Upgrade"), strings.EqualFold(name, "Trailer"), strings.EqualFold(name, "HTTP2-Settings"),
			strings.EqualFold(name, "Content-Length"), strings.EqualFold(name, "Transfer-Encoding"), strings.EqualFold(name, "Proxy-Connection"):
			return false
		case strings.EqualFold(name, "Referer"):
			x.referer = joinLine(x.referer, value)
		}
	case len("Connection"):
		if strings.EqualFold(name, "Connection") {
			return strings.EqualFold(value, "keep-alive")
		}
	case len("If-None-Match"):
		switch {
		case strings.EqualFold(name, "If-None-Match"):
			x.ifNoneMatch = joinLine(x.ifNoneMatch, value)
		case strings.EqualFold(name, "Authorization"):
			x.authorization = joinLine(x.authorization, value)
		}
	case len("X-Api-Key"):
		if strings.EqualFold(name, "X-Api-Key") {
			x.apiKey = joinLine(x.apiKey, value)
		}
	case len("Accept-Encoding"):
		if strings.EqualFold(name, "Accept-Encoding") {
			x.acceptEncoding = joinLine(x.acceptEncoding, value)
		}
	}
	return true
}

// withoutSpaces is strings.Trim(s, " ").
func withoutSpaces(s string) string {
	for len(s) > 0 && s[0] == ' ' {
		s = s[1:]
	}
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	return s
}

// printable reports whether all bytes are printable ASCII: neither a control
// character, a tab among them, nor a byte of a character that takes several.
func printable(b []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		del := w ^ 0x7f*ones
		if (w|(w-0x20*ones)|(del-ones)&^del)&highs != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

// usualHost reports whether a Host is a name or an address, perhaps with a port
// (RFC 3986 section 3.2.2), without anything that needs decoding.
func usualHost(s string) bool {
	n := 0
	if strings.HasPrefix(s, "[") {
		n = strings.IndexByte(s, ']') + 1
		if n == 0 {
			return false
		}
		if a, err := netip.ParseAddr(s[1 : n-1]); err != nil || !a.Is6() || a.Zone() != "" {
			return false
		}
	} else {
		for n < len(s) && hostByte[s[n]] {
			n++
		}
	}
	if n == 0 || n == len(s) {
		return n > 0
	}
	port := s[n:]
	for i := 1; i < len(port); i++ {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	return port[0] == ':' && len(port) > 1
}

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

var (
	// targetByte holds the characters of targets that people ask for.
	targetByte = byteSet(alphanumeric + "/?-._~:=&,%")
	hostByte   = byteSet(alphanumeric + "-._")
	// tokenByte holds the characters of a token (RFC 9110 section 5.6.2).
	tokenByte = byteSet(alphanumeric + "!#$%&'*+-.^_`|~")
)

func byteSet(characters string) (set [256]bool) {
	for i := range len(characters) {
		set[characters[i]] = true
	}
	return set
}
