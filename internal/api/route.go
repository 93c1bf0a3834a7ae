package api

import (
	"strings"

	"github.com/ipwarden/ipwarden/internal/authz"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// route is what a request is for; the metrics know it by its name.
type route uint8

const (
	routeUnknown route = iota
	routeIP            // GET /v1/ip/{ip}
	routeCaller        // GET /v1/ip
	routeField         // GET /v1/ip/{ip}/{field}
	routeBulk          // POST /v1/ip
	routeASN
	routeNetwork
	routeDataset
	routeHome
	routeDocs
	routeOpenAPI
	routeHealth
	routeReady
	routeGate     // /gate/{family}
	routeDecide   // POST /v1/decide
	routeOutcome  // POST /v1/outcome
	routeDecision // GET /v1/decisions/{id}
	routeBans     // /v1/bans
	routeDialect  // whatever of another vendor's
	routeFlag     // GET /flags/{country}.svg
	routeUsage    // GET /v1/usage

	numRoutes
)

var routeNames = [numRoutes]string{
	"unknown", "ip", "caller", "field", "bulk", "asn", "network", "dataset", "home", "docs", "openapi", "healthz", "readyz",
	"gate", "decide", "outcome", "decision", "bans", "dialect", "flag", "usage",
}

// serve answers the exchange: this function is the table of what there is. The
// path is parsed here and nowhere else; nothing is cleaned, merged or
// redirected.
func (x *exchange) serve() {
	if d, path := x.inDialect(); d != nil {
		x.serveDialect(d, path)
		return
	}
	if x.api.cfg.Accounts != nil {
		x.identify()
		defer x.settle() // after rescue
	}
	defer x.rescue()
	p := x.handle()
	if p != nil {
		x.refuse(p)
		return
	}
	if x.keyed != nil {
		x.settle() // first, so that what is given back is told as left
	}
	x.finish()
}

// lookupPath is what the paths about a given address begin with.
const lookupPath = "/v1/ip/"

// gatePath is what the paths begin with that proxies ask about requests.
const gatePath = "/gate/"

func (x *exchange) handle() *problem {
	if x.api.cfg.GateOnly && !ofGate(x.path) {
		return gateAlone(x.path)
	}
	if rest, ok := strings.CutPrefix(x.path, lookupPath); ok { // the hot one first
		addr, field, deep := strings.Cut(rest, "/")
		if !deep {
			x.route = routeIP
			if p := x.reading(exampleLookup); p != nil || x.status != 0 {
				return p
			}
			if p := x.admit(customer.EndpointLookup, authz.Lookup, 1); p != nil {
				return p
			}
			return x.lookup(addr)
		}
		x.route = routeField
		if x.fast {
			return x.otherListener()
		}
		if p := x.reading(exampleLookup + "/location.country_code"); p != nil || x.status != 0 {
			return p
		}
		if p := x.admit(customer.EndpointLookup, authz.Lookup, 1); p != nil {
			return p
		}
		return x.single(rest, addr, field)
	}
	if strings.HasPrefix(x.path, gatePath) {
		x.route = routeGate
		return x.gated(x.path)
	}
	switch x.path {
	case "/v1/ip":
		return x.callerOrBulk()
	case "/healthz":
		x.route = routeHealth
		if p := x.reading("GET /healthz"); p != nil || x.status != 0 {
			return p
		}
		return x.health()
	}
	if x.path == "/v1/decide" || x.path == "/v1/outcome" || strings.HasPrefix(x.path, "/v1/decisions/") || isBans(x.path) {
		return x.gated(x.path)
	}
	if x.fast {
		return x.otherListener()
	}
	switch x.path {
	case "/":
		x.route = routeHome
		if p := x.reading("GET /"); p != nil || x.status != 0 {
			return p
		}
		p := x.admit(customer.EndpointLookup, authz.Lookup, 1)
		if p != nil && !x.wantsHome() {
			return p
		}
		return x.home(p)
	case "/v1/dataset":
		x.route = routeDataset
		if p := x.reading("GET /v1/dataset"); p != nil || x.status != 0 {
			return p
		}
		return x.dataset()
	case usagePath:
		if x.api.cfg.Accounts != nil && x.api.cfg.Usage != nil {
			return x.ofUsage()
		}
	case "/docs":
		x.route = routeDocs
		if p := x.reading("GET /docs"); p != nil || x.status != 0 {
			return p
		}
		return x.docs()
	case "/openapi.json":
		x.route = routeOpenAPI
		if p := x.reading("GET /openapi.json"); p != nil || x.status != 0 {
			return p
		}
		return x.openAPI()
	case "/readyz":
		x.route = routeReady
		if p := x.reading("GET /readyz"); p != nil || x.status != 0 {
			return p
		}
		return x.ready()
	}
	if rest, ok := strings.CutPrefix(x.path, "/v1/asn/"); ok {
		x.route = routeASN
		if p := x.reading(exampleASN); p != nil || x.status != 0 {
			return p
		}
		if p := x.admit(customer.EndpointASN, authz.Lookup, 1); p != nil {
			return p
		}
		return x.asn(rest)
	}
	if rest, ok := strings.CutPrefix(x.path, "/v1/network/"); ok {
		x.route = routeNetwork
		if p := x.reading(exampleNetwork); p != nil || x.status != 0 {
			return p
		}
		if p := x.admit(customer.EndpointNetwork, authz.Lookup, 1); p != nil {
			return p
		}
		return x.network(rest)
	}
	if rest, ok := strings.CutPrefix(x.path, "/flags/"); ok {
		x.route = routeFlag
		if p := x.reading(exampleFlag); p != nil || x.status != 0 {
			return p
		}
		return x.flag(rest)
	}
	return notFound(x.path)
}

// ofGate reports whether a path is there with GateOnly.
func ofGate(path string) bool {
	switch path {
	case "/healthz", "/readyz", "/v1/decide", "/v1/outcome":
		return true
	}
	return strings.HasPrefix(path, "/gate/") || strings.HasPrefix(path, "/v1/decisions/") || isBans(path)
}

// isBans reports whether a path is about bans.
func isBans(path string) bool {
	return strings.HasPrefix(path, bansPath) && (len(path) == len(bansPath) || path[len(bansPath)] == '/')
}

func (x *exchange) callerOrBulk() *problem {
	switch x.method {
	case "POST":
		x.route = routeBulk
		if p := x.admit(customer.EndpointBulk, authz.Lookup, 0); p != nil {
			x.closing = true // the body stays unread
			return p
		}
		return x.bulk()
	case "GET", "HEAD":
		x.route = routeCaller
		if x.fast {
			return x.otherListener()
		}
		if p := x.admit(customer.EndpointLookup, authz.Lookup, 1); p != nil {
			return p
		}
		return x.caller()
	case "OPTIONS":
		x.route = routeCaller
		x.preflight(allowBoth)
		return nil
	}
	return wrongMethod(x.method, allowBoth, exampleLookup)
}

const (
	allowRead = "GET, HEAD, OPTIONS"
	allowBoth = "GET, HEAD, OPTIONS, POST"
)

// reading admits GET and HEAD, and answers OPTIONS, after which the status is set.
func (x *exchange) reading(example string) *problem {
	switch x.method {
	case "GET", "HEAD":
		return nil
	case "OPTIONS":
		x.preflight(allowRead)
		return nil
	}
	return wrongMethod(x.method, allowRead, example)
}

// target splits a request target into path and query. Of an absolute form
// (RFC 9112 section 3.2.2) the authority is dropped: it names us.
func target(t string) (path, query string) {
	if len(t) > 0 && t[0] != '/' {
		if _, rest, ok := strings.Cut(t, "://"); ok {
			i := strings.IndexAny(rest, "/?")
			switch {
			case i < 0:
				t = "/"
			case rest[i] == '?':
				return "/", rest[i+1:]
			default:
				t = rest[i:]
			}
		}
	}
	path, query, _ = strings.Cut(t, "?")
	return path, query
}
