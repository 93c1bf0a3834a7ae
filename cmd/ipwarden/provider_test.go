package main

import (
	"slices"
	"testing"

	"github.com/ipwarden/ipwarden/internal/config"
	"github.com/ipwarden/ipwarden/provider"
)

// The kinds that a file may name are those that there are.
func TestProviderKinds(t *testing.T) {
	want := append(provider.Kinds(), "dnsbl", "ipwarden")
	slices.Sort(want)
	if got := config.ProviderKinds(); !slices.Equal(got, want) {
		t.Errorf("the file may name %v, and there are %v", got, want)
	}
	for _, kind := range want {
		if kindTitles()[kind] == "" {
			t.Errorf("%s has no title", kind)
		}
	}
}
