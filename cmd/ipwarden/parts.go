package main

import (
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/api"
)

// parts are what serve works with: the dataset always, and with accounts the store, the
// streams and the disk. The server answers while any of the last three is away, and
// says so; what exactly went wrong is in the log, and not for everybody.
func (s *server) parts() func() []api.Part {
	return func() []api.Part {
		all := []api.Part{{Name: "dataset"}}
		if s.live.Load() == nil {
			all[0].Away = "there is none yet"
		}
		if s.keys == nil {
			return all
		}
		counts := s.keys.usage.Stats()
		store, stream, disk := api.Part{Name: "store"}, api.Part{Name: "stream"}, api.Part{Name: "disk"}
		switch since := s.keys.Stale(); {
		case !since.IsZero():
			store.Since, store.Away = since.Truncate(time.Second), "keys are answered as they were known then, and what is counted waits in memory and in the streams"
		case counts.CommitErr != nil:
			store.Away = "sums of usage cannot be written, and wait in memory and in the streams"
		}
		unheard := s.keys.usage.Unheard()
		switch {
		case counts.ShipErr != nil:
			stream.Away = "it takes no batches of usage, which wait on the disk"
		case len(unheard) > 0:
			stream.Away = "nothing is heard of " + strings.Join(unheard, ", ") + ": near their limits accounts keep within what is leased"
		}
		switch {
		case counts.Ledger.Err != nil:
			disk.Away = "the ledger cannot grow: what is counted anew is in memory alone"
		case counts.FreezeErr != nil:
			disk.Away = "no batches of usage can be written: what is counted waits in the ledger, and other regions do not know of it"
		}
		return append(all, store, stream, disk)
	}
}
