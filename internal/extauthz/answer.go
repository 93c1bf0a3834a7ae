package extauthz

import (
	"strconv"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/ipwarden/ipwarden/internal/door"
)

// failureMode is what Envoy tells an application when it let a request in
// without an answer (failure_mode_allow_header_add). A client that sends it says
// so falsely, and Envoy passes it on.
const failureMode = "x-envoy-auth-failure-mode-allowed"

// passes is the answer that lets a request in: what the application gets to
// see, and what must not reach it.
//
// Envoy removes after it has set, so that no name may be in both.
func passes(x *exchange, removes func(string) bool) *auth.CheckResponse {
	ok := &auth.OkHttpResponse{
		Headers:              options(x.answer.Upstream),
		ResponseHeadersToAdd: options(x.answer.Reply),
	}
	for i := range x.lines.Len() {
		name, _ := x.lines.At(i)
		if (removes(name) || strings.EqualFold(name, failureMode)) && !sets(x.answer.Upstream, name) && !has(ok.HeadersToRemove, name) {
			ok.HeadersToRemove = append(ok.HeadersToRemove, valid(name))
		}
	}
	return &auth.CheckResponse{
		Status:       &rpc.Status{Code: int32(codes.OK)},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: ok},
	}
}

func sets(fields []door.Field, name string) bool {
	for i := range fields {
		if strings.EqualFold(fields[i].Name, name) {
			return true
		}
	}
	return false
}

func has(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// denied is the answer that Envoy gives the client in the application's place.
func denied(a *door.Answer) *auth.CheckResponse {
	fields := append(make([]door.Field, 0, len(a.Reply)+4), a.Reply...)
	fields = append(fields, door.Field{Name: "Cache-Control", Value: "no-store"})
	if a.Location != "" {
		fields = append(fields, door.Field{Name: "Location", Value: a.Location})
	}
	if a.RetryAfter > 0 {
		fields = append(fields, door.Field{Name: "Retry-After", Value: strconv.Itoa(a.RetryAfter)})
	}
	if len(a.Body) > 0 {
		fields = append(fields, door.Field{Name: "Content-Type", Value: a.Type})
	}
	return &auth.CheckResponse{
		Status: &rpc.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status:  &typev3.HttpStatus{Code: statusCode(a.Refusal())},
			Headers: options(fields),
			Body:    valid(string(a.Body)),
		}},
	}
}

// statusCode is a status that Envoy has a name for; it takes no other, and
// would answer 500 (451 is one that it has not).
func statusCode(status int) typev3.StatusCode {
	if _, ok := typev3.StatusCode_name[int32(status)]; ok {
		return typev3.StatusCode(status)
	}
	if status >= 500 {
		return typev3.StatusCode_ServiceUnavailable
	}
	return typev3.StatusCode_Forbidden
}

// valid is s as protobuf takes it. A policy may put a client's own bytes into an answer,
// such as where it is sent, and one that cannot be written would be none.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// options makes fields what Envoy puts in place of any of that name. Cookies
// are added to each other.
func options(fields []door.Field) []*core.HeaderValueOption {
	if len(fields) == 0 {
		return nil
	}
	// Few allocations, however many there are. gRPC writes the answer when the
	// exchange is another's again: the values are copied.
	size := 0
	for i := range fields {
		size += len(fields[i].Value)
	}
	var text strings.Builder
	text.Grow(size)
	for i := range fields {
		text.WriteString(fields[i].Value)
	}
	rest := text.String()
	values := make([]core.HeaderValue, len(fields))
	opts := make([]core.HeaderValueOption, len(fields))
	out := make([]*core.HeaderValueOption, len(fields))
	for i := range fields {
		n := len(fields[i].Value)
		values[i].Key, values[i].Value = fields[i].Name, valid(rest[:n])
		rest = rest[n:]
		opts[i].Header = &values[i]
		opts[i].AppendAction = core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		if fields[i].Name == "Set-Cookie" {
			opts[i].AppendAction = core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
		}
		out[i] = &opts[i]
	}
	return out
}
