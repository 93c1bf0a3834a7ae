package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/ipwarden/ipwarden/internal/cidr"
)

// lists reads networks from arguments, files and standard input. What is wrong
// is told with its place, and the rest is still read.
type lists struct {
	*env
	mask  bool
	flush func() error // when standard input would make the reader wait

	name string // of the file that is being read
	line int    // 0: the item is an argument
	bad  int
}

// Bounds of what is read and told.
const (
	maxTextLine = 16 << 20 // a longer line is passed over
	maxTold     = 20       // mistakes of lists
)

// wrong tells what is wrong with the item that is being read. It returns nil:
// the next one is read.
func (l *lists) wrong(err error) error {
	if l.bad++; l.bad <= maxTold {
		if l.flush != nil {
			_ = l.flush() // the next write has its error
		}
		place := ""
		if l.line > 0 {
			place = fmt.Sprintf("%s:%d: ", l.name, l.line)
		}
		fmt.Fprintf(l.stderr, "ipwarden: %s%v\n", place, err)
	}
	return nil
}

// failure is how a command ends of which something was wrong, nil when nothing
// was.
func (l *lists) failure(as error) error {
	if l.bad > maxTold {
		fmt.Fprintf(l.stderr, "ipwarden: and %d more of these\n", l.bad-maxTold)
	}
	if l.bad > 0 {
		return as
	}
	return nil
}

// each uses every network of the arguments and of the files that they name; no
// argument is standard input.
func (l *lists) each(args []string, use func(r cidr.Range, item []byte) error) {
	if len(args) == 0 {
		args = []string{"-"}
	}
	for _, arg := range args {
		var err error
		if arg != "-" {
			var ranges []cidr.Range
			var parts []string
			ranges, parts, err = l.parse(arg)
			if _, missing := os.Stat(arg); err != nil && (missing == nil || !likeAddress(arg)) {
				err = l.file(arg, use)
			}
			for i, r := range ranges {
				if err == nil {
					err = use(r, []byte(parts[i]))
				}
			}
		} else {
			err = l.file(arg, use)
		}
		if err != nil {
			l.wrong(err)
		}
	}
}

// parse reads an argument: networks between commas or blanks, and what each was
// written as.
func (l *lists) parse(arg string) (ranges []cidr.Range, parts []string, err error) {
	if r, err := cidr.Parse(arg, l.mask); err == nil {
		return []cidr.Range{r}, []string{arg}, nil
	}
	parts = strings.FieldsFunc(arg, func(r rune) bool { return strings.ContainsRune(", \t\n", r) })
	var all []error
	for _, part := range parts {
		r, err := cidr.Parse(part, l.mask)
		ranges, all = append(ranges, r), append(all, err)
	}
	if len(parts) == 0 {
		all = append(all, fmt.Errorf("%q is no network; write 203.0.113.0/24 or 2001:db8::/32", clip(arg)))
	}
	if err := errors.Join(all...); err != nil {
		return nil, nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "\nipwarden: "))
	}
	return ranges, parts, nil
}

// likeAddress reports whether an argument was rather meant as an address than
// as a file: a mistake in it is told as such.
func likeAddress(arg string) bool {
	return strings.Trim(arg, "0123456789abcdefABCDEFxX.:/-,[] ") == "" && strings.ContainsAny(arg, ".:") && strings.ContainsAny(arg, "0123456789")
}

// file uses every network that a file lists.
func (l *lists) file(name string, use func(r cidr.Range, item []byte) error) error {
	return l.lines(name, func(line []byte) error {
		r, item, ok, err := cidr.ParseLine(line, l.mask)
		switch {
		case err != nil:
			return l.wrong(err)
		case ok:
			return use(r, item)
		}
		return nil
	})
}

// lines uses every line of a file, without its end, packed or not.
func (l *lists) lines(name string, use func(line []byte) error) error {
	in, shown := l.stdin, "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if pathError, ok := errors.AsType[*fs.PathError](err); ok {
			return fmt.Errorf("%s: %w", name, pathError.Err)
		} else if err != nil {
			return err
		}
		defer f.Close()
		in, shown = f, name
	}
	raw := bufio.NewReaderSize(in, 256<<10)
	r, closed, err := unpacked(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", shown, err)
	}
	defer closed()
	l.name = shown
	defer func() { l.line = 0 }()
	var long []byte
	for n := 1; ; n++ {
		if r.Buffered() == 0 && raw.Buffered() == 0 && l.flush != nil {
			if err := l.flush(); err != nil {
				return err
			}
		}
		line, err := r.ReadSlice('\n')
		tooLong := false
		if err == bufio.ErrBufferFull {
			long = long[:0]
			for err == bufio.ErrBufferFull {
				if tooLong = tooLong || len(long)+len(line) > maxTextLine; !tooLong {
					long = append(long, line...)
				}
				line, err = r.ReadSlice('\n')
			}
			line = append(long, line...)
			long = line[:0]
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("%s:%d: %w", shown, n, err)
		}
		if err == nil || len(line) > 0 {
			l.line = n
			if tooLong {
				_ = l.wrong(fmt.Errorf("the line is longer than %d MiB", maxTextLine>>20))
			} else if err := use(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// unpacked reads through gzip or zstd what is packed so.
func unpacked(raw *bufio.Reader) (r *bufio.Reader, closed func(), err error) {
	closed = func() {}
	magic, _ := raw.Peek(4) // a shorter file is not packed, and a failed one fails again
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, closed, err
		}
		return bufio.NewReaderSize(z, 256<<10), closed, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, closed, err
		}
		return bufio.NewReaderSize(z, 256<<10), z.Close, nil
	}
	return raw, closed, nil
}
