package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden/internal/cidr"
)

// cidrCmd groups what computes with addresses and asks no dataset.
type cidrCmd struct {
	Aggregate cidrAggregateCmd `cmd:"" help:"Print the fewest networks that hold the same addresses." example:"ipwarden cidr aggregate networks.txt"`
	Split     cidrSplitCmd     `cmd:"" help:"Print the parts of a network." example:"ipwarden cidr split 10.0.0.0/22 24"`
	Contains  cidrContainsCmd  `cmd:"" help:"Say whether networks hold addresses." example:"ipwarden cidr contains 10.0.0.0/8 10.1.2.3"`
	Range     cidrRangeCmd     `cmd:"" help:"Turn networks into ranges, and ranges into networks." example:"ipwarden cidr range 10.0.0.1-10.0.0.9"`
	Random    cidrRandomCmd    `cmd:"" help:"Draw addresses from networks." example:"ipwarden cidr random 5 10.0.0.0/8"`
	Matchip   cidrMatchipCmd   `cmd:"" help:"Print those of a list that are inside networks." example:"ipwarden cidr matchip 10.0.0.0/8 addresses.txt"`
	Grep      cidrGrepCmd      `cmd:"" help:"Print lines with an address inside networks." example:"ipwarden cidr grep 10.0.0.0/8 access.log"`
}

// Help is the long help.
func (cidrCmd) Help() string {
	return `Wherever networks are asked for, an address is one, and so is a range such as
10.0.0.1-10.0.0.9. A list has one of them a line; "#" and ";" begin comments. It
may be packed with gzip or zstd; - is standard input.`
}

type cidrAggregateCmd struct {
	Networks []string `arg:"" optional:"" name:"network" help:"Networks, or files that list them; none is standard input."`
	Ranges   bool     `help:"Print ranges instead of networks."`
	maskFlag
}

type maskFlag struct {
	Mask bool `help:"Take an address with a prefix length, such as 10.0.0.1/8, for its network."`
}

// Run joins everything, then prints it.
func (c *cidrAggregateCmd) Run(e *env) error {
	var all cidr.Aggregator
	l := lists{env: e, mask: c.Mask}
	l.each(c.Networks, func(r cidr.Range, _ []byte) error { all.Add(r); return nil })
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	var text []byte
	if c.Ranges {
		for r := range all.Ranges() {
			text = appendRange(text[:0], r)
			out.Write(text) // Flush has the error
		}
	} else {
		for p := range all.Prefixes() {
			text = append(p.AppendTo(text[:0]), '\n')
			if _, err := out.Write(text); err != nil {
				return err
			}
		}
	}
	return errors.Join(out.Flush(), l.failure(errReported))
}

func appendRange(text []byte, r cidr.Range) []byte {
	text = append(r.From().AppendTo(text), '-')
	return append(r.To().AppendTo(text), '\n')
}

type cidrRangeCmd struct {
	Networks []string `arg:"" optional:"" name:"network-or-range" help:"Networks and ranges, or files that list them; none is standard input."`
	maskFlag
}

// Run prints the other form of each.
func (c *cidrRangeCmd) Run(e *env) error {
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	l := lists{env: e, mask: c.Mask, flush: out.Flush}
	var text []byte
	l.each(c.Networks, func(r cidr.Range, item []byte) error {
		if !isRange(item) {
			_, err := out.Write(appendRange(text[:0], r))
			return err
		}
		for p := range r.Prefixes() {
			if _, err := out.Write(append(p.AppendTo(text[:0]), '\n')); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(out.Flush(), l.failure(errReported))
}

// isRange reports whether an item was written as a range; in a zone, "-" is
// none.
func isRange(item []byte) bool {
	from, _, ok := strings.Cut(string(item), "-")
	return ok && !strings.Contains(from, "%")
}

type cidrSplitCmd struct {
	Network string `arg:"" help:"The network; - reads a list of them from standard input."`
	Length  string `arg:"" optional:"" help:"The prefix length of the parts: 24, or /24."`
	Parts   uint64 `placeholder:"N" help:"Into N parts that are as equal as networks can be, instead."`
	maskFlag
}

// Run prints the parts as they are found, however many.
func (c *cidrSplitCmd) Run(e *env) error {
	length, err := strconv.Atoi(strings.TrimPrefix(c.Length, "/"))
	switch {
	case (c.Length == "") == (c.Parts == 0):
		return usagef("give either the prefix length of the parts or --parts")
	case c.Parts == 0 && (err != nil || length < 0 || length > 128):
		return usagef("%q is no prefix length; write 24 or /24", clip(c.Length))
	}
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	l := lists{env: e, mask: c.Mask, flush: out.Flush}
	var text []byte
	l.each([]string{c.Network}, func(r cidr.Range, item []byte) error {
		var p netip.Prefix
		n := 0
		for q := range r.Prefixes() {
			p = q
			n++
		}
		if n > 1 {
			return l.wrong(fmt.Errorf("%q is no network, it is %d of them; ipwarden cidr range %s names them", item, n, r))
		}
		parts := cidr.Split(p, length)
		if c.Parts > 0 {
			ok := false
			if parts, ok = cidr.Parts(p, c.Parts); !ok {
				return l.wrong(fmt.Errorf("%s has fewer addresses than %d", p, c.Parts))
			}
		} else if length < p.Bits() || length > p.Addr().BitLen() {
			return l.wrong(fmt.Errorf("%s has parts of /%d to /%d, not of /%d", p, p.Bits(), p.Addr().BitLen(), length))
		}
		for q := range parts {
			text = append(q.AppendTo(text[:0]), '\n')
			if _, err := out.Write(text); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(out.Flush(), l.failure(errReported))
}

type cidrRandomCmd struct {
	N        uint64   `arg:"" name:"n" help:"How many addresses."`
	Networks []string `arg:"" optional:"" name:"network" help:"Networks, or files that list them; none is standard input."`
	Seed     *uint64  `placeholder:"NUMBER" help:"Draw the same addresses whenever the number is the same."`
	Unique   bool     `help:"Draw no address twice."`
	maskFlag
}

// Run draws.
func (c *cidrRandomCmd) Run(e *env) error {
	var all []cidr.Range
	l := lists{env: e, mask: c.Mask}
	l.each(c.Networks, func(r cidr.Range, _ []byte) error { all = append(all, r); return nil })
	if err := l.failure(errReported); err != nil {
		return err // of other networks other addresses would come
	}
	seed := [2]uint64{rand.Uint64(), rand.Uint64()}
	if c.Seed != nil {
		seed = [2]uint64{*c.Seed, 0}
	}
	pool, err := cidr.NewPool(all, rand.NewPCG(seed[0], seed[1]), c.Unique)
	switch {
	case err != nil:
		return usageError{err}
	case c.Unique && pool.Fewer(c.N):
		return usagef("--unique: the networks have fewer than %d addresses", c.N)
	}
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	var text []byte
	for range c.N {
		a, _ := pool.Next()
		text = append(a.AppendTo(text[:0]), '\n')
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	return out.Flush()
}
