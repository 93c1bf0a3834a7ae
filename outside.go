package ipwarden

import (
	"context"
	"net/netip"
	"time"
)

// Intelligence is how much of a question may go outside, to a provider that
// takes time and costs money. What a cache has kept counts as known here.
type Intelligence uint8

const (
	// IntelligenceDefault leaves it to the Source.
	IntelligenceDefault Intelligence = iota
	// IntelligenceAsync answers at once from what is known here. What is not is
	// asked behind the answer, for the next time.
	IntelligenceAsync
	// IntelligenceSync waits for what is asked outside, no longer than the budget,
	// and then answers from what there is.
	IntelligenceSync
	// IntelligenceStrict waits like IntelligenceSync, and then fails.
	IntelligenceStrict
	// IntelligenceLocal asks nothing outside.
	IntelligenceLocal
)

var intelligenceNames = [...]string{"", "async", "sync", "strict", "local"}

// String returns the word: "async", "sync", "strict", "local", or "".
func (i Intelligence) String() string {
	if int(i) >= len(intelligenceNames) {
		return "unknown"
	}
	return intelligenceNames[i]
}

// Intelligences lists the words in the order of the constants; the first is "".
func Intelligences() []string { return append([]string(nil), intelligenceNames[:]...) }

// An Asker is a [Source] that asks others outside, and can be told how long an
// answer may wait for them.
type Asker interface {
	Source
	// Ask is Lookup that waits for what is outside as how says, and no longer than
	// budget; a budget of 0 is the Source's own. pending reports that something was
	// asked for which the answer does not have yet. Beside an error there may be a
	// Record: what is known here.
	Ask(ctx context.Context, addr netip.Addr, how Intelligence, budget time.Duration) (rec Record, pending bool, err error)
}

// A LocalSource is a [Source] that waits for nobody when Local is true: it answers
// from memory, or from a file that is mapped into it. Who has a budget does not need
// to watch over it.
type LocalSource interface {
	Source
	Local() bool
}

// IsLocal reports whether a Source is a LocalSource that is local.
func IsLocal(s Source) bool {
	l, ok := s.(LocalSource)
	return ok && l.Local()
}
