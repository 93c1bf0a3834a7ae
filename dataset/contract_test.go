package dataset_test

import (
	"net/netip"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/overlay"
)

// A dataset, one that can be swapped, and one with an overlay on top are
// Sources, and keep the contract.
func TestSourcesKeepTheContract(t *testing.T) {
	ds := exampleDataset()
	known := []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("10.0.0.1")}
	overlay, err := overlay.New(overlay.Config{Source: ds, Entries: []overlay.Entry{{
		Network: netip.MustParsePrefix("198.51.100.0/28"),
		Facts:   []overlay.Fact{{Field: ipwarden.FieldCity, Value: "Uppsala"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]ipwarden.Source{"dataset": ds, "live": dataset.NewLive(ds), "overlay": overlay} {
		t.Run(name, func(t *testing.T) { ipwardentest.TestSource(t, s, known...) })
	}
}
