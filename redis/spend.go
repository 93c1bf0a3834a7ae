package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/redis/rueidis"
)

// Bounds of what is spent.
const (
	spendPatience = 250 * time.Millisecond
	spendLongest  = 24 * time.Hour
)

var errAway = errors.New("redis: the server is left alone for now, because it did not answer")

// Spend notes an id until then, and reports whether it was the first to, of all
// nodes: that a challenge was solved counts once. It is challenge.Spender's. An
// error means that it is not known. It takes a quarter of a second at most, or
// the Budget where that is more, and no time at all while the server is known to
// be away.
func (l *Limiter) Spend(ctx context.Context, id [16]byte, until time.Time) (first bool, err error) {
	if s := l.Stats(); s.Away {
		return false, errors.Join(errAway, s.Err)
	}
	client, err := l.store.connected()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, max(spendPatience, l.store.config.Budget))
	defer cancel()
	life := min(max(time.Until(until), time.Millisecond), spendLongest)
	key := l.store.config.Prefix + "spent:" + base64.RawURLEncoding.EncodeToString(id[:])
	err = client.Do(ctx, client.B().Set().Key(key).Value("1").Nx().Px(life).Build()).Error()
	if rueidis.IsRedisNil(err) {
		return false, nil // somebody was faster
	}
	return err == nil, err
}
