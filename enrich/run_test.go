package enrich

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ipwarden/ipwarden"
)

// world says of 10.a.b.c that it is of AS a, and of the country that b names; of
// anything else it knows nothing. A city has what formats have to quote.
type world struct{}

func (world) Lookup(_ context.Context, addr netip.Addr) (ipwarden.Record, error) {
	a, _ := ipwarden.Canonical(addr)
	if !a.Is4() || a.As4()[0] != 10 {
		return ipwarden.NewRecord(a, ipwarden.Full{}), nil
	}
	b := a.As4()
	if b[1] == 255 {
		return ipwarden.Record{}, errors.New("no answer")
	}
	return ipwarden.NewRecord(a, ipwarden.Full{
		ASN:      ipwarden.ASN{Number: uint32(b[1])},
		Location: ipwarden.Location{CountryCode: []string{"SE", "DE"}[b[2]%2], City: "Sankt \"Å\", \tx"},
	}), nil
}

func newEnricher(t testing.TB, cfg Config) *Enricher {
	t.Helper()
	cfg.Source = world{}
	cfg.Now = func() time.Time { return time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC) }
	if cfg.Fields.Len() == 0 {
		cfg.Fields = ipwarden.FieldsOf(ipwarden.FieldCountryCode, ipwarden.FieldCity, ipwarden.FieldASNumber)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func run(t testing.TB, e *Enricher, in string, s Stream) (string, Position) {
	t.Helper()
	var out bytes.Buffer
	pos, err := e.Run(t.Context(), strings.NewReader(in), &out, s)
	if err != nil {
		t.Fatalf("%v, of %.200q", err, in)
	}
	if pos.Out != int64(out.Len()) || pos.In != int64(len(in)) {
		t.Fatalf("the position says %d of %d bytes read and %d of %d written", pos.In, len(in), pos.Out, out.Len())
	}
	return out.String(), pos
}

func TestBatch(t *testing.T) {
	e := newEnricher(t, Config{})
	got := e.Batch(t.Context(), nil, []Event{{"10.7.0.1"}, {""}, {"[::ffff:10.8.1.1]:443"}, {"localhost"}, {"fe80::1%eth0"}, {"10.255.0.1"}})
	for i, want := range []struct {
		as     uint32
		reason Reason
	}{{7, ""}, {0, Missing}, {8, ""}, {0, NotAddress}, {0, ""}, {0, Failed}} {
		if got[i].Record.ASNumber() != want.as || got[i].Reason != want.reason {
			t.Errorf("event %d: AS %d, %q; want %d, %q", i, got[i].Record.ASNumber(), got[i].Reason, want.as, want.reason)
		}
	}
}

// mixed is rows of a format, every kind of bad one among them.
func mixed(r *rand.Rand, f Format, n int) string {
	var b strings.Builder
	addrs := []string{"10.1.2.3", "10.2.3.4:80", "[::ffff:10.3.1.1]:443", "fe80::1%eth0", "::1", "localhost", "", "010.1.1.1", "10.255.1.1", "1.2.3", "0x7f.1"}
	end := []string{"\n", "\n", "\r\n"}
	if f == CSV {
		b.WriteString("n,ip,\"a \"\"note\"\"\"\n")
	} else if f == TSV {
		b.WriteString("n\tip\tnote\n")
	}
	for i := range n {
		a := addrs[r.IntN(len(addrs))]
		if i == 0 {
			a = "10.1.2.3:80"
		}
		switch odd := r.IntN(20); f {
		case List:
			b.WriteString(a + []string{"", "", " comment", "\tx"}[r.IntN(4)])
			if odd == 0 {
				b.WriteString("\n# a comment\n")
			}
		case CSV:
			note := []string{"plain", `"with, comma"`, `"two` + "\n" + `lines"`, `"a ""quote"""`, "", `stray " quote`}[r.IntN(6)]
			switch odd {
			case 0:
				fmt.Fprintf(&b, `%d,%s,"never closed`, i, a)
			case 1:
				fmt.Fprintf(&b, `%d,"%s" x,y`, i, a)
			case 2:
				fmt.Fprintf(&b, `%d,%s`, i, a)
			default:
				fmt.Fprintf(&b, `%d,%s,%s`, i, a, note)
			}
		case TSV:
			fmt.Fprintf(&b, "%d\t%s\tsome \"note", i, a)
			if odd == 0 {
				b.WriteString("\tmore")
			}
		case JSON:
			switch odd {
			case 0:
				b.WriteString(`{"ip": broken`)
			case 1:
				b.WriteString(`{"ip": null}`)
			case 2:
				b.WriteString(`{"ip": 17, "x": [1, {"}": "\"]"}]}`)
			case 3:
				b.WriteString(`{}`)
			case 4:
				fmt.Fprintf(&b, `{"ip":%q,"ipwarden":{"of":"before"}}`, a)
			case 5:
				fmt.Fprintf(&b, `{"ipwarden":1 , "i\u0070":%q , "n":%d }`, a, i)
			default:
				fmt.Fprintf(&b, `{"n":%d,"ip":%q,"deep":{"ip":"x"}}`, i, a)
			}
		case Log:
			fmt.Fprintf(&b, `%s - frank [21/Nov/2026:07:40:00 +0000] "GET /a\"b HTTP/1.1" 200 %d "-" "Agent (x; y)"`, a, i)
		case Text:
			fmt.Fprintf(&b, "line %d of %s, then (10.9.1.1). end", i, a)
		}
		b.WriteString(end[r.IntN(3)])
	}
	return b.String()
}

var allFormats = []Format{List, CSV, TSV, JSON, Log, Text}

// What comes of a file does not depend on how it is read, nor where a run is
// broken off and taken up again.
func TestGoesOnAnywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	e := newEnricher(t, Config{})
	for _, f := range allFormats {
		in := mixed(r, f, 12000) // several chunks
		for _, output := range []Output{Same, AsJSON, AsCSV} {
			for _, rejecting := range []bool{false, true} {
				var rejects, out bytes.Buffer
				s := Stream{Format: f, Output: output}
				if rejecting {
					s.Rejects = &rejects
				}
				var at []Position
				s.Progress = func(p Position) error {
					at = append(at, p)
					return nil
				}
				total, err := e.Run(t.Context(), iotest.HalfReader(strings.NewReader(in)), &out, s)
				if err != nil {
					t.Fatal(err)
				}
				if len(at) < 3 {
					t.Fatalf("%s: only %d chunks", f, len(at))
				}
				if total.Counts.Malformed == 0 && f != Text || total.Counts.Answered == 0 {
					t.Errorf("%s: %+v", f, total.Counts)
				}
				p := at[r.IntN(len(at)-1)]
				var saved Position // as a file keeps it
				if text, err := json.Marshal(p); err != nil || json.Unmarshal(text, &saved) != nil {
					t.Fatal(err)
				}
				second, rest := s, bytes.Buffer{}
				second.After, second.Progress = &saved, nil
				rejectsBefore := rejects.String()
				rejects.Reset()
				end, err := e.Run(t.Context(), strings.NewReader(in[saved.In:]), &rest, second)
				if err != nil {
					t.Fatal(err)
				}
				if got := out.String()[:saved.Out] + rest.String(); got != out.String() {
					t.Fatalf("%s as %q: another output when it goes on at %d", f, output, saved.In)
				}
				if got := rejectsBefore[:saved.Rejects] + rejects.String(); got != rejectsBefore {
					t.Fatalf("%s: other rejects when it goes on at %d", f, saved.In)
				}
				if end.Counts != total.Counts || end.In != total.In || end.Out != total.Out || end.Line != total.Line {
					t.Fatalf("%s: %+v, and going on %+v", f, total, end)
				}
			}
		}
	}
}

