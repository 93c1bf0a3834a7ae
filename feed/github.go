package feed

import (
	"encoding/json"
	"io"
	"strings"
)

// GitHub reads the meta endpoint of GitHub's API: a list of prefixes for each
// service (actions, pages, hooks, …), beside keys, fingerprints, domains and
// switches, which are passed over. A prefix is listed under each service that
// uses it. The file does not say when it was made.
func GitHub(r io.Reader, _ *Meta) facts {
	return readDocument(r, "GitHub meta document", func(d *document) error {
		return d.object(func(key string) error {
			t, err := d.dec.Token()
			if err != nil {
				return err
			}
			switch {
			case t == json.Delim('{'):
				return d.skipFrom(1)
			case t != json.Delim('['):
				return nil
			case strings.HasPrefix(key, "ssh_"): // lists of keys
				return d.skipFrom(1)
			}
			d.found = true
			f := Fact{CloudService: d.name(loose(key))}
			for d.dec.More() {
				var p loose
				if ok, err := d.entry(&p); err != nil {
					return err
				} else if ok {
					if err := d.prefix(string(p), f); err != nil {
						return err
					}
				}
			}
			_, err = d.dec.Token()
			return err
		})
	})
}
