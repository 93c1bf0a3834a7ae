package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

func TestUsageAgreesWithTheSchema(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	a, s := withAccounts(t)
	for _, by := range []string{"day", "hour,key", "month,endpoint,region"} {
		w := a.answer(t, "GET", "/v1/usage?by="+by, func(r *http.Request) { r.Header.Set("X-Api-Key", s.keys["BOOKS"]) })
		var v any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %v %s", by, w.Code, err, w.Body)
		}
		if err := doc.Components.Schemas["Usage"].Value.VisitJSON(v, openapi3.MultiErrors()); err != nil {
			t.Errorf("%s: %v", by, err)
		}
	}
}

// Reading is bounded in lines, and fails as it should; it costs nothing of the quota.
func TestUsageIsBounded(t *testing.T) {
	var fail error
	read := 0
	a, s := withAccounts(t, func(c *Config) {
		c.Usage = func(ctx context.Context, q usage.Query, yield func(usage.Row, int64) bool) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("usage is read without a deadline")
			}
			for read = range 3 * usageLines {
				if !yield(usage.Row{Account: q.Account, Key: customer.KeyID(read + 1), Hour: q.From}, 1) {
					break
				}
			}
			return fail
		}
	})
	ask := func() int {
		return a.answer(t, "GET", "/v1/usage?by=key", func(r *http.Request) { r.Header.Set("X-Api-Key", s.keys["BOOKS"]) }).Code
	}
	if got := ask(); got != 400 || read != usageLines {
		t.Errorf("too many lines: %d after %d rows", got, read)
	}
	fail = errors.New("the database is away")
	if got := ask(); got != 503 {
		t.Errorf("without a database: %d", got)
	}
	if got := s.usage.Standing(usage.Subject{Account: 1}).Quota().Day.Used; got != 0 {
		t.Errorf("reading usage has cost %d", got)
	}
	if w := newAPI(t, nil).answer(t, "GET", "/v1/usage"); w.Code != 404 {
		t.Errorf("without accounts: %d", w.Code)
	}
}
