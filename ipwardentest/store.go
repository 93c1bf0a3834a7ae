package ipwardentest

import (
	"bytes"
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/source"
)

// Store is a [source.Store] in memory, as two processes of a test share it.
type Store struct {
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Err, when it returns an error, is what every question is answered with.
	Err func(ctx context.Context) error

	mu   sync.Mutex // guards the rest
	kept map[source.Key]kept
}

type kept struct {
	value []byte
	count int64
	until time.Time
}

var (
	_ source.Store   = (*Store)(nil)
	_ source.Counter = (*Store)(nil)
)

func (s *Store) begin(ctx context.Context) (now time.Time, err error) {
	if s.Err != nil {
		if err := s.Err(ctx); err != nil {
			return now, err
		}
	}
	if err := ctx.Err(); err != nil {
		return now, err
	}
	if s.kept == nil {
		s.kept = map[source.Key]kept{}
	}
	if s.Now != nil {
		return s.Now(), nil
	}
	return time.Now(), nil
}

// Get is part of [source.Store].
func (s *Store) Get(ctx context.Context, keys []source.Key, values [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	for i, k := range keys {
		values[i] = nil
		if v, ok := s.kept[k]; ok && now.Before(v.until) {
			values[i] = bytes.Clone(v.value)
		}
	}
	return nil
}

// Set is part of [source.Store].
func (s *Store) Set(ctx context.Context, key source.Key, value []byte, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.begin(ctx)
	if err == nil {
		s.kept[key] = kept{value: bytes.Clone(value), until: now.Add(ttl)}
	}
	return err
}

// Claim is part of [source.Store].
func (s *Store) Claim(ctx context.Context, key source.Key, ttl time.Duration) (mine bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	if v, ok := s.kept[key]; ok && now.Before(v.until) {
		return false, nil
	}
	s.kept[key] = kept{value: []byte("1"), until: now.Add(ttl)}
	return true, nil
}

// Count is part of [source.Counter].
func (s *Store) Count(ctx context.Context, key source.Key, n int64, ttl time.Duration) (total int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	v, ok := s.kept[key]
	if !ok || !now.Before(v.until) {
		v = kept{until: now.Add(ttl)}
	}
	v.count += n
	s.kept[key] = v
	return v.count, nil
}

// Values calls f with each value, and keeps what it returns: for tests that spoil
// them.
func (s *Store) Values(f func(value []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.kept {
		v.value = f(v.value)
		s.kept[k] = v
	}
}

// Len is how much there is, what has expired with it.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept)
}

// TestStore checks that a [source.Store], and the [source.Counter] that it may be,
// keeps its contract. It leaves values behind, under keys that are random.
func TestStore(t *testing.T, s source.Store) {
	t.Helper()
	key := func() (k source.Key) {
		_, _ = rand.Read(k.Name[:])
		return k
	}
	get := func(t *testing.T, keys ...source.Key) [][]byte {
		t.Helper()
		values := make([][]byte, len(keys))
		for i := range values {
			values[i] = []byte("left over")
		}
		if err := s.Get(t.Context(), keys, values); err != nil {
			t.Fatal(err)
		}
		return values
	}
	set := func(t *testing.T, k source.Key, v []byte, ttl time.Duration) {
		t.Helper()
		if err := s.Set(t.Context(), k, v, ttl); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("what was put there is there, and nothing else", func(t *testing.T) {
		a, b, c := key(), key(), key()
		binary := make([]byte, 300)
		for i := range binary {
			binary[i] = byte(i)
		}
		set(t, a, binary, time.Minute)
		set(t, c, []byte("old"), time.Minute)
		set(t, c, []byte("new"), time.Minute)
		v := get(t, a, b, c)
		if !bytes.Equal(v[0], binary) || v[1] != nil || string(v[2]) != "new" {
			t.Errorf("%q", v)
		}
	})
	t.Run("keys of many groups", func(t *testing.T) {
		var keys []source.Key
		for i := range 100 {
			k := key()
			if i%2 == 1 {
				k.Group = keys[i-1].Group
			} else {
				_, _ = rand.Read(k.Group[:])
			}
			keys = append(keys, k)
			set(t, k, []byte{byte(i)}, time.Minute)
		}
		for i, v := range get(t, keys...) {
			if !bytes.Equal(v, []byte{byte(i)}) {
				t.Fatalf("of the key %d there is %q", i, v)
			}
		}
	})
	t.Run("the longest value", func(t *testing.T) {
		a := key()
		set(t, a, bytes.Repeat([]byte("x"), source.MaxValue), time.Minute)
		if v := get(t, a); len(v[0]) != source.MaxValue {
			t.Errorf("%d bytes", len(v[0]))
		}
	})
	t.Run("one of all claims", func(t *testing.T) {
		var mine atomic.Int32
		var wg sync.WaitGroup
		k := key()
		for range 32 {
			wg.Go(func() {
				ok, err := s.Claim(t.Context(), k, time.Minute)
				if err != nil {
					t.Error(err)
				} else if ok {
					mine.Add(1)
				}
			})
		}
		wg.Wait()
		if n := mine.Load(); n != 1 {
			t.Errorf("%d have it", n)
		}
	})
	t.Run("an end comes to what is kept", func(t *testing.T) {
		k, c := key(), key()
		set(t, k, []byte("short"), time.Millisecond)
		if ok, err := s.Claim(t.Context(), c, time.Millisecond); !ok || err != nil {
			t.Error(ok, err)
		}
		// A Store may round up to a second or two.
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			ok, err := s.Claim(t.Context(), c, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if ok && get(t, k)[0] == nil {
				break
			}
			if ok {
				c = key()
				_, _ = s.Claim(t.Context(), c, time.Millisecond)
			}
			if time.Now().After(end) {
				t.Fatal("it is still there")
			}
		}
	})
	t.Run("a context that has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Get(ctx, []source.Key{key()}, make([][]byte, 1)); err == nil {
			t.Error("Get has no error")
		}
		if err := s.Set(ctx, key(), []byte("x"), time.Minute); err == nil {
			t.Error("Set has no error")
		}
		if ok, err := s.Claim(ctx, key(), time.Minute); ok || err == nil {
			t.Error("Claim has no error", ok)
		}
	})
	counter, ok := s.(source.Counter)
	if !ok {
		return
	}
	t.Run("counts of many are one", func(t *testing.T) {
		k := key()
		var wg sync.WaitGroup
		var highest atomic.Int64
		for range 16 {
			wg.Go(func() {
				n, err := counter.Count(t.Context(), k, 3, time.Minute)
				if err != nil {
					t.Error(err)
				}
				for {
					was := highest.Load()
					if n <= was || highest.CompareAndSwap(was, n) {
						return
					}
				}
			})
		}
		wg.Wait()
		if n := highest.Load(); n != 48 {
			t.Errorf("they counted %d, want 48", n)
		}
	})
}
