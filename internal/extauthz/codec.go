package extauthz

import (
	"net/http"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/door"
)

// codec reads questions. One that cannot be read is refused with an answer, and not
// with an error: an error is what Envoy lets requests pass for, where it is told to, and
// what is in a question is the client's. Envoys before 1.26 sent bytes that are no UTF-8
// as text, which is no message of protobuf (CVE-2023-27488).
type codec struct{ encoding.CodecV2 }

// unreadable is in the place of what a question says that could not be read.
var unreadable = new(auth.AttributeContext)

// Unmarshal reads a message.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	err := c.CodecV2.Unmarshal(data, v)
	if q, ok := v.(*auth.CheckRequest); ok && err != nil {
		q.Reset()
		q.Attributes = unreadable
		return nil
	}
	return err
}

// misread is the answer to a question that could not be read.
func misread() *auth.CheckResponse {
	return denied(&door.Answer{
		Verdict: ipwarden.Block, Status: http.StatusBadRequest,
		Type: "application/problem+json",
		Body: []byte(`{"type":"https://ipwarden.dev/problems/unreadable-request","title":"The request cannot be read","status":400}` + "\n"),
	})
}
