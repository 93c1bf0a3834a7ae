package main

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"go4.org/netipx"

	"github.com/ipwarden/ipwarden"
)

// The ranges are kept as text, FROM,TO,COUNTRY,AS,TRAITS a line: what a program
// that builds a database from ranges gets to read.

func writeRanges(w io.Writer, spans []span) error {
	b := bufio.NewWriterSize(w, 1<<16)
	var line []byte
	for i := range spans {
		s := &spans[i]
		line = append(s.from.AppendTo(line[:0]), ',')
		line = append(s.to.AppendTo(line), ',')
		line = append(append(line, s.Country...), ',')
		line = append(strconv.AppendUint(line, uint64(s.AS), 10), ',')
		line = append(strconv.AppendUint(line, uint64(s.Traits), 10), '\n')
		if _, err := b.Write(line); err != nil {
			return err
		}
	}
	return b.Flush()
}

// eachRange calls f for each line of a file of ranges.
func eachRange(name string, f func(*span) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewScanner(file)
	in.Buffer(make([]byte, 1<<16), 1<<16)
	var s span
	for n := 1; in.Scan(); n++ {
		if err := s.parse(in.Text()); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if err := f(&s); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	return in.Err()
}

func (s *span) parse(line string) (err error) {
	part := strings.Split(line, ",")
	if len(part) != 5 {
		return fmt.Errorf("want FROM,TO,COUNTRY,AS,TRAITS, not %q", line)
	}
	if s.from, err = netip.ParseAddr(part[0]); err != nil {
		return err
	}
	if s.to, err = netip.ParseAddr(part[1]); err != nil {
		return err
	}
	as, err := strconv.ParseUint(part[3], 10, 32)
	if err != nil {
		return err
	}
	traits, err := strconv.ParseUint(part[4], 10, 32)
	if err != nil {
		return err
	}
	s.answer = answer{Country: part[2], AS: uint32(as), Traits: ipwarden.Traits(traits)}
	return nil
}

func readRanges(name string) ([]span, error) {
	spans := make([]span, 0, 1<<20)
	err := eachRange(name, func(s *span) error {
		c := *s
		c.Country = strings.Clone(c.Country) // or it would hold its line
		spans = append(spans, c)
		return nil
	})
	return spans, err
}

// prefixes returns the fewest prefixes that make up from..to.
func prefixes(from, to netip.Addr) []netip.Prefix { return netipx.IPRangeFrom(from, to).Prefixes() }
