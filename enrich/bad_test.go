package enrich

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
)

// badRows generates a file in which every kind of bad row stands among good ones. A
// row begins with its number, so that it can be told in the output.
type badRows struct {
	n    int // rows still to come
	row  func(i int) (text string, lines int, reason Reason)
	buf  []byte
	i    int
	line int64
	mu   sync.Mutex       // guards want: it is read ahead
	want map[int64]Reason // by line
	good int
}

func (b *badRows) Read(p []byte) (int, error) {
	for len(b.buf) == 0 {
		if b.i == b.n {
			return 0, io.EOF
		}
		text, lines, reason := b.row(b.i)
		if reason != "" {
			b.mu.Lock()
			b.want[b.line] = reason
			b.mu.Unlock()
		} else {
			b.good++
		}
		b.line += int64(lines)
		b.i++
		b.buf = append(b.buf, text...)
	}
	n := copy(p, b.buf)
	b.buf = b.buf[n:]
	return n, nil
}

func long(i int) string { return strings.Repeat("x", maxRow+i%7) }

// badCSV has three columns after the header n,ip,note.
func badCSV(i int) (string, int, Reason) {
	if i%100_003 == 100_002 {
		return fmt.Sprintf("%d,10.1.2.3,%s\n", i, long(i)), 1, TooLong
	}
	switch i % 29 {
	case 1:
		return fmt.Sprintf("%d,,none\n", i), 1, Missing
	case 3:
		return fmt.Sprintf("%d,   ,blank\n", i), 1, Missing
	case 5:
		return fmt.Sprintf("%d,localhost,name\n", i), 1, NotAddress
	case 7:
		return fmt.Sprintf("%d,010.0.0.1,octal\n", i), 1, NotAddress
	case 9:
		return fmt.Sprintf("%d,10.1.2.3\n", i), 1, BadColumns
	case 11:
		return fmt.Sprintf("%d,10.1.2.3,a,b\n", i), 1, BadColumns
	case 13:
		return fmt.Sprintf("%d,10.1.2.3,\"stray\" quote\n", i), 1, BadQuotes
	case 15:
		return fmt.Sprintf("%d,10.255.2.3,nobody answers\n", i), 1, Failed
	case 17:
		return fmt.Sprintf("%d,10.1.2.3.4,\xff\xfe\x00\n", i), 1, NotAddress
	case 19:
		return fmt.Sprintf("%d,10.1.2.3,\"two\nlines, and a \"\" quote\"\n", i), 2, ""
	case 21:
		return fmt.Sprintf("%d,[2001:db8::1]:443,\xff\x00\r\n", i), 1, ""
	case 23:
		return fmt.Sprintf("%d,1e3,number\n", i), 1, NotAddress
	}
	return fmt.Sprintf("%d,10.%d.%d.3,\"a, b\"\n", i, i%200, i%50), 1, ""
}

// badJSON has members n, ip and note.
func badJSON(i int) (string, int, Reason) {
	if i%100_003 == 100_002 {
		return fmt.Sprintf(`{"n":%d,"ip":"10.1.2.3","note":"%s"}`+"\n", i, long(i)), 1, TooLong
	}
	switch i % 29 {
	case 1:
		return fmt.Sprintf(`{"n":%d}`+"\n", i), 1, Missing
	case 3:
		return fmt.Sprintf(`{"n":%d,"ip":""}`+"\n", i), 1, Missing
	case 5:
		return fmt.Sprintf(`{"n":%d,"ip":null}`+"\n", i), 1, Null
	case 7:
		return fmt.Sprintf(`{"n":%d,"ip":168496141}`+"\n", i), 1, NotText
	case 9:
		return fmt.Sprintf(`{"n":%d,"ip":["10.1.2.3"]}`+"\n", i), 1, NotText
	case 11:
		return fmt.Sprintf(`{"n":%d,"ip":"10.1.2.3"`+"\n", i), 1, NotJSON
	case 13:
		return fmt.Sprintf(`[%d,"10.1.2.3"]`+"\n", i), 1, NotJSON
	case 15:
		return fmt.Sprintf(`{"n":%d,"ip":"10.255.2.3"}`+"\n", i), 1, Failed
	case 17:
		return fmt.Sprintf("{\"n\":%d,\"ip\":\"10.1.2.3\",\x00}\n", i), 1, NotJSON
	case 19:
		return fmt.Sprintf(`{"n":%d,"ip":"localhost"}`+"\n", i), 1, NotAddress
	case 21:
		return fmt.Sprintf(`  { "n" : %d , "ip" : "\u0031\u0030.1.2.3" }  `+"\r\n", i), 1, ""
	case 23:
		return "\xff\xfe\n", 1, NotJSON
	}
	return fmt.Sprintf(`{"n":%d,"ip":"10.%d.%d.3:443","note":"a \"b\""}`+"\n", i, i%200, i%50), 1, ""
}

