package authz

import (
	"sync"
	"testing"
	"time"
)

// Memory is made into huge pages under calls and changes, and every key is what it was.
func TestCompact(t *testing.T) {
	a, texts := world(t, manyKeys+1)
	check := func() {
		var c Call
		for _, text := range texts {
			c.Reset()
			c.Key, c.Items, c.Now = text, 1, time.Now()
			if why := a.Check(&c); why != nil {
				t.Errorf("a key is refused: %v", why.Code)
				return
			}
		}
	}
	var all sync.WaitGroup
	all.Go(check)
	all.Go(a.Compact)
	all.Wait()
	check()
}
