package feed

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Zone reads a country zone file (the layout of IPdeny and of
// country-ip-blocks): one CIDR a line. The country is not in the file but in
// its name, which meta.Name carries: us.cidr, us-aggregated.zone, US.zone. A
// name that does not begin with two letters ends the reading with an error.
// Zones that are no country (eu, ap) yield nothing. Facts: Country.
func Zone(r io.Reader, meta *Meta) facts {
	cc, ok := zoneCode(meta.Name)
	if !ok {
		return func(yield func(*Fact, error) bool) {
			yield(nil, &FileError{Why: fmt.Sprintf("a zone file is named for its country, as us.cidr is; %q is not", clip(meta.Name))})
		}
	}
	return zoneRows(r, parseCountry([]byte(cc)))
}

// ZoneOf is Zone for a caller that knows the country better than the name.
func ZoneOf(country string) Parser {
	return func(r io.Reader, meta *Meta) facts { return Zone(r, &Meta{Name: country}) }
}

func zoneRows(r io.Reader, country string) facts {
	return readLines(r, "list of CIDRs", func(ls *lines) {
		f := Fact{Country: country}
		for ls.next() {
			row := bytes.TrimSpace(ls.row)
			if len(row) == 0 || row[0] == '#' || row[0] == ';' {
				continue
			}
			p, _, why := parsePrefix(row)
			if why != "" {
				ls.bad(why)
				continue
			}
			if country == "" {
				ls.good++ // of the format, with nothing to say
				continue
			}
			f.SetPrefix(p)
			ls.fact(&f)
		}
	})
}

// zoneCode returns the two letters with which a zone file's name begins.
func zoneCode(name string) (string, bool) {
	name = name[strings.LastIndexByte(name, '/')+1:]
	if i := strings.IndexAny(name, ".-_"); i >= 0 {
		name = name[:i]
	}
	if len(name) != 2 {
		return "", false
	}
	for _, c := range []byte(name) {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return "", false
		}
	}
	return strings.ToLower(name), true
}

// Bounds of ZoneTar. The real archives have 480 entries and 7 MB.
const (
	maxZoneEntries = 4096
	maxZoneEntry   = 16 << 20  // bytes, unpacked
	maxZoneTar     = 256 << 20 // bytes, unpacked
)

// ZoneTar reads an archive of zone files, tar or tar.gz: ipv4/us.cidr and
// ipv6/us.cidr, or IPdeny's us.zone. Only the last part of a name is looked
// at, and nothing is written; entries that are no zone files (LICENSE) are
// passed over. The line of a *[RowError] counts inside its entry, which the
// reason names. The date is that of the newest zone file.
func ZoneTar(r io.Reader, meta *Meta) facts {
	return func(yield func(*Fact, error) bool) {
		if err := zoneTar(r, meta, yield); err != nil {
			yield(nil, err)
		}
	}
}

// zoneTar returns what ends the file, unless the caller has broken off.
func zoneTar(r io.Reader, meta *Meta, yield func(*Fact, error) bool) error {
	br := bufio.NewReader(r)
	r = br
	if head, _ := br.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		zr, err := gzip.NewReader(br)
		if err != nil {
			return &FileError{Why: "the file is no gzip", Cause: err}
		}
		r = zr
	}
	bounded := &bound{r: r, left: maxZoneTar}
	tr := tar.NewReader(bounded)
	zones := 0
	for entry := 1; ; entry++ {
		h, err := tr.Next()
		switch {
		case err == io.EOF && zones == 0:
			return &FileError{Why: "the archive holds no zone file (us.cidr, us.zone)"}
		case err == io.EOF:
			return nil
		case err != nil:
			return &FileError{Why: "the file is no whole tar or tar.gz", Cause: err}
		case entry > maxZoneEntries:
			return &FileError{Why: fmt.Sprintf("the archive has more than %d entries", maxZoneEntries)}
		}
		cc, ok := zoneCode(h.Name)
		if h.Typeflag != tar.TypeReg || !ok || !strings.HasSuffix(h.Name, ".cidr") && !strings.HasSuffix(h.Name, ".zone") {
			continue
		}
		if h.Size > maxZoneEntry {
			return &FileError{Why: fmt.Sprintf("the zone of %s is larger than %d MiB", cc, maxZoneEntry>>20)}
		}
		zones++
		if h.ModTime.Unix() > 0 && h.ModTime.After(meta.Date) {
			meta.Date = h.ModTime.UTC()
		}
		for f, err := range zoneRows(tr, parseCountry([]byte(cc))) {
			switch e := err.(type) {
			case *RowError:
				e.Why = "in the zone of " + cc + ": " + e.Why
			case *FileError:
				return &FileError{Why: "in the zone of " + cc + ": " + e.Why, Cause: e.Cause}
			}
			if !yield(f, err) {
				return nil
			}
		}
	}
}

// bound fails once more than left bytes were read: an archive may unpack to
// far more than its own size.
type bound struct {
	r    io.Reader
	left int64
}

func (b *bound) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("it unpacks to more than 256 MiB")
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func clip(s string) string { return s[:min(len(s), maxRow)] }
