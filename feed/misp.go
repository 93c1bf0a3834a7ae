package feed

import (
	"io"
	"time"
)

// MISP reads a warning list of MISP (misp-warninglists): a document whose
// "list" mixes addresses and prefixes. Its version is the date in lists that
// number their versions by day (20240615), and a counter in others.
func MISP(r io.Reader, meta *Meta) facts {
	return readDocument(r, "MISP warning list", func(d *document) error {
		return d.object(func(key string) error {
			switch key {
			case "version":
				var v loose
				if err := d.dec.Decode(&v); err != nil {
					return err
				}
				if t, err := time.Parse("20060102", string(v)); err == nil && plausible(t) {
					meta.Date = t
				}
				return nil
			case "list":
				return d.prefixes(Fact{})
			}
			return d.skip()
		})
	})
}
