package feed

import (
	"io"
	"strings"
)

// Azure reads the service tags of Microsoft Azure. The same prefix is listed
// under many tags: AzureCloud, which is everything, AzureCloud.REGION, a
// service, a service in a region. Each is a fact of its own. The file does not
// say when it was made.
func Azure(r io.Reader, _ *Meta) facts {
	return readDocument(r, "list of Azure service tags", func(d *document) error {
		return d.object(func(key string) error {
			if key != "values" {
				return d.skip()
			}
			return d.list(func() error { return azureTag(d) })
		})
	})
}

func azureTag(d *document) error {
	var tag struct {
		Name       loose `json:"name"`
		Properties struct {
			Region   loose   `json:"region"`
			Service  loose   `json:"systemService"`
			Prefixes []loose `json:"addressPrefixes"`
		} `json:"properties"`
	}
	if ok, err := d.entry(&tag); !ok {
		return err
	}
	f := Fact{CloudRegion: d.name(tag.Properties.Region), CloudService: d.name(tag.Properties.Service)}
	if f.CloudService == "" {
		// The part before the dot; AzureCloud itself is no service.
		if name, _, _ := strings.Cut(string(tag.Name), "."); name != "AzureCloud" {
			f.CloudService = d.name(loose(name))
		}
	}
	d.n-- // the prefixes are what is counted
	for _, p := range tag.Properties.Prefixes {
		d.n++
		if err := d.prefix(string(p), f); err != nil {
			return err
		}
	}
	return nil
}
