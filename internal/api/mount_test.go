package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMounts(t *testing.T) {
	a := newAPI(t, func(c *Config) {
		c.Mounts = []Mount{{"/account", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "mounted") })}}
	})
	for path, want := range map[string]bool{"/account": true, "/account/keys": true, "/account?x": true, "/accounts": false, "/": false, "/v1/ip/8.8.8.8": false} {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if got := w.Body.String() == "mounted"; got != want {
			t.Errorf("%s: mounted %v, want %v", path, got, want)
		}
	}
	_, err := New(Config{Data: a.cfg.Data, Mounts: []Mount{{Prefix: "account/"}}})
	if err == nil || !strings.Contains(err.Error(), "Mounts") {
		t.Errorf("a prefix that is none: %v", err)
	}
}
