package api

import (
	"net/http"
	"strconv"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/authz"
)

// problemBase is where each type of problem is described.
const problemBase = "https://ipwarden.dev/problems/"

// A problem is an RFC 9457 problem document. detail says what was wrong with
// this request; example is a request that works.
type problem struct {
	status  int
	slug    string // of the type URI
	title   string // the same for every problem of the type
	detail  string
	example string
	allow   string         // of a 405: the methods that work
	offers  []string       // of a 406 and 415: the media types that work
	nowhere bool           // the target was not read: no instance
	refusal *authz.Refusal // of a key: it has the detail
}

const (
	exampleLookup = exampleOwn + "/8.8.8.8"
	exampleOwn    = "GET /v1/ip"
	exampleGate   = "GET /healthz"
)

func badAddress(text string, err error) *problem {
	subject := quoted(text)
	if text == "" {
		subject = "The address"
	}
	return &problem{
		status: http.StatusBadRequest, slug: "bad-address", title: "Not an IP address",
		detail: subject + " " + err.Error() + ".", example: exampleLookup,
	}
}

func badParameter(detail, example string) *problem {
	return &problem{
		status: http.StatusBadRequest, slug: "bad-parameter", title: "Bad query parameter",
		detail: detail, example: example,
	}
}

func notFound(path string) *problem {
	return &problem{
		status: http.StatusNotFound, slug: "not-found", title: "Not found",
		detail:  "There is nothing at " + quoted(path) + ". What there is, /openapi.json and /docs describe.",
		example: exampleLookup,
	}
}

// otherListener is the fast listener's answer to everything it does not serve.
func (x *exchange) otherListener() *problem {
	return &problem{
		status: http.StatusNotFound, slug: "other-listener", title: "Served by the other listener",
		detail: x.method + " " + quoted(x.path) + " is not served here: this is the fast listener, which answers " +
			"/v1/ip/{ip}, POST /v1/ip with a JSON array, and /healthz. Everything else is at " + x.api.pages.base + ".",
		example: exampleLookup,
	}
}

func wrongMethod(method, allow, example string) *problem {
	return &problem{
		status: http.StatusMethodNotAllowed, slug: "method-not-allowed", title: "Method not allowed",
		detail: quoted(method) + " does not work here; " + allow + " do.", example: example, allow: allow,
	}
}

// unknownCaller answers who came over a Unix socket: no address to tell of.
func unknownCaller() *problem {
	return &problem{
		status: http.StatusNotFound, slug: "unknown-caller", title: "The caller has no address",
		detail: "The connection did not come over the network, so the caller has no IP address. Ask about one.", example: exampleLookup,
	}
}

func noData() *problem {
	return &problem{
		status: http.StatusServiceUnavailable, slug: "no-dataset", title: "No dataset yet",
		detail: "The server has no dataset loaded. It answers as soon as it has one.", example: "GET /readyz",
	}
}

func internalError() *problem {
	return &problem{
		status: http.StatusInternalServerError, slug: "internal", title: "Internal error",
		detail: "Something went wrong here, not in the request. It was logged.", example: exampleLookup,
	}
}

// malformed is the answer to bytes that are no HTTP request. Both listeners
// send it where their parser refused, so it cannot say which rule was broken.
func malformed() *problem {
	return &problem{
		status: http.StatusBadRequest, slug: "malformed-request", title: "Malformed request",
		detail: "The request is not well-formed HTTP/1.1: its target, its header or its framing breaks the grammar. " +
			"A percent sign in the path is written %25, so the zone of fe80::1%eth0 is asked as fe80::1%25eth0.",
		example: "GET /v1/ip/fe80::1%25eth0", nowhere: true,
	}
}

func headerTooLarge(bound int) *problem {
	return &problem{
		status: http.StatusRequestHeaderFieldsTooLarge, slug: "header-too-large", title: "Request header too large",
		detail:  "The request line and header together may have " + strconv.Itoa(bound>>10) + " KiB.",
		example: exampleLookup, nowhere: true,
	}
}

func unknownExpectation() *problem {
	return &problem{
		status: http.StatusExpectationFailed, slug: "unknown-expectation", title: "Unknown expectation",
		detail: "Of the Expect header only 100-continue is understood.", example: exampleLookup, nowhere: true,
	}
}

func unknownVersion() *problem {
	return &problem{
		status: http.StatusHTTPVersionNotSupported, slug: "unknown-version", title: "HTTP version not supported",
		detail: "The server speaks HTTP/1.0 and HTTP/1.1.", example: exampleLookup, nowhere: true,
	}
}

func timedOut() *problem {
	return &problem{
		status: http.StatusRequestTimeout, slug: "timeout", title: "The request took too long",
		detail: "The request did not arrive in time.", example: exampleLookup, nowhere: true,
	}
}

func tooLarge(detail string) *problem {
	return &problem{
		status: http.StatusRequestEntityTooLarge, slug: "too-large", title: "Too much at once",
		detail:  detail + " Send newline-delimited JSON (Content-Type: application/x-ndjson) instead: it has no cap.",
		example: exampleLines,
	}
}

// append writes the document. instance is the path of the request.
func (p *problem) append(dst []byte, instance string) []byte {
	dst = append(dst, `{"type":"`+problemBase...)
	dst = append(dst, p.slug...)
	dst = ipwarden.AppendString(append(dst, `","title":`...), p.title)
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(p.status), 10)
	if p.refusal != nil {
		var text [512]byte
		dst = ipwarden.AppendString(append(dst, `,"detail":`...), alias(p.refusal.AppendDetail(text[:0])))
		dst = p.refusal.AppendMembers(dst)
	} else {
		dst = ipwarden.AppendString(append(dst, `,"detail":`...), p.detail)
	}
	if instance != "" && !p.nowhere {
		dst = append(dst, `,"instance":"`...)
		dst = appendReference(dst, instance)
		dst = append(dst, '"')
	}
	if len(p.offers) > 0 {
		dst = append(dst, `,"offered":[`...)
		for i, o := range p.offers {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = ipwarden.AppendString(dst, o)
		}
		dst = append(dst, ']')
	}
	dst = ipwarden.AppendString(append(dst, `,"example":`...), p.example)
	return append(dst, '}', '\n')
}

// maxEcho bounds how much of the request a problem repeats, bytes.
const maxEcho = 200

// quoted repeats text of the request in a sentence.
func quoted(s string) string {
	if len(s) > maxEcho {
		s = s[:maxEcho] + "…"
	}
	return strconv.QuoteToGraphic(s)
}

// appendReference appends a path as a URI reference (RFC 3986): what may not
// stand in one is percent-encoded, and what is long is cut.
func appendReference(dst []byte, path string) []byte {
	const hex = "0123456789ABCDEF"
	if len(path) > maxEcho {
		path = path[:maxEcho]
	}
	for i := range len(path) {
		switch c := path[i]; {
		case c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]):
			dst = append(dst, c)
		case isUnreserved(c), c == '/', c == ':', c == '@', c == '!', c == '$', c == '&', c == '\'', c == '(', c == ')',
			c == '*', c == '+', c == ',', c == ';', c == '=':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
