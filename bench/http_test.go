package main

import (
	"strings"
	"testing"
	"time"
)

func TestStatTime(t *testing.T) {
	// The program's name holds what a careless reader stumbles over.
	const stat = "4711 (a) R (b c) S 1 4711 4711 0 -1 4194560 100 0 0 0 250 50 7 7 20 0 3 0 100 1000 10"
	got, err := statTime(stat)
	if err != nil || got != 3*time.Second {
		t.Errorf("%v, %v; want 3 s of 250 and 50 ticks", got, err)
	}
	for _, bad := range []string{"", "1 (x) S", "1 (x) S 1 1 1 0 -1 0 0 0 0 0 many 50"} {
		if d, err := statTime(bad); err == nil {
			t.Errorf("%q gives %v", bad, d)
		}
	}
}

func TestParseWrk(t *testing.T) {
	const text = "Running 1s test\n  2 requests in 1s\n\nRESULT {\"requests\":50000,\"took\":1000000,\"p99\":2500,\"bad\":0}\n"
	got, err := parseWrk(text, "x")
	if err != nil || got != (loaded{50000, time.Second, 2500 * time.Microsecond}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "\nRESULT nonsense", strings.Replace(text, `"bad":0`, `"bad":3`, 1), strings.Replace(text, "50000", "0", 1)} {
		if got, err := parseWrk(bad, "x"); err == nil {
			t.Errorf("%q gives %+v", bad, got)
		}
	}
}