// Rows one by one are the oracle of rows together.
func TestRowsDoNotTouch(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	e := newEnricher(t, Config{})
	for _, f := range []Format{List, TSV, JSON, Log, Text} {
		in := mixed(r, f, 800)
		whole, pos := run(t, e, in, Stream{Format: f})
		var one strings.Builder
		header, _, _ := strings.Cut(in, "\n")
		for i, line := range strings.SplitAfter(in, "\n") {
			if line == "" || f == TSV && i == 0 {
				continue
			}
			s := Stream{Format: f, After: &Position{Line: int64(i + 1), Layout: pos.Layout}}
			var out bytes.Buffer
			if _, err := e.Run(t.Context(), strings.NewReader(line), &out, s); err != nil {
				t.Fatal(err)
			}
			one.Write(out.Bytes())
		}
		if f == TSV {
			head, rest, _ := strings.Cut(whole, "\n")
			if !strings.HasPrefix(head, header+"\t") {
				t.Errorf("the header is %q", head)
			}
			whole = rest
		}
		if whole != one.String() {
			t.Errorf("%s: rows together are not rows one by one", f)
		}
	}
}

// A reader of CSV finds in the output what was in the input, with the columns
// behind it.
func TestCSVIsReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	e := newEnricher(t, Config{})
	var in bytes.Buffer
	w := csv.NewWriter(&in)
	rows := [][]string{{"ip", "a,b", "c\"d"}}
	for range 5000 {
		field := func() string {
			return []string{"", "x", "a,b", "line\nend", "\"", "\"\"", " ", "ä\"\n,"}[r.IntN(8)] + []string{"", "tail"}[r.IntN(2)]
		}
		rows = append(rows, []string{fmt.Sprintf("10.%d.%d.1", 1+r.IntN(254), r.IntN(255)), field(), field()})
	}
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	for _, output := range []Output{Same, AsCSV} {
		out, pos := run(t, e, in.String(), Stream{Output: output})
		got, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(rows) || pos.Counts.Rows != int64(len(rows)-1) || pos.Counts.Malformed != 0 {
			t.Fatalf("%d rows of %d; %+v", len(got), len(rows), pos.Counts)
		}
		for i, row := range rows {
			if strings.Join(got[i][:3], "|") != strings.Join(row, "|") || len(got[i]) != 7 {
				t.Fatalf("row %d is %q, want %q", i, got[i], row)
			}
			if i > 0 && (got[i][5] != strings.Split(row[0], ".")[1] || got[i][4] != "Sankt \"Å\", \tx") {
				t.Fatalf("row %d is %q", i, got[i])
			}
		}
	}
	out, _ := run(t, e, in.String(), Stream{Output: AsJSON})
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	for i, line := range lines {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if got["ip"] != rows[i+1][0] || got["a,b"] != rows[i+1][1] || got["c\"d"] != rows[i+1][2] {
			t.Fatalf("row %d is %s", i, line)
		}
	}
}

