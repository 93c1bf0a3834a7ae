package cidr

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/iptext"
)

// Parse reads an address, a network or a range, such as 8.8.8.8,
// 203.0.113.0/24 and 10.0.0.1-10.0.0.9, with or without blanks about the "-".
// A network with bits set beyond its prefix is a mistake, unless mask is set,
// which clears them.
func Parse(text string, mask bool) (Range, error) {
	if from, to, ok := strings.Cut(text, "-"); ok && !strings.Contains(from, "%") {
		return parseRange(text, strings.TrimSpace(from), strings.TrimSpace(to))
	}
	if strings.Contains(text, "/") {
		return parseNetwork(text, mask)
	}
	a, err := parseAddr(text)
	if err != nil {
		return Range{}, err
	}
	n := numberOf(a)
	return Range{n, n, a.Is4()}, nil
}

func parseAddr(text string) (netip.Addr, error) {
	a, err := ipwarden.ParseAddr(text)
	if err != nil {
		return a, fmt.Errorf("%q %w; write 8.8.8.8 or 2001:4860:4860::8888", clip(text), err)
	}
	return a.Unmap().WithZone(""), nil
}

func parseNetwork(text string, mask bool) (Range, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return Range{}, fmt.Errorf("%q is no network; write 203.0.113.0/24 or 2001:db8::/32", clip(text))
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return Range{}, fmt.Errorf("%q begins at an IPv4 address inside IPv6 and goes beyond them; write the IPv4 network", clip(text))
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() && !mask {
		return Range{}, fmt.Errorf("%q has bits set beyond its prefix; the network is %s, and --mask takes it for that", clip(text), p.Masked())
	}
	return Of(p), nil
}

func parseRange(text, from, to string) (Range, error) {
	a, err := parseAddr(from)
	b, err2 := parseAddr(to)
	if err := errors.Join(err, err2); err != nil {
		return Range{}, fmt.Errorf("%q is no range such as 10.0.0.1-10.0.0.9: %s", clip(text), strings.ReplaceAll(err.Error(), "\n", "; and "))
	}
	r, ok := Between(a, b)
	switch {
	case ok:
		return r, nil
	case a.Is4() != b.Is4():
		return Range{}, fmt.Errorf("%q begins in one family and ends in the other; write 10.0.0.1-10.0.0.9 or 2001:db8::1-2001:db8::9", clip(text))
	}
	return Range{}, fmt.Errorf("%q ends before it begins; the other way round it is %s-%s", clip(text), b, a)
}

// ParseLine reads a line of a list. What follows "#" or ";" is a comment; ok is
// false when nothing else is there. item is what was read, without the blanks
// about it, and of the line's bytes.
func ParseLine(line []byte, mask bool) (r Range, item []byte, ok bool, err error) {
	if i := bytes.IndexAny(line, "#;"); i >= 0 {
		line = line[:i]
	}
	item = bytes.TrimSpace(line)
	if len(item) == 0 {
		return r, nil, false, nil
	}
	if a, ok := iptext.Parse4(item); ok { // by far the most there are, and without a string
		n := numberOf(a)
		return Range{n, n, true}, item, true, nil
	}
	text := string(item)
	if i := strings.IndexAny(text, " \t,"); i >= 0 && !strings.Contains(text, "-") {
		return r, item, true, fmt.Errorf("%q is more than an address, a network or a range; keep the column that has them, as with cut -f1", clip(text))
	}
	r, err = Parse(text, mask)
	return r, item, true, err
}

// clip bounds what an error repeats.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
