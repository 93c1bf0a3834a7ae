package feed

import (
	"bytes"
	"io"
	"iter"
	"unicode/utf8"
)

// The shared machinery of the parsers that read text. A parser of lines is
//
//	func X(r io.Reader, meta *Meta) facts {
//		return readLines(r, "X list", func(ls *lines) {
//			var f Fact
//			for ls.next() {                    // false at the end, and once the caller has had enough
//				row := bytes.TrimSpace(ls.row) // no line ending, no BOM; valid until next
//				if len(row) == 0 || row[0] == '#' {
//					continue
//				}
//				p, _, why := parsePrefix(row)
//				if why != "" {
//					ls.bad(why)                // yields a *RowError and counts it
//					continue
//				}
//				f.SetPrefix(p)
//				ls.fact(&f)                    // yields the fact and counts it
//			}
//		})
//	}
//
// readLines yields what ends a file by itself: a reader that fails, bytes that
// are no text (gzip, UTF-16, NULs, an HTML page), and a file in which there
// were bad rows and not one good one. Beside it, in this file:
//
//	sniff(head)              why these first bytes are no text feed, "" when they may be
//	clean(b)                 trimmed, one line, UTF-8, at most maxText bytes; no copy when it is so already
//	interner.text(b)         clean(b) as a string; the same bytes give the same string
//	splitCSV(dst, row, ',')  the cells of one row, quotes and blanks taken off
//
// and in parse.go:
//
//	parseAddr, parsePrefix, parseRange, parseASN, parseUint, parseCountry, parseRegion

const (
	maxLine = 64 << 10 // bytes of a line; a longer one is a bad row
	maxText = 256      // bytes of a string that enters a fact
	sniffed = 4 << 10  // bytes that sniff looks at
)

// lines reads a feed line by line, in a buffer of its own. Its methods yield
// nothing more once the caller has broken off, so a parser need not look at
// what fact and bad return, except to leave a loop of its own.
type lines struct {
	row []byte // the line, without its ending; valid until the next call of next
	n   int    // its number, 1-based

	good, count int // facts and bad rows that were yielded
	r           io.Reader
	yield       func(*Fact, error) bool
	stopped     bool // the caller broke off, or the file was given up
	buf         []byte
	start, end  int // what of buf is read and not yet given out
	eof         bool
	err         error
}

// readLines runs parse over the lines of r. format names what the file should
// have been, for the error.
func readLines(r io.Reader, format string, parse func(*lines)) iter.Seq2[*Fact, error] {
	return func(yield func(*Fact, error) bool) {
		ls := &lines{r: r, yield: yield, buf: make([]byte, maxLine+32<<10)}
		for ls.fill(); !ls.eof && ls.end < sniffed; { // a reader may give a byte at a time
			ls.fill()
		}
		head := ls.buf[:ls.end]
		if why := sniff(head); why != "" {
			ls.fail(why, nil)
			return
		}
		if bytes.HasPrefix(head, bom) {
			ls.start = len(bom)
		}
		parse(ls)
		switch {
		case ls.err != nil:
			ls.fail("reading stopped", ls.err)
		case ls.good == 0 && ls.count > 0:
			ls.fail("the file is no "+format+": not one of its rows could be read", nil)
		}
	}
}

var bom = []byte("\ufeff")

// next moves to the next line and reports whether there is one.
func (l *lines) next() bool {
	for !l.stopped {
		window := l.buf[l.start:l.end]
		i := bytes.IndexByte(window, '\n')
		switch {
		case i >= 0:
			l.start += i + 1
		case len(window) > maxLine:
			l.n++
			l.row = window[:maxRow]
			l.bad("the line is longer than 64 KiB")
			l.skipLine()
			continue
		case !l.eof:
			l.fill()
			continue
		case len(window) == 0 || l.err != nil: // what a failed reader left is no whole line
			l.row = nil
			return false
		default:
			i = len(window)
			l.start = l.end
		}
		l.n++
		if i > maxLine {
			l.row = window[:maxRow]
			l.bad("the line is longer than 64 KiB")
			continue
		}
		if i > 0 && window[i-1] == '\r' {
			i--
		}
		l.row = window[:i]
		return true
	}
	return false
}

// skipLine drops the rest of a line that does not fit the buffer.
func (l *lines) skipLine() {
	for {
		if i := bytes.IndexByte(l.buf[l.start:l.end], '\n'); i >= 0 {
			l.start += i + 1
			return
		}
		l.start = l.end
		if l.eof {
			return
		}
		l.fill()
	}
}

// fill moves what is left to the front and reads more: at least one byte, or
// to the end.
func (l *lines) fill() {
	l.end = copy(l.buf, l.buf[l.start:l.end])
	l.start = 0
	for range 100 {
		n, err := l.r.Read(l.buf[l.end:])
		l.end += n
		if err != nil {
			l.eof = true
			if err != io.EOF {
				l.err = err
			}
		}
		if n > 0 || err != nil {
			return
		}
	}
	l.eof, l.err = true, io.ErrNoProgress
}

// fact yields one; false when the caller wants no more.
func (l *lines) fact(f *Fact) bool {
	if l.stopped {
		return false
	}
	l.good++
	l.stopped = !l.yield(f, nil)
	return !l.stopped
}

// bad yields the present line as a *RowError.
func (l *lines) bad(why string) bool { return l.badAt(l.n, l.row, why) }