// Every line of JSON that comes out is JSON, has the members that it had, and one
// member more, once.
func TestJSONKeepsItsMembers(t *testing.T) {
	in := mixed(rand.New(rand.NewPCG(7, 8)), JSON, 4000)
	out, _ := run(t, newEnricher(t, Config{}), in, Stream{})
	again, _ := run(t, newEnricher(t, Config{}), out, Stream{})
	if strings.ReplaceAll(strings.ReplaceAll(out, " ", ""), "\r", "") != strings.ReplaceAll(strings.ReplaceAll(again, " ", ""), "\r", "") {
		if !strings.Contains(out, "not_json") { // those have become objects without an address
			t.Error("a second run changes the output")
		}
	}
	lines, results := strings.Split(in, "\n"), strings.Split(out, "\n")
	for i, line := range lines[:len(lines)-1] {
		var was, is map[string]json.RawMessage
		if err := json.Unmarshal([]byte(results[i]), &is); err != nil {
			t.Fatalf("%v: %s", err, results[i])
		}
		if strings.Count(results[i], `"ipwarden":`) != 1 {
			t.Fatalf("not one member: %s", results[i])
		}
		if json.Unmarshal([]byte(line), &was) != nil {
			if !strings.Contains(string(is["ipwarden"]), "not_json") {
				t.Errorf("%s became %s", line, results[i])
			}
			continue
		}
		delete(was, "ipwarden")
		if len(is) != len(was)+1 {
			t.Errorf("%s became %s", line, results[i])
		}
		for k, v := range was {
			if !bytes.Equal(is[k], v) {
				t.Errorf("%s: %s became %s", k, v, is[k])
			}
		}
	}
}

