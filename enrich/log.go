package enrich

import "bytes"

// pair is a part of a log line: a name and what stands there.
type pair struct {
	name   string
	value  []byte
	number bool
}

// logColumns are the names of the parts of each log format, in order.
var (
	logColumns     = []string{"ip", "user", "time", "method", "path", "protocol", "status", "bytes", "referer", "user_agent"}
	vhostColumns   = append([]string{"vhost"}, logColumns...)
	haproxyColumns = []string{"ip", "time", "frontend", "backend", "timers", "status", "bytes", "method", "path", "protocol"}
)

// word cuts the first word off.
func word(b []byte) (w, rest []byte) {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// quoted cuts off what stands in quotes, in which a backslash goes before a
// quote. Without quotes it is a word.
func quoted(b []byte) (in, rest []byte) {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	if len(b) == 0 || b[0] != '"' {
		return word(b)
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[1:i], b[i+1:]
		}
	}
	return b[1:], nil
}

// request cuts a request line in three; one that is none is the path.
func request(b []byte) (method, path, protocol []byte) {
	i, j := bytes.IndexByte(b, ' '), bytes.LastIndexByte(b, ' ')
	switch {
	case i < 0:
		return nil, b, nil
	case i == j:
		return b[:i], b[i+1:], nil
	}
	return b[:i], b[i+1 : j], b[j+1:]
}

// bracketed cuts off what stands in brackets.
func bracketed(b []byte) (in, rest []byte) {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	if len(b) == 0 || b[0] != '[' {
		return nil, b
	}
	if i := bytes.IndexByte(b, ']'); i >= 0 {
		return b[1:i], b[i+1:]
	}
	return b[1:], nil
}

// some is b, or nothing where a log writes a dash for it.
func some(b []byte) []byte {
	if len(b) == 1 && b[0] == '-' {
		return nil
	}
	return b
}

// clientOf returns the words of the client and of the host before it.
func clientOf(f Format, line []byte) (client, vhost, rest []byte) {
	if f == VHost {
		vhost, line = word(line)
	}
	client, rest = word(line)
	return client, vhost, rest
}

// logParts are the parts of a line of an access log; those that are not there are
// nil.
func logParts(dst []pair, f Format, line []byte) []pair {
	if f == HAProxy {
		return haproxyParts(dst, line)
	}
	client, vhost, rest := clientOf(f, line)
	if f == VHost {
		dst = append(dst, pair{"vhost", some(vhost), false})
	}
	_, rest = word(rest) // what identd said
	user, rest := word(rest)
	at, rest := bracketed(rest)
	line, rest = quoted(rest)
	method, path, protocol := request(line)
	status, rest := word(rest)
	size, rest := word(rest)
	referer, rest := quoted(rest)
	agent, _ := quoted(rest)
	return append(dst,
		pair{"ip", client, false}, pair{"user", some(user), false}, pair{"time", at, false},
		pair{"method", method, false}, pair{"path", some(path), false}, pair{"protocol", protocol, false},
		pair{"status", some(status), true}, pair{"bytes", some(size), true}, pair{"referer", some(referer), false}, pair{"user_agent", some(agent), false})
}

// haproxyAddress finds the client of a line of HAProxy's: an address with a port,
// before the time in brackets.
func haproxyAddress(line []byte) (from, to int, ok bool) {
	at := 0
	for {
		i := bytes.Index(line[at:], []byte(" ["))
		if i < 0 {
			return 0, 0, false
		}
		to = at + i
		from = bytes.LastIndexByte(line[:to], ' ') + 1
		if bytes.IndexByte(line[from:to], ':') >= 0 && isAddress(line[from:to]) {
			return from, to, true
		}
		at = to + 2
	}
}

func haproxyParts(dst []pair, line []byte) []pair {
	from, to, ok := haproxyAddress(line)
	if !ok {
		return dst
	}
	at, rest := bracketed(line[to:])
	frontend, rest := word(rest)
	backend, rest := word(rest)
	timers, rest := word(rest)
	status, rest := word(rest)
	size, rest := word(rest)
	var method, path, protocol []byte
	if i := bytes.IndexByte(rest, '"'); i >= 0 {
		var r []byte
		r, _ = quoted(rest[i:])
		method, path, protocol = request(r)
	} else { // of TCP: there is no status
		status, size = nil, status
	}
	return append(dst,
		pair{"ip", line[from:to], false}, pair{"time", at, false}, pair{"frontend", frontend, false}, pair{"backend", backend, false},
		pair{"timers", timers, false}, pair{"status", some(status), true}, pair{"bytes", some(size), true},
		pair{"method", method, false}, pair{"path", path, false}, pair{"protocol", protocol, false})
}

// isNumber reports whether b can stand in JSON as it is.
func isNumber(b []byte) bool {
	if len(b) == 0 || len(b) > 18 || b[0] == '0' && len(b) > 1 {
		return false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