// badAt yields a row of another line, for formats whose rows span several.
func (l *lines) badAt(n int, row []byte, why string) bool {
	if l.stopped {
		return false
	}
	l.count++
	l.stopped = !l.yield(nil, rowError(n, string(row[:min(len(row), maxRow+utf8.UTFMax)]), why))
	return !l.stopped
}

// fail ends the file.
func (l *lines) fail(why string, cause error) {
	if !l.stopped {
		l.stopped = true
		l.yield(nil, &FileError{Why: why, Cause: cause})
	}
}

// sniff says why a file with this beginning is no text feed, "" when it may be
// one. It knows what a fetch brings home by mistake.
func sniff(head []byte) string {
	head = head[:min(len(head), sniffed)]
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return "the file is gzip: it has to be unpacked first"
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return "the file is a zip archive: it has to be unpacked first"
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return "the file is xz: it has to be unpacked first"
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return "the file is UTF-16: it has to be UTF-8"
	case bytes.IndexByte(head, 0) >= 0:
		return "the file is binary, not text"
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(head, bom))
	for _, tag := range []string{"<!doctype html", "<html"} {
		if len(text) >= len(tag) && bytes.EqualFold(text[:len(tag)], []byte(tag)) {
			return "the file is an HTML page, probably an error page of the server"
		}
	}
	return ""
}

// clean makes text fit to enter a fact: trimmed, control characters and bytes
// that are not UTF-8 replaced by blanks, at most maxText bytes cut at a
// character. It returns b itself, shortened, when nothing had to be replaced.
func clean(b []byte) []byte {
	b = bytes.TrimSpace(b)
	for _, c := range b[:min(len(b), maxText)] {
		if c < 0x20 || c >= 0x7f {
			b = replaceBad(b)
			break
		}
	}
	if len(b) > maxText {
		b = b[:maxText]
		for len(b) > 0 {
			if r, n := utf8.DecodeLastRune(b); r != utf8.RuneError || n != 1 {
				break
			}
			b = b[:len(b)-1]
		}
		b = bytes.TrimSpace(b)
	}
	return b
}

// replaceBad copies only when there is something to replace.
func replaceBad(b []byte) []byte {
	if len(b) > 4*maxText {
		b = b[:4*maxText] // of which maxText will be kept
	}
	isBad := func(r rune, n int) bool {
		return r < 0x20 || 0x7f <= r && r < 0xa0 || r == utf8.RuneError && n == 1
	}
	var out []byte
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if isBad(r, n) && out == nil {
			out = append(make([]byte, 0, len(b)), b[:i]...)
		}
		if out != nil {
			if isBad(r, n) {
				out = append(out, ' ')
			} else {
				out = append(out, b[i:i+n]...)
			}
		}
		i += n
	}
	if out == nil {
		return b
	}
	return bytes.TrimSpace(out)
}

// interner keeps one string for equal bytes, so that a name that a million
// rows repeat is allocated once. It forgets everything when it has grown to
// its bound, which costs allocations and no correctness. The zero interner is
// ready; it is for one goroutine.
type interner struct {
	m map[string]string
}

const maxInterned = 1 << 17 // strings of at most maxText bytes

// text returns clean(b) as a string.
func (in *interner) text(b []byte) string {
	b = clean(b)
	if len(b) == 0 {
		return ""
	}
	if s, ok := in.m[string(b)]; ok { // the compiler makes no copy for this
		return s
	}
	if in.m == nil || len(in.m) >= maxInterned {
		in.m = make(map[string]string)
	}
	s := string(b)
	in.m[s] = s
	return s
}

// splitCSV appends the cells of one row to dst. Blanks round a cell and the
// quotes of RFC 4180 are taken off, a doubled quote in a quoted cell is one
// quote; a quote that opens and never closes is part of the text. Cells alias
// row, except those with doubled quotes. It never fails: what it cannot
// read as quoted it reads as plain.
func splitCSV(dst [][]byte, row []byte, sep byte) [][]byte {
	for {
		cell := trimLeft(row)
		if len(cell) > 0 && cell[0] == '"' {
			if text, rest, more, ok := quotedCell(cell, sep); ok {
				dst = append(dst, bytes.TrimSpace(text))
				if !more {
					return dst
				}
				row = rest
				continue
			}
		}
		i := bytes.IndexByte(row, sep)
		if i < 0 {
			return append(dst, bytes.TrimSpace(row))
		}
		dst = append(dst, bytes.TrimSpace(row[:i]))
		row = row[i+1:]
	}
}

// quotedCell reads the cell that begins with a quote, up to the separator or
// the end of the row.
func quotedCell(row []byte, sep byte) (text, rest []byte, more, ok bool) {
	doubled := false
	for i := 1; i < len(row); i++ {
		if row[i] != '"' {
			continue
		}
		if i+1 < len(row) && row[i+1] == '"' {
			doubled = true
			i++
			continue
		}
		text = row[1:i]
		if doubled {
			text = bytes.ReplaceAll(text, []byte(`""`), []byte(`"`))
		}
		rest = trimLeft(row[i+1:])
		switch {
		case len(rest) == 0:
			return text, nil, false, true
		case rest[0] == sep:
			return text, rest[1:], true, true
		}
		return nil, nil, false, false // text after the closing quote
	}
	return nil, nil, false, false
}

// trimLeft takes blanks off, but not tabs, which may separate.
func trimLeft(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}
