package feed

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// echo yields no facts: it records the lines it was given.
func echo(body string) (rows []string, errs []string) {
	seq := readLines(strings.NewReader(body), "test", func(ls *lines) {
		for ls.next() {
			ls.good++
			rows = append(rows, fmt.Sprintf("%d:%s", ls.n, ls.row))
		}
	})
	for _, err := range seq {
		errs = append(errs, err.Error())
	}
	return rows, errs
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	tooLong := func(n int) string {
		return fmt.Sprintf("line %d: the line is longer than 64 KiB: %q", n, long[:maxRow])
	}
	exact := strings.Repeat("y", maxLine)
	for _, tt := range []struct {
		name, body string
		rows, errs []string
	}{
		{name: "empty"},
		{name: "one line", body: "a\n", rows: []string{"1:a"}},
		{name: "no final newline", body: "a\nb", rows: []string{"1:a", "2:b"}},
		{name: "CRLF", body: "a\r\nb\r\n", rows: []string{"1:a", "2:b"}},
		{name: "CR at the end", body: "a\r", rows: []string{"1:a"}},
		{name: "BOM", body: "\ufeffa\n\ufeffb\n", rows: []string{"1:a", "2:\ufeffb"}},
		{name: "blank lines", body: "\n\n", rows: []string{"1:", "2:"}},
		{name: "a line of the limit", body: exact + "\nb\n", rows: []string{"1:" + exact, "2:b"}},
		{name: "a line over it", body: "a\n" + long + "\nb\n", rows: []string{"1:a", "3:b"}, errs: []string{tooLong(2)}},
		{name: "far over it", body: strings.Repeat(long, 9) + "\nb\n", rows: []string{"2:b"}, errs: []string{tooLong(1)}},
		{name: "over it at the end", body: "a\n" + strings.Repeat(long, 3), rows: []string{"1:a"}, errs: []string{tooLong(2)}},
		{name: "gzip", body: "\x1f\x8b\x08", errs: []string{"the file is gzip: it has to be unpacked first"}},
		{name: "zip", body: "PK\x03\x04", errs: []string{"the file is a zip archive: it has to be unpacked first"}},
		{name: "xz", body: "\xfd7zXZ\x00", errs: []string{"the file is xz: it has to be unpacked first"}},
		{name: "UTF-16", body: "\xff\xfea\x00", errs: []string{"the file is UTF-16: it has to be UTF-8"}},
		{name: "binary", body: "abc\x00", errs: []string{"the file is binary, not text"}},
		{name: "HTML", body: " \n<HTML><p>", errs: []string{"the file is an HTML page, probably an error page of the server"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, errs := echo(tt.body)
			if !slices.Equal(rows, tt.rows) || !slices.Equal(errs, tt.errs) {
				t.Errorf("got %.200q %q, want %.200q %q", rows, errs, tt.rows, tt.errs)
			}
		})
	}
}

// stuck never gives a byte nor an end.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestLinesOfAStuckReader(t *testing.T) {
	n := 0
	for _, err := range readLines(stuck{}, "test", func(ls *lines) { ls.next() }) {
		if n++; err == nil || !strings.Contains(err.Error(), "multiple Read calls return no data") {
			t.Errorf("got %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d errors", n)
	}
}

func TestSplitCSV(t *testing.T) {
	for in, want := range map[string][]string{
		``:                         {``},
		`a`:                        {`a`},
		`a,b`:                      {`a`, `b`},
		`a,,`:                      {`a`, ``, ``},
		` a , b `:                  {`a`, `b`},
		`"a","b"`:                  {`a`, `b`},
		`"a" , "b"`:                {`a`, `b`},
		`1, "x, y", z`:             {`1`, `x, y`, `z`},
		`"say ""hi""",b`:           {`say "hi"`, `b`},
		`""`:                       {``},
		`"",b`:                     {``, `b`},
		`"open,b`:                  {`"open`, `b`},
		`"a"b,c`:                   {`"a"b`, `c`},
		`a "quoted" word,c`:        {`a "quoted" word`, `c`},
		`"a""`:                     {`"a""`},
		"15497,\"A \"\"B\"\", C\"": {`15497`, `A "B", C`},
	} {
		var got []string
		for _, c := range splitCSV(nil, []byte(in), ',') {
			got = append(got, string(c))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"  a b\t":                      "a b",
		"a\tb":                         "a b",
		"a\x00b\x7f":                   "a b",
		"a\u0085b":                     "a b",
		"Orange Côte d'Ivoire":         "Orange Côte d'Ivoire",
		"caf\xe9":                      "caf",
		"caf\xe9 x":                    "caf  x",
		strings.Repeat("x", 300):       strings.Repeat("x", 256),
		strings.Repeat("é", 200):       strings.Repeat("é", 128),
		"x" + strings.Repeat("é", 200): "x" + strings.Repeat("é", 127),
		strings.Repeat("\xff", 9999):   "",
	} {
		got := string(clean([]byte(in)))
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%.40q: %q, want %q", in, got, want)
		}
	}
}

func TestInterner(t *testing.T) {
	var in interner
	row := []byte("name")
	first := in.text(row)
	copy(row, "eman") // the string must not change with the buffer
	if first != "name" || in.text([]byte(" name ")) != "name" {
		t.Errorf("got %q", first)
	}
	if n := testing.AllocsPerRun(100, func() { in.text(row) }); n != 0 {
		t.Errorf("%v allocations for a string it has", n)
	}
	for i := range maxInterned + 10 {
		in.text(fmt.Append(nil, i))
	}
	if len(in.m) > maxInterned {
		t.Errorf("grew to %d strings", len(in.m))
	}
}
