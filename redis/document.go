package redis

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// documentLua puts a text in the place of one that is still there.
const documentLua = `local now = redis.call('GET', KEYS[1]) or ''
if now ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`

const (
	// documentPatience is how long a question about a document may take; nobody waits for it.
	documentPatience = time.Second
	// documentLife is how long a document is kept that nobody writes anew.
	documentLife = 90 * 24 * time.Hour
	// maxDocument bounds what is read, bytes.
	maxDocument = 1 << 20
)

// A Document is a small text that nodes share through the server of a Limiter.
type Document struct {
	limiter *Limiter
	key     string
	script  *rueidis.Lua
}

// Document returns the document of a name. It ends with l.
func (l *Limiter) Document(name string) *Document {
	return &Document{limiter: l, key: l.store.config.Prefix + "document:" + name, script: rueidis.NewLuaScript(documentLua)}
}

// Load returns the text, "" when there is none.
func (d *Document) Load(ctx context.Context) (string, error) {
	text, err := ask(ctx, d.limiter, documentPatience, func(ctx context.Context, client rueidis.Client) (string, error) {
		s, err := client.Do(ctx, client.B().Get().Key(d.key).Build()).ToString()
		if rueidis.IsRedisNil(err) {
			return "", nil
		}
		return s, err
	})
	if err == nil && len(text) > maxDocument {
		return "", errors.New("redis: the document " + d.key + " is longer than any that is written")
	}
	return text, err
}

// Swap puts a text in the place of the one that was loaded, and reports whether it was
// still that one.
func (d *Document) Swap(ctx context.Context, before, after string) (bool, error) {
	n, err := ask(ctx, d.limiter, documentPatience, func(ctx context.Context, client rueidis.Client) (int64, error) {
		return d.script.Exec(ctx, client, []string{d.key}, []string{before, after, documentLifeText}).ToInt64()
	})
	return n == 1, err
}

var documentLifeText = strconv.FormatInt(documentLife.Milliseconds(), 10)
