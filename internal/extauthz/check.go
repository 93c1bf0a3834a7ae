package extauthz

import (
	"context"
	"net/netip"
	"runtime/debug"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/door"
)

// An exchange is one question and its answer, used again and again.
type exchange struct {
	request ipwarden.Request
	lines   ipwarden.Lines
	answer  door.Answer
}

// Check answers one question. An error is for what is no question about an HTTP
// request, and for a decision that panicked: Envoy's failure mode takes over.
func (s *Server) Check(ctx context.Context, q *auth.CheckRequest) (r *auth.CheckResponse, err error) {
	if q.GetAttributes() == unreadable {
		s.checks.Add(1)
		return misread(), nil
	}
	x := s.pool.Get().(*exchange)
	defer func() {
		if p := recover(); p != nil {
			s.cfg.Log.Error("a decision panicked", "panic", p, "stack", string(debug.Stack()))
			r, err = nil, status.Error(codes.Internal, "the decision failed")
			return // x is in no known state
		}
		x.reset()
		s.pool.Put(x)
	}()
	if !x.read(q) {
		return nil, status.Error(codes.InvalidArgument, "the question is not about an HTTP request: attributes.request.http is missing")
	}
	s.cfg.Decide(ctx, &x.request, &x.answer)
	s.checks.Add(1)
	if x.answer.Passes() {
		return passes(x, s.cfg.Removes), nil
	}
	return denied(&x.answer), nil
}

func (x *exchange) reset() {
	x.request = ipwarden.Request{}
	x.lines.Reset()
	x.answer.Reset()
}

// read takes the neutral facts out of q.
func (x *exchange) read(q *auth.CheckRequest) bool {
	at := q.GetAttributes()
	http := at.GetRequest().GetHttp()
	if http == nil {
		return false
	}
	r := &x.request
	r.Header = &x.lines
	r.Peer = addrOf(at.GetSource().GetAddress())
	r.Method = http.GetMethod()
	r.Scheme = "http"
	if http.GetScheme() == "https" {
		r.Scheme = "https"
	}
	r.Host = door.Host(http.GetHost())
	r.Path, r.Query, _ = strings.Cut(http.GetPath(), "?")
	// Envoy fills one of the two. If both came, raw lines say more.
	if raw := http.GetHeaderMap().GetHeaders(); len(raw) > 0 {
		for _, h := range raw {
			value := h.GetValue()
			if b := h.GetRawValue(); len(b) > 0 {
				value = string(b)
			}
			x.add(h.GetKey(), value)
		}
		return true
	}
	for name, value := range http.GetHeaders() {
		x.add(name, value)
	}
	return true
}

// add adds a field line; pseudo header fields (RFC 9113 section 8.3) are told
// otherwise.
func (x *exchange) add(name, value string) {
	if name != "" && name[0] != ':' {
		x.lines.Add(name, value)
	}
}

// addrOf is the address of the connection's other end; the invalid one for a
// Unix socket.
func addrOf(a *core.Address) netip.Addr {
	addr, err := netip.ParseAddr(a.GetSocketAddress().GetAddress())
	if err != nil {
		return netip.Addr{}
	}
	return addr
}
