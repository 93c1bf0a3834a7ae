package simulate

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What is asked: one look-up, and a mistake, which costs nothing and is answered with
// where the customer stands.
const (
	pathGood = "/v1/ip/8.8.8.8?fields=asn.number"
	pathBad  = "/v1/ip/nobody"
)

// caller is one connection to a region's server. It is not net/http's client, which
// may send a request twice.
type caller struct {
	r    *region
	conn net.Conn
	in   *bufio.Reader
}

func (r *region) caller() *caller { return &caller{r: r} }

func (c *caller) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// answer is what is read of one.
type answer struct {
	status int
	left   int64 // of the month, -1 is not said
}

// notSent is of a call that the server cannot have seen.
type notSent struct{ error }

func (c *caller) get(key, path string) (answer, error) {
	if c.conn == nil {
		conn, err := c.r.w.dial(c.r.i, c.r.http())
		if err != nil {
			return answer{}, notSent{err}
		}
		c.conn, c.in = conn, bufio.NewReaderSize(conn, 4096)
	}
	a, err := c.exchange(key, path)
	if err != nil {
		c.close()
	}
	return a, err
}

func (c *caller) exchange(key, path string) (answer, error) {
	if err := c.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return answer{}, err
	}
	line := ""
	if key != "" {
		line = "X-Api-Key: " + key + "\r\n"
	}
	if _, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: ipwarden.example\r\n%s\r\n", path, line); err != nil {
		return answer{}, err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return answer{}, err
	}
	return answer{res.StatusCode, leftOf(res.Header.Get("RateLimit"))}, nil
}

// leftOf reads "month";r=99;t=2733.
func leftOf(rateLimit string) int64 {
	_, rest, ok := strings.Cut(rateLimit, `"month";r=`)
	if !ok {
		return -1
	}
	digits, _, _ := strings.Cut(rest, ";")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// traffic is calls that go on through everything. It knows what was answered.
type traffic struct {
	w         *world
	customers []*customer
	keys      []string
	answered  [][]atomic.Int64 // by key and region
	lost      [][]atomic.Int64 // calls that were sent and had no answer
	refused   atomic.Int64     // answers that are no 200
	stop      chan struct{}
	all       sync.WaitGroup
}

// callers is how many connections traffic has to each region: so many calls at most
// are on their way when a server is killed.
const callers = 2

func (w *world) traffic(customers []*customer) *traffic {
	t := &traffic{w: w, customers: customers, stop: make(chan struct{})}
	for _, c := range customers {
		t.keys = append(t.keys, c.keys...)
	}
	t.answered, t.lost = make([][]atomic.Int64, len(t.keys)), make([][]atomic.Int64, len(t.keys))
	for i := range t.keys {
		t.answered[i], t.lost[i] = make([]atomic.Int64, len(w.regions)), make([]atomic.Int64, len(w.regions))
	}
	for _, r := range w.regions {
		for range callers {
			t.all.Go(func() { t.call(r) })
		}
	}
	return t
}

func (t *traffic) call(r *region) {
	c := r.caller()
	defer c.close()
	tick := time.NewTicker(callers * time.Second / time.Duration(t.w.c.Rate))
	defer tick.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-tick.C:
		}
		k := rand.IntN(len(t.keys))
		a, err := c.get(t.keys[k], pathGood)
		switch _, unsent := err.(notSent); {
		case err == nil && a.status == 200:
			t.answered[k][r.i].Add(1)
		case err == nil:
			t.refused.Add(1)
		case !unsent:
			t.lost[k][r.i].Add(1)
		}
	}
}

// end ends the traffic.
func (t *traffic) end() {
	close(t.stop)
	t.all.Wait()
}

// span is how many calls of a customer may have been counted.
type span struct{ from, to int64 }

func (s span) has(n int64) bool { return s.from <= n && n <= s.to }

// of is what is known of a key's calls in a region.
func (t *traffic) of(key, region int) span {
	n := t.answered[key][region].Load()
	return span{n, n + t.lost[key][region].Load()}
}
