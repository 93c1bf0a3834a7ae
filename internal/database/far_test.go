package database_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/postgres"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// asked passes connections on to a server of PostgreSQL, and counts what clients send and
// wait for: queries, and pieces of them that end in a Sync.
func asked(t *testing.T, server string) (addr string, n *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	n = new(atomic.Int64)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				up, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer up.Close()
				go func() { _, _ = io.Copy(client, up); client.Close() }()
				for first := true; ; first = false {
					head := make([]byte, 5)[:4] // the first message has no type
					if !first {
						head = head[:5]
					}
					if _, err := io.ReadFull(client, head); err != nil {
						return
					}
					rest := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:])-4)
					if _, err := io.ReadFull(client, rest); err != nil {
						return
					}
					if !first && (head[0] == 'Q' || head[0] == 'S') {
						n.Add(1)
					}
					if _, err := up.Write(append(head, rest...)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), n
}

// A database may be on the other side of the world: that its tables are of this version
// is known after one question, whose text is sent first.
func TestOpenAsksOnce(t *testing.T) {
	at := proxytest.NewPostgres(t).Create(t, "test")
	db, err := postgres.Open(t.Context(), at, 10*time.Minute)
	must(t, db, err)
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	var n *atomic.Int64
	u.Host, n = asked(t, u.Host)
	db, err = postgres.Open(t.Context(), u.String(), 10*time.Minute)
	must(t, db, err)
	if got := n.Load(); got < 1 || got > 3 {
		t.Errorf("the server was asked %d times; want twice, and once whether the connection is alive", got)
	}
}
