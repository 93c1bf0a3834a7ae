package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden/internal/authz"
)

func TestFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFollowing()
		newest := int64(4)
		feed := f.feed(func(context.Context, int64, func(*authz.Changes) error) (int64, error) { return newest, nil })
		look := func() { _, _ = feed(t.Context(), 0, nil) }
		look()
		begin := time.Now()
		f.inForce(t.Context(), 4)
		if time.Since(begin) != 0 {
			t.Error("it waits for what is known")
		}
		go func() {
			<-f.nudge
			newest = 5
			look()
		}()
		f.inForce(t.Context(), 5)
		if time.Since(begin) != 0 {
			t.Error("it is not told")
		}
		f.inForce(t.Context(), 6)
		if time.Since(begin) != maxFollow {
			t.Errorf("it waits for %v", time.Since(begin))
		}
	})
}
