package redis

import (
	"context"
	"crypto/rand"
	_ "embed"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate/ban"
)

//go:embed ban.lua
var banLua string

const (
	// banPatience is how long an exchange of bans may take; nobody waits for it.
	banPatience = time.Second
	// banPage is how many entries an answer has, some 300 bytes each at most.
	banPage = 1000
)

// Bans shares bans through the server that a Limiter uses: what each node says of a
// network has a number, and the others ask once a second for what is new. Entries
// that have ended are dropped, and there are as many as a table has by default.
type Bans struct {
	limiter *Limiter
	script  *rueidis.Lua
	keys    []string
}

var _ ban.Store = (*Bans)(nil)

// Bans returns a store of bans. It ends with l.
func (l *Limiter) Bans() *Bans {
	prefix := l.store.config.Prefix + "{bans}" // one slot of a cluster
	return &Bans{
		limiter: l, script: rueidis.NewLuaScript(banLua),
		keys: []string{prefix, prefix + "texts", prefix + "order", prefix + "ends"},
	}
}

// Exchange is ban.Store's.
func (s *Bans) Exchange(ctx context.Context, changes []ban.Entry, since string) (got ban.Exchanged, err error) {
	epoch, mark, _ := strings.Cut(since, " ")
	if mark == "" {
		epoch, mark = "", "0"
	}
	args := []string{rand.Text(), epoch, mark, strconv.Itoa(ban.DefaultMost), strconv.Itoa(banPage), strconv.FormatInt(time.Now().UnixMilli(), 10)}
	for i := range changes {
		e := &changes[i]
		args = append(args, e.Network.String(), strconv.FormatInt(e.Stamp, 10), strconv.FormatInt(e.Until.UnixMilli(), 10), banText(e))
	}
	answer, err := ask(ctx, s.limiter, banPatience, func(ctx context.Context, client rueidis.Client) ([]rueidis.RedisMessage, error) {
		return s.script.Exec(ctx, client, s.keys, args).ToArray()
	})
	if err != nil {
		return got, err
	}
	if len(answer) < 4 || len(answer) > 4+banPage {
		return got, errJunk
	}
	name, err := answer[0].ToString()
	if err != nil || name == "" || len(name) > 64 || strings.Contains(name, " ") {
		return got, errJunk
	}
	var numbers [3]int64
	for i := range numbers {
		if numbers[i], err = answer[i+1].ToInt64(); err != nil || numbers[i] < 0 {
			return got, errJunk
		}
	}
	got.Mark = name + " " + strconv.FormatInt(numbers[0], 10)
	got.Anew, got.More = numbers[1] == 1, numbers[2] == 1
	for i := range answer[4:] {
		text, err := answer[4+i].ToString()
		if err != nil {
			return got, errJunk
		}
		if text != "" { // else it was evicted in between
			got.Entries = append(got.Entries, parseBan(text)) // one that is none is not believed
		}
	}
	return got, nil
}

// banText is an entry for the server: stamp, network, action, since and until in
// milliseconds, and the reason. Before the action there may be "lifted-", and "over-"
// when a limit made it, whose name is the reason.
func banText(e *ban.Entry) string {
	action := e.Action.String()
	if e.OverLimit {
		action = "over-" + action
	}
	if e.Lifted {
		action = "lifted-" + action
	}
	return strconv.FormatInt(e.Stamp, 10) + " " + e.Network.String() + " " + action + " " +
		strconv.FormatInt(e.Since.UnixMilli(), 10) + " " + strconv.FormatInt(e.Until.UnixMilli(), 10) + " " + e.Reason
}

// parseBan reads what banText writes; of what is none it makes the zero Entry.
func parseBan(text string) (e ban.Entry) {
	parts := strings.SplitN(text, " ", 6)
	if len(parts) != 6 || len(text) > 512 {
		return e
	}
	stamp, err1 := strconv.ParseInt(parts[0], 10, 64)
	network, err2 := netip.ParsePrefix(parts[1])
	since, err3 := strconv.ParseInt(parts[3], 10, 64)
	until, err4 := strconv.ParseInt(parts[4], 10, 64)
	action, lifted := strings.CutPrefix(parts[2], "lifted-")
	action, over := strings.CutPrefix(action, "over-")
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return e
	}
	for _, v := range [...]ipwarden.Verdict{ipwarden.Block, ipwarden.Challenge, ipwarden.Throttle} {
		if v.String() == action {
			e.Action = v
		}
	}
	e.Stamp, e.Network, e.Lifted, e.Reason = stamp, network, lifted, parts[5]
	e.OverLimit = over
	e.Since, e.Until = time.UnixMilli(since).UTC(), time.UnixMilli(until).UTC()
	return e
}
