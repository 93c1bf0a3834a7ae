package policy

import (
	"strings"

	"github.com/ipwarden/ipwarden"
)

// startsOf are the marks of the paths that the patterns may be for; none is any.
func startsOf(patterns []string) (m marks) {
	for _, p := range patterns {
		rest, below := strings.CutSuffix(p, "*")
		if below && len(rest) < 3 {
			return anyStart
		}
		m.add(startMark(rest))
		if below {
			m.add(startMark(rest[:len(rest)-1])) // the folder itself
		}
	}
	if len(patterns) == 0 {
		return anyStart
	}
	return m
}

// anyStart has the marks of all paths.
var anyStart = func() (m marks) {
	for row := markStart; row <= markShort; row++ {
		m.add(row)
	}
	return m
}()

// holds reports whether the route is for a request.
func (r *Route) holds(q *ipwarden.Request) bool {
	return fits(r.Methods, q.Method, sameText) && fits(r.Hosts, q.Host, sameHost) && fits(r.Paths, q.Path, samePath)
}

func fits(patterns []string, s string, same func(pattern, s string) bool) bool {
	for _, p := range patterns {
		if same(p, s) {
			return true
		}
	}
	return len(patterns) == 0
}

func sameText(pattern, s string) bool { return pattern == s }

// sameHost: "*.example.com" is any host below, not example.com itself.
func sameHost(pattern, host string) bool {
	if rest, ok := strings.CutPrefix(pattern, "*"); ok {
		return len(host) > len(rest) && strings.HasSuffix(host, rest)
	}
	return pattern == host
}

// samePath: "/api/*" is everything below /api/, and /api itself.
func samePath(pattern, path string) bool {
	rest, ok := strings.CutSuffix(pattern, "*")
	if !ok {
		return pattern == path
	}
	return strings.HasPrefix(path, rest) || len(rest) > 1 && rest[len(rest)-1] == '/' && path == rest[:len(rest)-1]
}
