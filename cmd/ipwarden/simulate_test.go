package main

import (
	"strings"
	"testing"
)

func TestSimulateFlags(t *testing.T) {
	_, err := (&simulateRegionsCmd{Regions: 12, Faults: []string{"flood", "server"}, Rate: 0, QuotaRate: 1}).config()
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, want := range []string{"2 to 11, not 12", `"flood" is none`, "--rate"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("of all mistakes at once %q is missing: %v", want, err)
		}
	}
	for i, row := range roundTrips {
		if len(row) != i {
			t.Errorf("%s has %d round trips, want %d", places[i].name, len(row), i)
		}
	}
}
