package compile

import (
	"bufio"
	"bytes"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
	"github.com/ipwarden/ipwarden/internal/overlayfile"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
)

// Bounds of what a list takes from outside the policy.
const (
	maxListFile = 64 << 20 // bytes
	maxEntries  = 2_000_000
)

func (f *file) readLists(n ast.Node) {
	pairs, _ := f.Mapping(n, "lists")
	for i, p := range pairs {
		if !isWordName(p.Key) {
			f.At(p.Token, fmt.Sprintf("the list %q must be called by a word of letters, digits and _, so that a condition can say lists.%s", yamldoc.Clip(p.Key, 64), "office"))
		}
		f.lists[p.Key] = i
		f.cfg.Lists = append(f.cfg.Lists, policy.List{Name: p.Key, Line: p.Token.Position.Line})
		f.readList(p, &f.cfg.Lists[i])
	}
}

func isWordName(s string) bool {
	return s != "" && len(s) <= 64 && (s[0] < '0' || s[0] > '9') && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

func (f *file) readList(at yamldoc.Pair, l *policy.List) {
	var source, format yamldoc.Pair
	var limit yamldoc.Pair
	_, has, ok := f.each(at.Value, "a list", []key{
		{"networks", func(p yamldoc.Pair) {
			for _, item := range f.Sequence(p.Value, "networks") {
				if f.timed(item, "network", l) {
					continue
				}
				if prefix, ok := overlayfile.Network(f.Document, item); ok {
					l.Prefixes = append(l.Prefixes, prefix)
				}
			}
		}},
		{"asns", func(p yamldoc.Pair) {
			for _, item := range f.Sequence(p.Value, "asns") {
				if f.timed(item, "asn", l) {
					continue
				}
				if number, ok := overlayfile.ASN(f.Document, item); ok {
					l.ASNs = append(l.ASNs, number)
				}
			}
		}},
		{"countries", func(p yamldoc.Pair) {
			for _, item := range f.Sequence(p.Value, "countries") {
				if f.timed(item, "country", l) {
					continue
				}
				if s, ok := f.country(item); ok {
					l.Countries = append(l.Countries, s)
				}
			}
		}},
		{"crawlers", func(p yamldoc.Pair) { l.Crawlers = f.texts(p.Value, "crawlers") }},
		{"values", func(p yamldoc.Pair) { l.Values = f.texts(p.Value, "values") }},
		{"file", func(p yamldoc.Pair) { source = p }},
		{"feed", func(p yamldoc.Pair) { source = p }},
		{"format", func(p yamldoc.Pair) { format = p }},
		{"action", func(p yamldoc.Pair) { l.Action = f.verdict(p.Value, "action", everyVerdict...) }},
		{"limit", func(p yamldoc.Pair) { limit = p }},
		{"response", func(p yamldoc.Pair) { l.Response = f.response(p.Value) }},
		{"tags", func(p yamldoc.Pair) { l.Tags = f.tags(p.Value) }},
		{"expires", func(p yamldoc.Pair) { l.Expires, _ = overlayfile.Expiry(f.Document, p.Value) }},
	})
	if !ok {
		return
	}
	if has["limit"] {
		l.Limit = f.inlineLimit(limit.Value, at.Key, &l.Response, l.Action)
	}
	switch {
	case has["file"] && has["feed"]:
		f.At(at.Token, "a list is read from one place: give either file or feed")
	case has["file"]:
		f.listFile(source, format, l)
	case has["feed"]:
		f.listFeed(source, l)
	}
	if has["format"] && !has["file"] {
		f.At(format.Token, "format says how to read file, and there is none")
	}
	if !has["action"] {
		for _, k := range []string{"limit", "response", "tags"} {
			if has[k] {
				f.At(at.Token, fmt.Sprintf("%s needs an action beside it, such as action: allow", k))
			}
		}
	}
	if l.Action != ipwarden.NoVerdict && len(l.Crawlers)+len(l.Values) > 0 {
		f.At(at.Token, "an action is for addresses, networks, asns and countries; crawlers have a part of their own, and values are for conditions")
	}
	if len(has) == 0 {
		f.At(at.Token, "the list is empty; give networks, asns, countries, crawlers, values, file or feed")
	}
}

// listFile reads a list from a file: of a format of package feed, or one network,
// AS or country a line.
func (f *file) listFile(p, format yamldoc.Pair, l *policy.List) {
	name, ok := f.Text(p.Value, "file")
	if !ok {
		return
	}
	data, err := f.opts.ReadFile(name)
	switch {
	case err != nil:
		f.At(p.Value.GetToken(), fmt.Sprintf("the file cannot be read: %v", err))
		return
	case len(data) > maxListFile:
		f.At(p.Value.GetToken(), fmt.Sprintf("the file is larger than %d MiB", maxListFile>>20))
		return
	}
	if format.Value == nil {
		f.plainList(p, name, data, l)
		return
	}
	word, ok := f.Text(format.Value, "format")
	if !ok {
		return
	}
	parser := feed.Formats()[word]
	if parser == nil {
		f.At(format.Value.GetToken(), fmt.Sprintf("there is no format %q; netset is one network a line", yamldoc.Clip(word, 32)))
		return
	}
	f.facts(p, parser(bytes.NewReader(data), &feed.Meta{Name: name}), l)
}

// maxListMistakes bounds what is said of the lines of one file, so that something is
// said of the policy too.
const maxListMistakes = 20

// plainList reads one network, address, AS or country a line, with expires=TIME
// behind it where it ends by itself; # begins a comment. Mistakes are said with their
// place in that file.
func (f *file) plainList(p yamldoc.Pair, name string, data []byte, l *policy.List) {
	if read := *f.also; len(read) > 0 {
		name = read[len(read)-1] // as it was found
	}
	bad := 0
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<16)
	n := 1
	for ; lines.Scan(); n++ {
		text := lines.Text()
		row, _, _ := strings.Cut(text, "#")
		if row = strings.TrimSpace(row); row == "" {
			continue
		}
		if what := addRow(row, l); what != "" {
			if bad++; bad <= maxListMistakes {
				f.Elsewhere(name, n, utf8.RuneCountInString(text[:strings.Index(text, row)])+1, text, what)
			}
		}
	}
	if err := lines.Err(); err != nil {
		f.At(p.Value.GetToken(), fmt.Sprintf("the file cannot be read: line %d: %v", n, err))
	}
	if bad > maxListMistakes {
		f.At(p.Value.GetToken(), fmt.Sprintf("and %d more lines of %s are wrong", bad-maxListMistakes, name))
	}
}

