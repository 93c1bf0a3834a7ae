package gate_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
)

// What stands behind a colon is the port, whatever it is: applications take it off,
// and a rule for a host is not passed by with one that is none.
func TestHostsWithOddPorts(t *testing.T) {
	for field, want := range map[string]string{
		"admin.example:8080": "admin.example", "admin.example:x": "admin.example", "admin.example:80:x": "admin.example",
		"ADMIN.example.:80:80": "admin.example", "admin.example:": "admin.example", "admin.example:80.": "admin.example",
		"admin.example:80]": "admin.example", "[2001:db8::1]:80": "[2001:db8::1]", "[2001:db8::1]": "[2001:db8::1]",
		"[2001:db8::1]:80:x": "[2001:db8::1]", "[2001:db8::1": "[2001:db8::1", ":80": "", "": "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = field
		var q ipwarden.Request
		if gate.RequestOf(r, &q); q.Host != want {
			t.Errorf("%q: %q, want %q", field, q.Host, want)
		}
		q = ipwarden.Request{Header: http.Header{
			"X-Original-Uri": {"/"}, "X-Original-Method": {"GET"}, "X-Original-Host": {field},
		}, Host: field}
		if err := gate.Nginx.Read(&q); err != nil || q.Host != want {
			t.Errorf("%q behind nginx: %q, %v; want %q", field, q.Host, err, want)
		}
	}
}
