package door

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/socket"
)

const someID = "01ARYZ6S41TSV4RRFFQ69G5FAV"

func TestReadOutcome(t *testing.T) {
	const head = "<190>Nov 21 22:00:00 ipwarden: "
	for _, c := range []struct {
		line   string
		id     string
		status int
		ok     bool
	}{
		{head + someID + " 401", someID, 401, true},
		{someID + " 200\n", someID, 200, true},
		{head + someID + " 502, 401", someID, 401, true},
		{head + someID + " 401 : 200", someID, 200, true},
		{head + someID + " -", someID, 0, true},   // the application was not asked
		{head + someID + " 499", someID, 0, true}, // the client went away
		{head + someID + " 504", someID, 0, true},
		{head + someID, "", 0, false},
		{head + someID + " ", "", 0, false},
		{head + someID + " 4011", "", 0, false},
		{head + someID + " x", "", 0, false},
		{head + "401", "", 0, false},
		{"", "", 0, false},
		{head + strings.Repeat("x", maxOutcome-len(head)-len(someID)-5) + " " + someID + " 401", "", 0, false},
	} {
		id, status, ok := readOutcome([]byte(c.line))
		if id != c.id || status != c.status || ok != c.ok {
			t.Errorf("%q: %q %d %v, want %q %d %v", c.line, id, status, ok, c.id, c.status, c.ok)
		}
	}
}

func FuzzReadOutcome(f *testing.F) {
	f.Add([]byte("<190>Nov 21 22:00:00 ipwarden: " + someID + " 401"))
	f.Add([]byte(someID + " -"))
	f.Fuzz(func(t *testing.T, line []byte) {
		id, status, ok := readOutcome(line)
		if ok && (len(id) != 26 || status != 0 && (status < 100 || status > 999)) || !ok && id != "" {
			t.Errorf("%q: %q %d %v", line, id, status, ok)
		}
	})
}

func TestOutcomesAreTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outcomes.sock")
	var said bytes.Buffer
	told := make(chan int, 10)
	o, err := ListenOutcomes("unix:"+path+",mode=0600", func(_ context.Context, id string, status int) {
		if id != someID {
			t.Errorf("decision %q", id)
		}
		told <- status
	}, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ListenOutcomes("unix:"+path, nil, nil); err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("a second one: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- o.Serve(ctx) }()
	c, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, line := range []string{"junk", someID + " 499", someID + " 401"} {
		if _, err := c.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if status := <-told; status != 401 {
		t.Errorf("told %d", status)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := strings.Count(said.String(), "has no decision and no status"); n != 1 {
		t.Errorf("the log says: %s", &said)
	}
	// The place is free again.
	again, err := ListenOutcomes("unix:"+path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	for addr, want := range map[string]string{
		"127.0.0.1:514":        "Unix socket alone",
		"unix:/x,mode=8":       "the mode",
		"unix:/no/such/folder": "no such file",
	} {
		if _, err := ListenOutcomes(addr, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// What was sent before it was told to stop is counted, however many wait.
func TestOutcomesAreTakenToTheEnd(t *testing.T) {
	if !socket.Works {
		t.Skip("what waits at a socket that is about to close is read on Linux alone")
	}
	path := filepath.Join(t.TempDir(), "outcomes.sock")
	const sent = outcomeReaders + 5
	begun, release := make(chan struct{}, sent), make(chan struct{})
	o, err := ListenOutcomes("unix:"+path, func(context.Context, string, int) {
		begun <- struct{}{}
		<-release
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- o.Serve(ctx) }()
	c, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range sent {
		if _, err := c.Write([]byte(someID + " 401")); err != nil {
			t.Fatal(err)
		}
	}
	for range outcomeReaders {
		<-begun // and the others wait in the socket
	}
	if err := o.conn.SetReadDeadline(time.Unix(1, 0)); err != nil { // as Serve does when it is told
		t.Fatal(err)
	}
	cancel()
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := outcomeReaders + len(begun); n != sent {
		t.Errorf("%d of %d outcomes are told", n, sent)
	}
}
