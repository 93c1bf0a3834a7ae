package decide_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/examples"
	"github.com/ipwarden/ipwarden/internal/edge"
	"github.com/ipwarden/ipwarden/internal/edge/decide"
	"github.com/ipwarden/ipwarden/internal/edge/edgetest"
)

func engine(t testing.TB, name, text string) *decide.Engine {
	t.Helper()
	parts, err := edge.Compile(&edge.Config{Policy: edgetest.Read(t, name, text), Name: name, Dataset: edgetest.World(t)})
	if err != nil {
		t.Fatal(err)
	}
	e, err := decide.New(decide.Config{Program: parts.Program, Dataset: parts.Dataset, Now: edgetest.Moment})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var visitor = edgetest.Question{Address: "78.64.1.1", Method: "GET", Scheme: "https", Host: "example.com", Path: "/", Headers: [][2]string{}}

func ask(t testing.TB, e *decide.Engine, q edgetest.Question, now time.Time, flags, cleared byte, sample uint32) edgetest.Answer {
	t.Helper()
	a, err := edgetest.ReadVerdict(e.Decide(q.Append(nil, now, flags, cleared, sample)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A clearance lifts a challenge up to its score.
func TestCleared(t *testing.T) {
	e := engine(t, "cleared.yaml", "version: 1\nrules:\n  - {name: everybody, when: risk.score < 101, action: challenge}\n")
	a := ask(t, e, visitor, edgetest.Moment, 0, 0, 0)
	if a.Verdict != "challenge" || a.Status != 403 {
		t.Fatalf("%+v", a)
	}
	tor := visitor
	tor.Address = "185.220.101.1"
	high := ask(t, e, tor, edgetest.Moment, 0, 0, 0)
	if high.Risk < 20 {
		t.Fatalf("the score of a Tor exit is %d", high.Risk)
	}
	for cleared, want := range map[byte]string{0: "challenge", high.Risk: "challenge", high.Risk + 1: "allow", 101: "allow"} {
		if a := ask(t, e, tor, edgetest.Moment, 0, cleared, 0); a.Verdict != want {
			t.Errorf("a clearance up to %d: %s, want %s", int(cleared)-1, a.Verdict, want)
		}
	}
}

// Who is throttled without a limit is told when to try again.
func TestThrottleWithoutALimit(t *testing.T) {
	e := engine(t, "slow.yaml", "version: 1\nrules:\n  - {name: slow, when: risk.score < 101, action: throttle}\n")
	b := e.Decide(visitor.Append(nil, edgetest.Moment, 0, 0, 0))
	a, err := edgetest.ReadVerdict(b)
	if err != nil || a.Verdict != "throttle" || a.Status != 429 || binary.LittleEndian.Uint32(b[20:]) != 1 {
		t.Errorf("%+v, %v; again in %d", a, err, binary.LittleEndian.Uint32(b[20:]))
	}
}

// Limits are charged when the request says so, and no one's for another's.
func TestLimits(t *testing.T) {
	e := engine(t, "limits.yaml", "version: 1\nlimits:\n  - {name: few, rate: 3/min}\n")
	now := edgetest.Moment
	for i := range 5 {
		if a := ask(t, e, visitor, now, 0, 0, 0); a.Verdict != "allow" {
			t.Fatalf("question %d: %+v", i, a)
		}
	}
	for i, want := range []string{"allow", "allow", "allow", "throttle", "throttle"} {
		a := ask(t, e, visitor, now, decide.RequestCharge, 0, 0)
		if a.Verdict != want {
			t.Errorf("request %d: %s, want %s", i, a.Verdict, want)
		}
		if want == "throttle" && (a.Status != 429 || a.By != "few" || a.Reason != "limit") {
			t.Errorf("%+v", a)
		}
	}
	other := visitor
	other.Address = "78.64.1.2"
	if a := ask(t, e, other, now, decide.RequestCharge, 0, 0); a.Verdict != "allow" {
		t.Errorf("another address: %+v", a)
	}
	if a := ask(t, e, visitor, now.Add(time.Minute), decide.RequestCharge, 0, 0); a.Verdict != "allow" {
		t.Errorf("a minute later: %+v", a)
	}
	// Of one network of IPv6 all addresses are one.
	six := visitor
	six.Address = "2001:2040:c000::1"
	for range 3 {
		ask(t, e, six, now, decide.RequestCharge, 0, 0)
	}
	if six.Address = "2001:2040:c000::2"; ask(t, e, six, now, decide.RequestCharge, 0, 0).Verdict != "throttle" {
		t.Errorf("another address of the /64 has a limit of its own")
	}
}

// A share of the requests is that of the random number.
func TestShare(t *testing.T) {
	e := engine(t, "share.yaml", "version: 1\nrules:\n  - {name: some, when: 'request.path == \"/\"', action: block, mode: sample 25%}\n")
	n := 0
	for i := range 10_000 {
		if ask(t, e, visitor, edgetest.Moment, 0, 0, uint32(i)*429_497).Verdict == "block" {
			n++
		}
	}
	if n < 2000 || n > 3000 {
		t.Errorf("%d of 10000 are blocked, and a quarter should be", n)
	}
}

// A place to go to is whole, or the request is refused: nobody is sent to half of one.
func TestLongRedirect(t *testing.T) {
	e := engine(t, "away.yaml", "version: 1\nrules:\n  - {name: away, when: 'request.path == \"/\"', action: block, response: away}\nresponses:\n  away: {status: 302, redirect: \"https://{request.host}/?{request.query}&end\"}\n")
	for _, n := range []int{10, 8 << 10, 16<<10 - 25, 16<<10 - 24, 40 << 10} {
		q := visitor
		q.Path = "/?" + strings.Repeat("a", n)
		want := "https://example.com/?" + q.Path[2:] + "&end"
		v := e.Decide(q.Append(nil, edgetest.Moment, 0, 0, 0))
		if len(want) > 16<<10 {
			if !bytes.Equal(v, []byte{decide.TooLong}) {
				t.Errorf("a place of %d bytes: %.40q", len(want), v)
			}
			continue
		}
		if a, err := edgetest.ReadVerdict(v); err != nil || a.Status != 302 || a.Location != want {
			t.Errorf("a place of %d bytes: %v, %d, %d bytes", len(want), err, a.Status, len(a.Location))
		}
	}
}

// The names of the fields that the platform has to tell are those that the policy reads.
func TestReads(t *testing.T) {
	got := engine(t, "everything.yaml", edgetest.Everything).Reads()
	slices.Sort(got)
	if want := []string{"Authorization", "Cookie", "User-Agent", "X-Api-Key"}; !slices.Equal(got, want) {
		t.Errorf("it reads %v, want %v", got, want)
	}
}

// No decision leaves memory behind: the heap of an isolate is small.
func TestDecideDoesNotAllocate(t *testing.T) {
	e := engine(t, "policy.yaml", examples.Policies()["policy.yaml"])
	q := visitor
	q.Headers = [][2]string{{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"}, {"Cookie", "a=b"}}
	b := q.Append(nil, edgetest.Moment, decide.RequestCharge, 0, 1)
	if n := testing.AllocsPerRun(1000, func() { e.Decide(b) }); n > 1 {
		t.Errorf("a decision allocates %v times", n)
	}
}

// What is no request gets no verdict, and no request does harm.
func FuzzDecide(f *testing.F) {
	e := engine(f, "everything.yaml", edgetest.Everything)
	f.Add(visitor.Append(nil, edgetest.Moment, 0, 0, 0))
	q := visitor
	q.Headers, q.Account = [][2]string{{"User-Agent", "Googlebot"}, {"Cookie", "session=1"}}, map[string]string{"country": "SE"}
	f.Add(q.Append(nil, edgetest.Moment, 1, 50, 1<<31))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		v := e.Decide(bytes.Clone(b))
		if len(v) == 0 || len(v) > decide.MaxVerdict || v[0] > decide.TooLong {
			t.Fatalf("the verdict is %q", v)
		}
		if v[0] == decide.OK && (v[1] == 0 || v[1] > 6) {
			t.Fatalf("the verdict is none: %q", v)
		}
	})
}
