package update

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/dataset"
)

// Bounds of a History.
const (
	defaultOpened = 4                // datasets; of each a mapping and some 10 MB of tables
	lookAgain     = 10 * time.Second // how old the list of files may be
)

// A HistoryConfig says where the datasets are.
type HistoryConfig struct {
	DataDir string
	// Present is what answers now. It answers whatever happened from its date on,
	// so that a newer dataset from which somebody went back is not used either.
	Present func() *dataset.Dataset
	// Opened is how many older datasets are open at once; default 4. The one that
	// was asked least recently goes.
	Opened int
	Now    func() time.Time // default time.Now
	Log    *slog.Logger     // takes files that cannot be read; default slog.Default
}

// A History answers from the dataset of the time at which something happened, as
// far back as datasets are kept. It is safe for concurrent use.
type History struct {
	cfg HistoryConfig

	mu     sync.Mutex // guards all below; held while a dataset is opened
	kept   []Dated
	listed time.Time
	open   []opened        // a few, the last asked first
	told   map[string]bool // what was logged, by path
}

type opened struct {
	path string
	ds   *dataset.Dataset // nil: it cannot be read
}

// NewHistory returns a History; nothing is opened yet.
func NewHistory(cfg HistoryConfig) *History {
	if cfg.Opened <= 0 {
		cfg.Opened = defaultOpened
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &History{cfg: cfg, told: map[string]bool{}}
}

// At returns the dataset for what happened at t: the newest that is not of a later
// date. When none that old is kept it is the oldest there is, and covered is false.
// Two calls that mean one dataset return one pointer as long as it stays open, so
// events can be grouped by it. A dataset that left the cache is closed when nothing
// refers to it any more.
func (h *History) At(t time.Time) (ds *dataset.Dataset, covered bool) {
	present := h.cfg.Present()
	if !t.Before(present.Date()) {
		return present, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.look()
	older := h.kept[:AsOf(h.kept, present.Date().Add(-1))+1]
	first := AsOf(older, t)
	for i := first; i >= 0; i-- {
		if ds := h.get(older[i].Path); ds != nil {
			return ds, true
		}
	}
	for i := max(first+1, 0); i < len(older); i++ {
		if ds := h.get(older[i].Path); ds != nil {
			return ds, false
		}
	}
	return present, false
}

// look reads the directory anew now and then.
func (h *History) look() {
	now := h.cfg.Now()
	if since := now.Sub(h.listed); !h.listed.IsZero() && since >= 0 && since < lookAgain {
		return
	}
	h.listed = now
	kept, err := Datasets(h.cfg.DataDir)
	h.tell("", err)
	h.kept = kept
	stay := make(map[string]bool, len(kept))
	for _, k := range kept {
		stay[k.Path] = true
	}
	h.open = slices.DeleteFunc(h.open, func(o opened) bool {
		return !stay[o.path] || o.ds == nil // what could not be read is tried again
	})
}

// get opens a dataset, or returns nil when it cannot be read.
func (h *History) get(path string) *dataset.Dataset {
	i := slices.IndexFunc(h.open, func(o opened) bool { return o.path == path })
	var o opened
	if i >= 0 {
		o = h.open[i]
		h.open = slices.Delete(h.open, i, i+1)
	} else {
		ds, err := dataset.Open(path)
		h.tell(path, err)
		if err != nil {
			ds = nil
		}
		o = opened{path, ds}
	}
	h.open = slices.Insert(h.open, 0, o)
	if n := h.cfg.Opened; len(h.open) > n {
		h.open = slices.Delete(h.open, n, len(h.open)) // which clears them
	}
	return o.ds
}

// tell logs an error once, until the same thing went well again.
func (h *History) tell(path string, err error) {
	if err == nil {
		delete(h.told, path)
		return
	}
	if !h.told[path] {
		h.told[path] = true
		h.cfg.Log.Warn("a dataset that is kept cannot be read; its neighbour answers", "error", err)
	}
}
