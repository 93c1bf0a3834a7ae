package ban

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// TestSize holds what the page on bans says of memory, with room for what the heap
// has beside.
func TestSize(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	table := newTable(t, Config{File: filepath.Join(t.TempDir(), "bans.json")})
	const n = 20_000
	for i := range n {
		add(t, table, fmt.Sprintf("%d.%d.%d.7/32", 11+i%90, i>>8, i&255), time.Hour)
	}
	each := (heap() - before) / n
	t.Logf("%d bytes a ban", each)
	if each > 1000 {
		t.Errorf("a ban takes %d bytes", each)
	}
	runtime.KeepAlive(table)
}

// BenchmarkSave writes a full table.
func BenchmarkSave(b *testing.B) {
	table := newTable(b, Config{File: filepath.Join(b.TempDir(), "bans.json")})
	for i := range DefaultMost {
		add(b, table, fmt.Sprintf("10.%d.%d.7/32", i>>8, i&255), time.Hour)
	}
	for b.Loop() {
		table.mu.Lock()
		table.unsaved = true
		table.mu.Unlock()
		table.turn.Lock()
		err := table.save()
		table.turn.Unlock()
		if err != nil {
			b.Fatal(err)
		}
	}
}