// listFeed reads a list from a feed of the data directory.
func (f *file) listFeed(p yamldoc.Pair, l *policy.List) {
	name, ok := f.Text(p.Value, "feed")
	if !ok {
		return
	}
	if f.opts.Feed == nil {
		f.At(p.Value.GetToken(), "feeds are read from a data directory, and none is known here; use file: instead")
		return
	}
	facts, err := f.opts.Feed(name)
	if err != nil {
		f.At(p.Value.GetToken(), err.Error())
		return
	}
	f.facts(p, facts, l)
}

// facts takes the networks and the AS of a feed. Rows that cannot be read are
// skipped, as they are in a dataset, unless they are all of them.
func (f *file) facts(p yamldoc.Pair, facts iter.Seq2[*feed.Fact, error], l *policy.List) {
	good, bad := 0, 0
	var last error
	for fact, err := range facts {
		switch {
		case err != nil:
			bad, last = bad+1, err
			continue
		case fact.AS != 0:
			l.ASNs = append(l.ASNs, fact.AS)
		default:
			l.Prefixes = appendRange(l.Prefixes, fact.From, fact.To)
		}
		if good++; good > maxEntries {
			f.At(p.Value.GetToken(), fmt.Sprintf("this has more than %d entries", maxEntries))
			return
		}
	}
	switch {
	case good > 0:
	case last != nil:
		f.At(p.Value.GetToken(), fmt.Sprintf("nothing could be read from this, in %d rows; the last: %v", bad, last))
	default:
		why := "nothing is in it"
		if _, country, part := strings.Cut(p.Value.GetToken().Value, "/"); part && p.Key == "feed" {
			why = "it has no row of " + country
		}
		f.At(p.Value.GetToken(), why)
	}
}

// appendRange appends the prefixes that make up a range.
func appendRange(ps []netip.Prefix, from, to netip.Addr) []netip.Prefix {
	for from.IsValid() && !to.Less(from) {
		bits := from.BitLen()
		for bits > 0 {
			p := netip.PrefixFrom(from, bits-1)
			if p.Masked().Addr() != from || to.Less(lastAddr(p)) {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(from, bits)
		ps = append(ps, p)
		from = lastAddr(p).Next()
	}
	return ps
}

// lastAddr is the last address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// tags reads the tags of a rule or a list.
func (f *file) tags(n ast.Node) []string {
	tags := f.texts(n, "tags")
	for _, t := range tags {
		if !isTag(t) {
			f.At(n.GetToken(), fmt.Sprintf("the tag %q has something else than letters, digits, _, -, . and : in it, or is longer than 64", yamldoc.Clip(t, 64)))
		}
	}
	if len(tags) > 16 {
		f.At(n.GetToken(), "more than 16 tags")
	}
	return tags
}

// isTag keeps a tag fit for a header field.
func isTag(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:") == ""
}
