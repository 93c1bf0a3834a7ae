package feed

import (
	"bytes"
	"io"
)

// Proxies reads lists of open proxies in three shapes: "ADDRESS:PORT",
// "SCHEME://ADDRESS:PORT", and that of spys.me, which is "ADDRESS:PORT
// COUNTRY-ANONYMITY-SSL +" with prose before and after. In a file of the last
// shape a line that does not begin like an address is prose; in the others it
// is a bad row.
func Proxies(r io.Reader, meta *Meta) facts {
	return readLines(r, "list of proxies", func(ls *lines) {
		var f Fact
		prose, first := false, true
		for ls.next() {
			row := bytes.TrimSpace(ls.row)
			if isBlank(row) {
				continue
			}
			if first {
				prose = spysDate(row, meta)
				first = false
			}
			token := row
			if i := bytes.IndexAny(row, " \t"); i >= 0 {
				token = row[:i]
			}
			if prose && (token[0] < '0' || token[0] > '9') && token[0] != '[' {
				continue
			}
			if _, rest, ok := bytes.Cut(token, []byte("://")); ok {
				token = rest
			}
			host, why := hostOf(token)
			if why != "" {
				ls.bad(why)
				continue
			}
			a, ok := parseAddr(host)
			if !ok {
				ls.bad(whyNoAddr(host))
				continue
			}
			f.SetAddr(a)
			ls.fact(&f)
		}
	})
}

// spysDate reports whether the first line is that of spys.me, "Proxy list
// (#400) updated at Fri, 24 Mar 23 07:58:01 +0300", and takes its date.
func spysDate(row []byte, meta *Meta) bool {
	head, date, ok := bytes.Cut(row, []byte(" updated at "))
	if !ok || !bytes.Contains(bytes.ToLower(head), []byte("proxy list (#")) {
		return false
	}
	if t, ok := parseTime(string(date), dateLayouts...); ok {
		meta.Date = t
	}
	return true
}

// hostOf takes the port, and the brackets of IPv6 (RFC 3986 section 3.2.2),
// off "HOST:PORT".
func hostOf(b []byte) (host []byte, why string) {
	i := bytes.LastIndexByte(b, ':')
	if i < 0 {
		return nil, "the port is missing"
	}
	if port, ok := parseUint(b[i+1:], 65535); !ok || port == 0 {
		return nil, "the port is no number of 1 to 65535"
	}
	host = b[:i]
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		return host[1 : n-1], ""
	}
	if bytes.IndexByte(host, ':') >= 0 {
		return nil, "an IPv6 address with a port needs brackets"
	}
	return host, ""
}
