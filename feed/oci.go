package feed

import "io"

// OCI reads the public ranges of Oracle Cloud Infrastructure: regions with
// prefixes, each with tags. OCI and OSN (Oracle Services Network) are the two
// halves of the whole; a tag that is narrower than these is the service.
func OCI(r io.Reader, meta *Meta) facts {
	return readDocument(r, "list of Oracle Cloud", func(d *document) error {
		return d.object(func(key string) error {
			switch key {
			case "last_updated_timestamp":
				return d.date(meta, isoLayouts...)
			case "regions":
				return d.list(func() error { return ociRegion(d) })
			}
			return d.skip()
		})
	})
}

func ociRegion(d *document) error {
	var region struct {
		Region loose `json:"region"`
		CIDRs  []struct {
			CIDR loose   `json:"cidr"`
			Tags []loose `json:"tags"`
		} `json:"cidrs"`
	}
	if ok, err := d.entry(&region); !ok {
		return err
	}
	d.n-- // the prefixes are what is counted
	for _, c := range region.CIDRs {
		d.n++
		f := Fact{CloudRegion: d.name(region.Region)}
		for _, tag := range c.Tags {
			if f.CloudService == "" || tag != "OCI" && tag != "OSN" {
				f.CloudService = d.name(tag)
			}
		}
		if err := d.prefix(string(c.CIDR), f); err != nil {
			return err
		}
	}
	return nil
}
