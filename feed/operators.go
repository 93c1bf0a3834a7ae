package feed

import (
	"io"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// The small lists of single operators, and of those who collect them.

// Fastly reads the public list of Fastly.
func Fastly(r io.Reader, _ *Meta) facts {
	return prefixLists(r, "Fastly list", "addresses", "ipv6_addresses")
}

// Zscaler reads the hub list of one Zscaler cloud.
func Zscaler(r io.Reader, _ *Meta) facts {
	return prefixLists(r, "Zscaler hub list", "hubPrefixes")
}

// BGPJSON reads what an operator announces, as jonhadfield/cloud-ips collects it.
func BGPJSON(r io.Reader, _ *Meta) facts {
	return prefixLists(r, "list of announced prefixes", "IPv4Prefixes", "IPv6Prefixes")
}

// prefixLists reads a document of plain lists of prefixes under known keys.
func prefixLists(r io.Reader, format string, keys ...string) facts {
	return readDocument(r, format, func(d *document) error {
		return d.object(func(key string) error {
			for _, k := range keys {
				if k == key {
					return d.prefixes(Fact{})
				}
			}
			return d.skip()
		})
	})
}

// prefixes reads a list of prefixes, all with the same fact; null is no list
// and says nothing.
func (d *document) prefixes(f Fact) error {
	return d.list(func() error {
		var p loose
		if ok, err := d.entry(&p); !ok {
			return err
		}
		return d.prefix(string(p), f)
	})
}

// Datadog reads the ranges of Datadog: an object for each product. The
// addresses of "synthetics" are those from which Datadog's monitors visit the
// sites of its customers, so they are a crawler's. The lists by location
// repeat the others.
func Datadog(r io.Reader, meta *Meta) facts {
	return readDocument(r, "Datadog list", func(d *document) error {
		return d.object(func(product string) error {
			switch product {
			case "modified":
				return d.date(meta, isoLayouts...)
			case "version":
				return d.skip()
			}
			f := Fact{CloudService: d.name(loose(product))}
			if product == "synthetics" {
				f.Traits, f.Name, f.Purpose = ipwarden.Crawler, "Datadog Synthetics", "monitoring"
			}
			return d.object(func(key string) error {
				if key == "prefixes_ipv4" || key == "prefixes_ipv6" {
					return d.prefixes(f)
				}
				return d.skip()
			})
		})
	})
}

// Atlassian reads the ranges of Atlassian's cloud: items with their products
// and regions. Where there is more than one region, none is claimed.
func Atlassian(r io.Reader, meta *Meta) facts {
	return readDocument(r, "Atlassian list", func(d *document) error {
		return d.object(func(key string) error {
			switch key {
			case "creationDate":
				return d.date(meta, isoLayouts...)
			case "items":
				return d.list(func() error {
					var e struct {
						CIDR    loose   `json:"cidr"`
						Region  []loose `json:"region"`
						Product []loose `json:"product"`
					}
					if ok, err := d.entry(&e); !ok {
						return err
					}
					f := Fact{CloudService: d.joined(e.Product)}
					if len(e.Region) == 1 {
						f.CloudRegion = d.name(e.Region[0])
					}
					return d.prefix(string(e.CIDR), f)
				})
			}
			return d.skip()
		})
	})
}

// joined makes one text of several names.
func (d *document) joined(names []loose) string {
	var b strings.Builder
	for _, n := range names {
		if b.Len() > maxText {
			break
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(n[:min(len(n), maxText)]))
	}
	return d.in.text([]byte(b.String()))
}
