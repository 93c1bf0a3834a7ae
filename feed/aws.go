package feed

import "io"

// AWS reads ip-ranges.json of Amazon Web Services: IPv4 and IPv6 in lists of
// their own, with different keys. A prefix is listed under AMAZON, which is
// every service, and again under each service that uses it; so AMAZON is not
// taken for a service.
func AWS(r io.Reader, meta *Meta) facts {
	return readDocument(r, "AWS list", func(d *document) error {
		return d.object(func(key string) error {
			switch key {
			case "createDate":
				return d.date(meta, "2006-01-02-15-04-05")
			case "prefixes", "ipv6_prefixes":
				return d.list(func() error {
					var e struct {
						V4      loose `json:"ip_prefix"`
						V6      loose `json:"ipv6_prefix"`
						Region  loose `json:"region"`
						Service loose `json:"service"`
					}
					if ok, err := d.entry(&e); !ok {
						return err
					}
					if e.Service == "AMAZON" {
						e.Service = ""
					}
					return d.prefix(string(either(e.V4, e.V6)), Fact{
						CloudRegion:  d.name(e.Region),
						CloudService: d.name(e.Service),
					})
				})
			}
			return d.skip()
		})
	})
}

// either returns the first that is not empty.
func either(a, b loose) loose {
	if a != "" {
		return a
	}
	return b
}