func TestLongRows(t *testing.T) {
	long := strings.Repeat("x", 3*maxRow)
	for _, c := range []struct {
		f          Format
		head, long string
		tail       string
	}{
		{List, "10.1.1.1\n", long + "\n", "10.2.1.1\n"},
		{CSV, "ip,b\n10.1.1.1,x\n", "10.1.1.1," + long + "\n", "10.2.1.1,y\n"},
		{CSV, "ip,b\n10.1.1.1,x\n", "10.1.1.1,\"" + long + "\"\n", "10.2.1.1,y\n"},
		{JSON, `{"ip":"10.1.1.1"}` + "\n", `{"ip":"` + long + `"}` + "\n", `{"ip":"10.2.1.1"}` + "\n"},
		{List, "10.1.1.1\n", "", long},
	} {
		var rejects bytes.Buffer
		out, pos := run(t, newEnricher(t, Config{}), c.head+c.long+c.tail, Stream{Format: c.f, Rejects: &rejects})
		if pos.Counts.Malformed != 1 || !strings.Contains(rejects.String(), `"reason":"too_long"`) || rejects.Len() > 2*shownRow {
			t.Errorf("%s: %+v, rejects %.300s", c.f, pos.Counts, rejects.String())
		}
		if c.long != "" && !strings.Contains(out, "10.2.1.1") {
			t.Errorf("%s: what comes after is lost", c.f)
		}
		marked, _ := run(t, newEnricher(t, Config{}), c.head+c.long+c.tail, Stream{Format: c.f})
		if !strings.Contains(marked, "too_long") || len(marked) > 8*shownRow {
			t.Errorf("%s: the row is not marked, or not cut", c.f)
		}
	}
}

func TestWhere(t *testing.T) {
	e := newEnricher(t, Config{Where: func() func(ipwarden.Record) bool {
		return func(r ipwarden.Record) bool { return r.ASNumber() > 5 }
	}})
	out, pos := run(t, e, "10.1.1.1\n10.6.1.1\nfoo\n\n10.7.0.1\n", Stream{Format: List})
	if !strings.HasPrefix(out, "10.6.1.1\tDE") || strings.Count(out, "\n") != 2 || pos.Counts != (Counts{4, 3, 2, 1}) {
		t.Errorf("%q, %+v", out, pos.Counts)
	}
	out, _ = run(t, e, "of 10.1.1.1 and 10.6.1.1 and 10.2.1.1\nnone\n10.2.2.2 only\n", Stream{Format: Text})
	if out != "of 10.1.1.1 and 10.6.1.1 [DE Sankt \"Å\", \tx 6] and 10.2.1.1\n" {
		t.Errorf("%q", out)
	}
}

func TestErrorsEndARun(t *testing.T) {
	e := newEnricher(t, Config{})
	in := strings.Repeat("10.1.1.1\n", 200_000)
	want := errors.New("full")
	if _, err := e.Run(t.Context(), strings.NewReader(in), iotest.TruncateWriter(failing{want}, 0), Stream{}); err != nil {
		t.Errorf("a truncating writer: %v", err)
	}
	if _, err := e.Run(t.Context(), strings.NewReader(in), failing{want}, Stream{}); !errors.Is(err, want) {
		t.Errorf("a failing writer: %v", err)
	}
	if _, err := e.Run(t.Context(), strings.NewReader(in), io.Discard, Stream{Progress: func(Position) error { return want }}); !errors.Is(err, want) {
		t.Errorf("a failing Progress: %v", err)
	}
	reader := io.MultiReader(strings.NewReader(in), iotest.ErrReader(want))
	if _, err := e.Run(t.Context(), reader, io.Discard, Stream{}); !errors.Is(err, want) {
		t.Errorf("a failing reader: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := func(Position) error { cancel(); return nil }
	if _, err := e.Run(ctx, strings.NewReader(in), io.Discard, Stream{Progress: stop}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run: %v", err)
	}
	for in, want := range map[string]string{
		"a,b\n1,2\n":       "",
		`{"a":"b"}` + "\n": "which member holds the address cannot be told",
	} {
		_, err := e.Run(t.Context(), strings.NewReader(in), io.Discard, Stream{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", in, err)
		}
	}
	_, err := e.Run(t.Context(), strings.NewReader("a,b\n"), io.Discard, Stream{Format: CSV, Column: "c"})
	if err == nil || err.Error() != `there is no column "c"; there are a, b` {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestEscapeFormula(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "=1": "'=1", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "+46 8": "'+46 8", "-": "'-", "-x": "'-x", "-=1": "'-=1",
		"-33.86": "-33.86", "+46": "+46", "US": "US", "a=b": "a=b", "'=1": "'=1", "-1-2": "'-1-2",
	} {
		if got := escapeFormula([]byte("before"+in), 6); string(got) != "before"+want {
			t.Errorf("%q becomes %q", in, got[6:])
		}
	}
}
