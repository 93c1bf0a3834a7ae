package door

// Host makes of a Host field what [ipwarden.Request] holds: lower case, without
// the port and the dot of the root (RFC 3986 section 3.2.2). What stands behind a
// colon is the port, whatever it is, as proxies and applications have it: no client
// makes its host another one by it. It does not allocate where it is so already, as
// it mostly is.
func Host(field string) string {
	host := field
	end := byte(':')
	if len(host) > 0 && host[0] == '[' {
		end = ']'
	}
	for i := range len(host) {
		if host[i] == end {
			if end == ']' {
				i++ // it belongs to the address
			}
			host = host[:i]
			break
		}
	}
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	for i := range len(host) {
		if c := host[i]; c >= 'A' && c <= 'Z' {
			return lower(host)
		}
	}
	return host
}

// lower is strings.ToLower for ASCII: a name of the DNS has no other capitals
// (RFC 4343 section 2).
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}
