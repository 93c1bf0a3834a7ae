package update

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/dataset"
)

func dayOf(month, d int) time.Time {
	return time.Date(2026, time.Month(month), d, 0, 0, 0, 0, time.UTC)
}

// keep puts a dataset of a date into a data directory.
func keep(t *testing.T, dir string, date time.Time, name string) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, datasetsDir), 0o700))
	name = filepath.Join(dir, datasetsDir, name+suffix)
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	_, err = dataset.Build(t.Context(), f, dataset.BuildConfig{Date: date})
	must(t, err)
	return name
}

func openAt(t *testing.T, name string) *dataset.Dataset {
	t.Helper()
	ds, err := dataset.Open(name)
	must(t, err)
	return ds
}

func TestHistory(t *testing.T) {
	dir := t.TempDir()
	keep(t, dir, dayOf(11, 3), "a")
	keep(t, dir, dayOf(11, 10), "b")
	presentName := keep(t, dir, dayOf(11, 17), "c")
	keep(t, dir, dayOf(11, 20), "withdrawn") // somebody went back from it
	must(t, os.WriteFile(filepath.Join(dir, datasetsDir, "notes.txt"), []byte("x"), 0o600))
	present := openAt(t, presentName)
	now := dayOf(11, 21)
	h := NewHistory(HistoryConfig{
		DataDir: dir, Present: func() *dataset.Dataset { return present }, Now: func() time.Time { return now },
	})
	at := func(when time.Time, date time.Time, covered bool) *dataset.Dataset {
		t.Helper()
		ds, ok := h.At(when)
		if !ds.Date().Equal(date) || ok != covered {
			t.Errorf("at %v: the dataset of %v, %v; want %v, %v", when, ds.Date(), ok, date, covered)
		}
		return ds
	}
	if at(now, dayOf(11, 17), true) != present || at(dayOf(11, 17), dayOf(11, 17), true) != present {
		t.Error("what answers now was opened a second time")
	}
	at(dayOf(11, 17).Add(-1), dayOf(11, 10), true)
	at(dayOf(11, 10), dayOf(11, 10), true)
	at(dayOf(11, 10).Add(-1), dayOf(11, 3), true)
	at(dayOf(11, 3).Add(-1), dayOf(11, 3), false)
	if at(dayOf(11, 12), dayOf(11, 10), true) != at(dayOf(11, 13), dayOf(11, 10), true) {
		t.Error("one dataset has two pointers")
	}

	// What an update keeps and removes is seen when the list is read again.
	must(t, os.Remove(filepath.Join(dir, datasetsDir, "a"+suffix)))
	keep(t, dir, dayOf(11, 12), "d")
	at(dayOf(11, 12), dayOf(11, 10), true)
	now = now.Add(lookAgain)
	at(dayOf(11, 12), dayOf(11, 12), true)
	at(dayOf(11, 3), dayOf(11, 10), false)

	// The clock of a machine may go back.
	now = now.AddDate(0, 0, -7)
	keep(t, dir, dayOf(11, 13), "e")
	at(dayOf(11, 13), dayOf(11, 13), true)
}

// A file that cannot be read is told once, and the one before it answers.
func TestHistoryDamaged(t *testing.T) {
	dir := t.TempDir()
	keep(t, dir, dayOf(11, 3), "a")
	bad := keep(t, dir, dayOf(11, 10), "b")
	present := openAt(t, keep(t, dir, dayOf(11, 17), "c"))
	whole, err := os.ReadFile(bad)
	must(t, err)
	must(t, os.WriteFile(bad, whole[:len(whole)-1], 0o600))
	must(t, os.WriteFile(filepath.Join(dir, datasetsDir, "empty.ipw"), nil, 0o600))
	var said bytes.Buffer
	now := dayOf(11, 21)
	h := NewHistory(HistoryConfig{
		DataDir: dir, Present: func() *dataset.Dataset { return present }, Now: func() time.Time { return now },
		Log: slog.New(slog.NewTextHandler(&said, nil)),
	})
	for range 3 {
		if ds, covered := h.At(dayOf(11, 11)); !ds.Date().Equal(dayOf(11, 3)) || !covered {
			t.Errorf("the dataset of %v, %v", ds.Date(), covered)
		}
		now = now.Add(lookAgain)
	}
	if n := strings.Count(said.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings, want one for each file:\n%s", n, said.String())
	}
	must(t, os.WriteFile(bad, whole, 0o600))
	now = now.Add(lookAgain)
	if ds, _ := h.At(dayOf(11, 11)); !ds.Date().Equal(dayOf(11, 10)) {
		t.Errorf("it was mended; the dataset of %v answers", ds.Date())
	}
}

// Never more datasets are open than was asked for, and one that left the cache goes
// on answering for who holds it.
func TestHistoryIsBounded(t *testing.T) {
	dir := t.TempDir()
	for i := range 6 {
		keep(t, dir, dayOf(11, 1+i), string(rune('a'+i)))
	}
	present := openAt(t, keep(t, dir, dayOf(11, 17), "p"))
	h := NewHistory(HistoryConfig{
		DataDir: dir, Opened: 2, Present: func() *dataset.Dataset { return present }, Now: func() time.Time { return dayOf(11, 21) },
	})
	first, _ := h.At(dayOf(11, 1))
	for i := range 12 {
		h.At(dayOf(11, 1+i%6))
		if n := len(h.open); n > 2 {
			t.Fatalf("%d datasets are open", n)
		}
	}
	runtime.GC()
	if _, err := first.Lookup(t.Context(), netip.MustParseAddr("8.8.8.8")); err != nil {
		t.Error(err)
	}
}

func TestHistoryConcurrent(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		keep(t, dir, dayOf(11, 1+i), string(rune('a'+i)))
	}
	present := openAt(t, keep(t, dir, dayOf(11, 17), "p"))
	h := NewHistory(HistoryConfig{DataDir: dir, Opened: 1, Present: func() *dataset.Dataset { return present }})
	done := make(chan bool)
	for g := range 4 {
		go func() {
			for i := range 50 {
				d := 1 + (i+g)%3
				if ds, _ := h.At(dayOf(11, d)); !ds.Date().Equal(dayOf(11, d)) {
					t.Errorf("the dataset of %v", ds.Date())
				}
			}
			done <- true
		}()
	}
	for range 4 {
		<-done
	}
}

func TestParseAsOf(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-17": "2026-11-17T23:59:59.999999999Z", "2026-11-17T08:30:00Z": "2026-11-17T08:30:00Z",
		"2026-11-17T08:30:00+02:00": "2026-11-17T08:30:00+02:00", "2024-02-29": "2024-02-29T23:59:59.999999999Z",
		"17.11.2026": "", "2026-02-30": "", "": "", "yesterday": "",
	} {
		got, err := ParseAsOf(in)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "2026-11-17T08:30:00Z") {
				t.Errorf("%q: %v, %v", in, got, err)
			}
		} else if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %v, %v; want %s", in, got, err, want)
		}
	}
}
