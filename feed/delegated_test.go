package feed

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// A file cannot turn a few bytes into systems without end.
func TestDelegatedBoundsSystems(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("2|apnic|20210715|0|19830613|20210714|+1000\n")
	for i := range 10 {
		fmt.Fprintf(&b, "apnic|JP|asn|%d|%d|20020801|allocated\n", 1+i*maxDelegatedRow, maxDelegatedRow)
	}
	facts, bad := 0, 0
	for _, err := range Delegated(&b, &Meta{}) {
		if err == nil {
			facts++
		} else if bad++; !strings.Contains(err.Error(), "more than 1048576 systems") {
			t.Error(err)
		}
	}
	if facts != maxDelegatedAS || bad != 2 {
		t.Errorf("%d facts and %d bad rows, want %d and 2", facts, bad, maxDelegatedAS)
	}
}

// The registries' combined file has rows of IANA's own.
func TestDelegatedCombined(t *testing.T) {
	got := readAll("delegated", "", strings.NewReader("2|nro|20240105|3|19700101|20240105|+0000\n"+
		"iana|ZZ|asn|0|1||reserved|ietf|iana\niana|ZZ|ipv4|0.0.0.0|16777216|19810901|assigned|ietf|iana\nripencc|EU|ipv4|2.16.0.0|512|20100712|assigned|x|e-stats\n"))
	if len(got.facts) != 1 || describe(&got.facts[0]) != `2.16.0.0/23 Registry="ripencc"` || len(got.rows) != 0 || got.end != nil {
		t.Errorf("got %+v", got)
	}
}
