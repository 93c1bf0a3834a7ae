package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pair is two ends of a connection.
func pair(t *testing.T, network string) (a, b net.Conn) {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial(network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func both(t *testing.T, f func(t *testing.T, network string)) {
	if !Works {
		t.Skip("not on this system")
	}
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) { f(t, network) })
	}
}

// More than a socket takes at once goes through whole, both ways, and then the end.
func TestQuick(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		a, b := pair(t, network)
		q := Quick(b)
		if _, ok := q.(*quick); !ok {
			t.Fatalf("%T is not quick", q)
		}
		sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
		echoed := make(chan error, 1)
		go func() {
			_, err := io.Copy(struct{ io.Writer }{q}, struct{ io.Reader }{q})
			echoed <- errors.Join(err, q.Close())
		}()
		got := make(chan []byte, 1)
		go func() {
			all, _ := io.ReadAll(a) // what is missing is seen below
			got <- all
		}()
		if _, err := a.Write(sent); err != nil {
			t.Fatal(err)
		}
		if err := a.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if all := <-got; !bytes.Equal(all, sent) {
			t.Errorf("of %d bytes %d came back", len(sent), len(all))
		}
		if err := <-echoed; err != nil {
			t.Error(err)
		}
	})
}

func TestQuickDeadlines(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		_, b := pair(t, network)
		q := Quick(b)
		past := time.Unix(1, 0)
		if err := q.SetReadDeadline(past); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading: %v", err)
		}
		if err := q.SetWriteDeadline(past); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("writing: %v", err)
		}
	})
}

// One end waits, the other is closed; and who writes to nobody is told, not killed.
func TestQuickClosed(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		a, b := pair(t, network)
		q := Quick(b)
		waited := make(chan error, 1)
		go func() {
			_, err := q.Read(make([]byte, 1))
			waited <- err
		}()
		_ = q.Close()
		if err := <-waited; !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading while it is closed: %v", err)
		}
		q = Quick(a)
		for err := error(nil); err == nil; {
			_, err = q.Write([]byte("x")) // ends when the other side's end has come
		}
	})
}

func TestQuickOfNoSocket(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if q := Quick(a); q != a {
		t.Errorf("a pipe became %T", q)
	}
}

func TestQuickDoesNotAllocate(t *testing.T) {
	both(t, func(t *testing.T, network string) {
		a, b := pair(t, network)
		p, q := Quick(a), Quick(b)
		buf := make([]byte, 64)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := p.Write(buf); err != nil {
				t.Error(err)
			}
			if _, err := q.Read(buf); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
