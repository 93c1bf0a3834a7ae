package door

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/internal/socket"
)

// Outcomes takes what became of requests as nginx tells it: lines of its access log,
// over syslog to a Unix socket. Each has the decision's ID and ends with the status
// that the application answered with. Whoever reaches the socket is believed: its
// file's mode guards it.
type Outcomes struct {
	conn *net.UnixConn
	path string
	tell func(ctx context.Context, decision string, status int)
	log  *slog.Logger

	unread atomic.Uint64 // messages that are none of ours
	said   atomic.Int64  // when that was logged last, in minutes
}

// maxOutcome bounds a message: the header of syslog, an ID and a status.
const maxOutcome = 512

// outcomeReaders read at once: where nodes share outcomes, one takes a round trip.
const outcomeReaders = 4

// ListenOutcomes opens a socket, "unix:/path" or "unix:/path,mode=0660". tell is
// called for each outcome, from several goroutines.
func ListenOutcomes(addr string, tell func(ctx context.Context, decision string, status int), log *slog.Logger) (*Outcomes, error) {
	path, ok := strings.CutPrefix(addr, "unix:")
	if !ok {
		return nil, fmt.Errorf("%q: outcomes are taken at a Unix socket alone, since anybody can send such messages over a network; give one such as unix:/run/ipwarden/outcomes.sock,mode=0660", addr)
	}
	path, mode, hasMode := strings.Cut(path, ",mode=")
	bits, err := strconv.ParseUint(mode, 8, 9)
	if hasMode && err != nil {
		return nil, fmt.Errorf("%q: the mode %q is none of a file; one such as unix:%s,mode=0660 lets the group in too", addr, mode, path)
	}
	if st, err := os.Stat(path); err == nil && st.Mode().Type() == fs.ModeSocket {
		if c, err := net.Dial("unixgram", path); err == nil {
			_ = c.Close() // somebody is there: that is all we asked
			return nil, fmt.Errorf("%q: another process listens there", addr)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("%q: the socket of a process that is gone cannot be removed: %w", addr, err)
		}
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("%q: %w", addr, err)
	}
	if hasMode {
		if err := os.Chmod(path, fs.FileMode(bits)); err != nil {
			return nil, errors.Join(fmt.Errorf("%q: %w", addr, err), conn.Close())
		}
	}
	return &Outcomes{conn: conn, path: path, tell: tell, log: log}, nil
}

// Addr is where it listens.
func (o *Outcomes) Addr() net.Addr { return o.conn.LocalAddr() }

// Close closes the socket; Serve does so too.
func (o *Outcomes) Close() error {
	return errors.Join(o.conn.Close(), os.Remove(o.path)) // no datagram socket goes with its last holder
}

// Serve takes outcomes until ctx ends.
func (o *Outcomes) Serve(ctx context.Context) error {
	// What was sent before it was told to stop is taken still.
	stop := context.AfterFunc(ctx, func() { _ = o.conn.SetReadDeadline(time.Now()) })
	defer stop()
	var readers sync.WaitGroup
	failed := make([]error, outcomeReaders)
	for i := range failed {
		readers.Go(func() { failed[i] = o.read(ctx) })
	}
	readers.Wait()
	return errors.Join(append(failed, o.Close())...)
}

func (o *Outcomes) read(ctx context.Context) error {
	buf := make([]byte, maxOutcome)
	for left := maxLeft; ; {
		n, err := o.conn.Read(buf)
		if err != nil && ctx.Err() != nil {
			if left--; left < 0 {
				return nil
			}
			if n = o.waiting(buf); n == 0 {
				return nil
			}
		} else if err != nil {
			return fmt.Errorf("the socket of outcomes: %w", err)
		}
		if id, status, ok := readOutcome(buf[:n]); ok {
			if status != 0 {
				o.tell(context.WithoutCancel(ctx), id, status)
			}
			continue
		}
		so := o.unread.Add(1)
		if now := time.Now().Unix() / 60; o.said.Swap(now) != now {
			o.log.Warn("a message at the socket of outcomes has no decision and no status; the page on proxies has the log_format that works", "so far", so)
		}
	}
}

// maxLeft bounds what a reader takes after it was told to stop: somebody may go on
// sending.
const maxLeft = 1024

// waiting reads a message that has come already, past the deadline of the connection;
// 0 is none.
func (o *Outcomes) waiting(buf []byte) (n int) {
	raw, err := o.conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { // without a message there is none
		if got, errno := socket.Receive(fd, buf); errno == 0 {
			n = got
		}
	})
	return n
}

// readOutcome reads a line of syslog that ends with an ID and a status, or with several
// statuses, of which the last is the answer's: "… ipwarden: ID 502, 401". The status is
// 0 when nobody knows what the application thought: it was not asked, it took too long,
// or the client went away before it had answered.
func readOutcome(line []byte) (id string, status int, ok bool) {
	if len(line) == maxOutcome {
		return "", 0, false // it may be longer
	}
	fields := bytes.Fields(line)
	for i := len(fields) - 2; i >= 0; i-- {
		if len(fields[i]) != 26 {
			continue
		}
		last := fields[len(fields)-1]
		if string(last) == "-" {
			return string(fields[i]), 0, true
		}
		n, err := strconv.Atoi(string(last))
		if err != nil || n < 100 || n > 999 {
			return "", 0, false
		}
		if n == 499 || n == 504 { // nginx's own word
			n = 0
		}
		return string(fields[i]), n, true
	}
	return "", 0, false
}
