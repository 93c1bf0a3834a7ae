package dataset_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/feed"
)

// exampleFeeds are three small feeds: who uses the documentation networks, a
// list of VPN exits, and what the IANA registry says of private space.
func exampleFeeds() []dataset.Input {
	day := time.Date(2026, time.August, 22, 0, 0, 0, 0, time.UTC)
	rows := func(format, text string) func(func(*feed.Fact, error) bool) {
		return feed.Formats()[format](strings.NewReader(text), &feed.Meta{})
	}
	return []dataset.Input{
		{
			Spec: feed.Spec{Name: "countries", Licence: "CC0-1.0", Asserts: feed.Asserts{
				Trust: 60, Fields: []string{"location.country_code", "location.city"},
			}},
			Date:  day,
			Facts: rows("geofeed", "198.51.100.0/24,SE,,Stockholm,\n2001:db8::/32,NO,,,\n"),
		},
		{
			Spec: feed.Spec{Name: "exits", Licence: "MIT", Asserts: feed.Asserts{
				Trust: 60, Traits: []string{"vpn"}, Name: "Example VPN",
			}},
			Date:  day,
			Facts: rows("netset", "198.51.100.0/29\n"),
		},
		{
			Spec: feed.Spec{Name: "private", Licence: "CC0-1.0", Asserts: feed.Asserts{
				Trust: 100, Traits: []string{"bogon"}, Name: "Private-Use",
			}},
			Date:  day,
			Facts: rows("netset", "10.0.0.0/8\n"),
		},
	}
}

func exampleDataset() *dataset.Dataset {
	var file bytes.Buffer
	if _, err := dataset.Build(context.Background(), &file, dataset.BuildConfig{Inputs: exampleFeeds()}); err != nil {
		panic(err)
	}
	ds, err := dataset.OpenData(file.Bytes())
	if err != nil {
		panic(err)
	}
	return ds
}

// Open a dataset and ask who an address is.
func Example() {
	dir, err := os.MkdirTemp("", "ipwarden")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "world.ipw") // what data update or data build made
	write(path)

	ds, err := dataset.Open(path)
	if err != nil {
		panic(err)
	}
	defer ds.Close()
	rec, err := ds.Lookup(context.Background(), netip.MustParseAddr("198.51.100.3"))
	if err != nil {
		panic(err)
	}
	fmt.Println(rec.CountryCode(), rec.Location().City, rec.Network())
	fmt.Println(rec.Traits().Has(ipwarden.Anonymous), rec.Security().VPN)
	// Output:
	// SE Stockholm 198.51.100.0/29
	// true Example VPN
}

func write(path string) {
	f, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	if _, err := dataset.Build(context.Background(), f, dataset.BuildConfig{Inputs: exampleFeeds()}); err != nil {
		panic(err)
	}
	if err := f.Close(); err != nil {
		panic(err)
	}
}

// Many addresses at once cost less each.
func ExampleDataset_LookupBatch() {
	ds := exampleDataset()
	addrs := []netip.Addr{netip.MustParseAddr("198.51.100.3"), netip.MustParseAddr("198.51.100.200"), netip.MustParseAddr("10.1.2.3")}
	records := make([]ipwarden.Record, len(addrs))
	ds.LookupBatch(records, addrs)
	for _, r := range records {
		fmt.Println(r.Addr(), r.CountryCode(), r.Traits().Names())
	}
	// Output:
	// 198.51.100.3 SE [vpn]
	// 198.51.100.200 SE []
	// 10.1.2.3  [bogon]
}

// What every field rests on.
func ExampleDataset_Lookup_evidence() {
	rec, err := exampleDataset().Lookup(context.Background(), netip.MustParseAddr("198.51.100.3"))
	if err != nil {
		panic(err)
	}
	for _, e := range rec.Evidence() {
		if e.Field == ipwarden.FieldCity || e.Field == ipwarden.FieldIsVPN {
			c := e.By[0] // the one that decided; e.Lost holds what others said
			fmt.Println(e.Field, e.Value, "says", c.Feed, c.Date.Format(time.DateOnly), c.Match, c.Licence)
		}
	}
	// Output:
	// location.city Stockholm says countries 2026-08-22 198.51.100.0/24 CC0-1.0
	// security.is_vpn true says exits 2026-08-22 198.51.100.0/29 MIT
}

// The distinct answers inside a network, in the order of addresses.
func ExampleDataset_Networks() {
	for network, rec := range exampleDataset().Networks(netip.MustParsePrefix("198.51.100.0/27")) {
		fmt.Println(network, rec.Traits().Names())
	}
	// Output:
	// 198.51.100.0/29 [vpn]
	// 198.51.100.8/29 []
	// 198.51.100.16/28 []
}

// A newer dataset is put in use while look-ups go on; a Record of the old one
// stays readable.
func ExampleLive() {
	live := dataset.NewLive(exampleDataset())
	old, err := live.Lookup(context.Background(), netip.MustParseAddr("198.51.100.3"))
	if err != nil {
		panic(err)
	}
	live.Swap(exampleDataset())
	fmt.Println(old.CountryCode())
	// Output: SE
}

// The answer as the JSON of the command line and the API.
func ExampleDataset_Lookup_json() {
	rec, err := exampleDataset().Lookup(context.Background(), netip.MustParseAddr("::ffff:198.51.100.3"))
	if err != nil {
		panic(err)
	}
	fields, err := ipwarden.ParseFields("ip,transition,location.country_code,security.vpn")
	if err != nil {
		panic(err)
	}
	view := ipwarden.NewView(time.Now())
	view.Fields = fields
	fmt.Println(string(view.AppendJSON(nil, rec)))
	// Output: {"ip":"198.51.100.3","transition":"mapped","location":{"country_code":"SE"},"security":{"vpn":{"name":"Example VPN"}}}
}