// lineWriter takes whole lines.
type lineWriter struct {
	line func([]byte)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		i := bytes.IndexByte(w.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		w.line(w.rest[:i])
		w.rest = w.rest[i+1:]
	}
}

// Of a million rows, many of them bad in every way there is, each comes out once, in
// its order: in the output when it is good, else in the rejects with its line and its
// reason; and without rejects all of them are in the output, the bad ones marked.
func TestEveryKindOfBadRow(t *testing.T) {
	n := 1_000_000
	if testing.Short() || raceDetector {
		n = 120_000
	}
	for _, c := range []struct {
		name, header string
		row          func(int) (string, int, Reason)
		format       Format
		number       string // of the row, before it
	}{
		{"csv", "n,ip,note\n", badCSV, CSV, ""},
		{"jsonl", `{"n":-1,"ip":"10.0.0.1"}` + "\n", badJSON, JSON, `{"n":`},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnricher(t, Config{})
			src := &badRows{n: n, row: c.row, want: map[int64]Reason{}, line: 2}
			rejected, kept, last := 0, 0, -2
			reasons := map[Reason]int{}
			var lastLine int64
			rejects := &lineWriter{line: func(line []byte) {
				var r struct {
					Line   int64
					Reason Reason
				}
				if err := json.Unmarshal(line, &r); err != nil {
					t.Fatalf("%v: %.200s", err, line)
				}
				src.mu.Lock()
				defer src.mu.Unlock()
				if r.Line <= lastLine || src.want[r.Line] != r.Reason {
					t.Fatalf("line %d after %d is %q, want %q: %.200s", r.Line, lastLine, r.Reason, src.want[r.Line], line)
				}
				delete(src.want, r.Line)
				lastLine = r.Line
				reasons[r.Reason]++
				rejected++
			}}
			out := &lineWriter{line: func(line []byte) {
				var i int
				text, found := bytes.CutPrefix(bytes.ReplaceAll(line, []byte(" "), nil), []byte(c.number))
				if _, err := fmt.Sscanf(string(text[:min(len(text), 20)]), "%d", &i); err != nil || !found {
					return // the header, or the second line of a row
				}
				if i <= last {
					t.Fatalf("row %d after row %d", i, last)
				}
				last = i
				kept++
			}}
			in := io.MultiReader(strings.NewReader(c.header), src)
			pos, err := e.Run(t.Context(), in, out, Stream{Format: c.format, Column: "ip", Rejects: rejects})
			if err != nil {
				t.Fatal(err)
			}
			extra := 0
			if c.format == JSON {
				extra = 1 // the first line is a row
			}
			if len(src.want) > 0 || kept != src.good+extra || rejected != n-src.good {
				t.Errorf("%d of %d good rows and %d of %d bad ones came out", kept, src.good+extra, rejected, n-src.good)
			}
			if pos.Counts.Rows != int64(n+extra) || pos.Counts.Malformed != int64(rejected) {
				t.Errorf("%+v", pos.Counts)
			}
			for _, r := range []Reason{Missing, NotAddress, TooLong, Failed} {
				if reasons[r] == 0 {
					t.Errorf("no row is %s", r)
				}
			}

			// The same file without rejects.
			src = &badRows{n: n, row: c.row, want: map[int64]Reason{}, line: 2}
			marked := map[Reason]int{}
			marks := &lineWriter{line: func(line []byte) {
				for r := range reasons {
					if bytes.HasSuffix(line, []byte(","+r)) || bytes.Contains(line, []byte(`"ipwarden":{"error":"`+string(r)+`"`)) {
						marked[r]++
					}
				}
			}}
			in = io.MultiReader(strings.NewReader(c.header), src)
			if pos, err = e.Run(t.Context(), in, marks, Stream{Format: c.format, Column: "ip"}); err != nil {
				t.Fatal(err)
			}
			for r, n := range reasons {
				if marked[r] != n {
					t.Errorf("%d rows are marked %s, want %d", marked[r], r, n)
				}
			}
			if pos.Counts.Kept != int64(n+extra) {
				t.Errorf("%d of %d rows were kept", pos.Counts.Kept, n+extra)
			}
		})
	}
}
