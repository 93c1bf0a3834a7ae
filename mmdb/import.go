package mmdb

import (
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/ipwarden/ipwarden/feed"
)

// maxFile bounds a file that is imported, in bytes: it is held in memory.
const maxFile = 256 << 20

// Formats names the parsers of this package; they have the contract of
// [feed.Parser]. Which of the schemas a file has is the catalogue's word, not
// the file's.
func Formats() map[string]feed.Parser {
	return map[string]feed.Parser{
		"mmdb-maxmind": MaxMind,
		"mmdb-ipinfo":  IPinfo,
	}
}

// MaxMind reads a file in MaxMind's schema: any of GeoIP2's and GeoLite2's
// databases, and others' in their form (DB-IP, exports of ours).
func MaxMind(r io.Reader, meta *feed.Meta) iter.Seq2[*feed.Fact, error] {
	return read(r, meta, func(db *maxminddb.Reader) schema { return maxmindSchema(db.Metadata.DatabaseType) })
}

// IPinfo reads a file in IPinfo's schema.
func IPinfo(r io.Reader, meta *feed.Meta) iter.Seq2[*feed.Fact, error] {
	return read(r, meta, func(*maxminddb.Reader) schema { return ipinfoSchema })
}

var (
	_ feed.Parser = MaxMind
	_ feed.Parser = IPinfo
)

func read(r io.Reader, meta *feed.Meta, schemaOf func(*maxminddb.Reader) schema) iter.Seq2[*feed.Fact, error] {
	return func(yield func(*feed.Fact, error) bool) {
		raw, err := io.ReadAll(io.LimitReader(r, maxFile+1))
		switch {
		case err != nil:
			yield(nil, &feed.FileError{Why: "reading the MaxMind DB file", Cause: err})
			return
		case len(raw) > maxFile:
			yield(nil, &feed.FileError{Why: fmt.Sprintf("the MaxMind DB file is larger than %d bytes", maxFile)})
			return
		}
		db, err := maxminddb.OpenBytes(raw)
		if err == nil {
			err = checkTree(db, raw)
		}
		if err != nil {
			yield(nil, &feed.FileError{Why: "not a sound MaxMind DB file", Cause: err})
			return
		}
		meta.Date = buildDate(db)
		networks(db, schemaOf(db), yield)
	}
}

// networks yields a fact for each network.
func networks(db *maxminddb.Reader, newRow schema, yield func(*feed.Fact, error) bool) {
	var f feed.Fact
	n, good := 0, 0
	for res := range db.Networks() {
		n++
		if err := res.Err(); err != nil && !res.Found() {
			yield(nil, &feed.FileError{Why: fmt.Sprintf("the search tree is broken at %s, network %d", res.Prefix(), n), Cause: err})
			return
		}
		row := newRow()
		if err := res.Decode(row); err != nil {
			if !yield(nil, &feed.RowError{Line: n, Row: res.Prefix().String(), Why: clip(err.Error())}) {
				return
			}
			continue
		}
		good++
		f = feed.Fact{}
		f.SetPrefix(res.Prefix())
		row.fact(&f)
		if !yield(&f, nil) {
			return
		}
	}
	if n > 0 && good == 0 {
		yield(nil, &feed.FileError{Why: "not one of the file's networks could be read"})
	}
}

// buildDate returns when the file was built, the zero time when it says nothing
// or what no calendar holds.
func buildDate(db *maxminddb.Reader) time.Time {
	const year9999 = 253402300800 // seconds
	if epoch := db.Metadata.BuildEpoch; epoch == 0 || epoch >= year9999 {
		return time.Time{}
	}
	return db.Metadata.BuildTime().UTC()
}

// clip bounds a text that a file had a hand in.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
