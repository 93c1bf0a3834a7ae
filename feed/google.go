package feed

import (
	"bufio"
	"bytes"
	"io"
)

// Google reads the shape in which Google publishes its ranges, and after it
// OpenAI, Apple, Microsoft's Bing, DuckDuckGo and others: a list "prefixes" of
// objects with either ipv4Prefix or ipv6Prefix, and for Google Cloud the
// region as "scope".
func Google(r io.Reader, meta *Meta) facts {
	return readDocument(r, "list of prefixes in Google's form", func(d *document) error {
		return d.object(func(key string) error {
			switch key {
			case "creationTime":
				return d.date(meta, isoLayouts...)
			case "prefixes":
				return d.list(func() error {
					var e struct {
						V4    loose `json:"ipv4Prefix"`
						V6    loose `json:"ipv6Prefix"`
						Scope loose `json:"scope"`
					}
					if ok, err := d.entry(&e); !ok {
						return err
					}
					return d.prefix(string(either(e.V4, e.V6)), Fact{CloudRegion: d.name(e.Scope)})
				})
			}
			return d.skip()
		})
	})
}

// Prefixes reads a list that its operator publishes in Google's form and that
// mirrors flatten to one prefix a line: whichever it is.
func Prefixes(r io.Reader, meta *Meta) facts {
	return func(yield func(*Fact, error) bool) {
		br := bufio.NewReaderSize(r, 512)
		head, _ := br.Peek(512) // a failing reader fails again below
		parse := Netset
		if bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(head, bom)), []byte("{")) {
			parse = Google
		}
		parse(br, meta)(yield)
	}
}
