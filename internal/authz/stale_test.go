package authz

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// Who cannot read changes says since when, until it can again.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := newShop(t, customer.Plan{})
		shop.now = time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		away := make(chan error, 1)
		feed := func(context.Context, int64, func(*Changes) error) (int64, error) {
			select {
			case err := <-away:
				away <- err
				return 0, err
			default:
				return 1, nil
			}
		}
		done, err := shop.Follow(ctx, feed, time.Second, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		is := func(want bool) {
			t.Helper()
			time.Sleep(3 * time.Second) // of the bubble's clock
			synctest.Wait()
			if got := shop.Stale(); got.IsZero() == want {
				t.Errorf("stale since %s", got)
			}
		}
		is(false)
		away <- errors.New("the database is away")
		is(true)
		since := shop.Stale()
		is(true)
		if !shop.Stale().Equal(since) {
			t.Error("it begins anew each time")
		}
		<-away
		is(false)
		cancel()
		<-done
	})
}
