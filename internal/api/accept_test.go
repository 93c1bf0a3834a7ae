package api

import "testing"

func TestPreferred(t *testing.T) {
	for _, tt := range []struct {
		accept string
		want   format
	}{
		{"*/*", formatJSON},
		{"text/*", formatText},
		{"application/*", formatJSON},
		{"application/json", formatJSON},
		{"text/json", formatJSON},
		{"Application/YAML", formatYAML},
		{"text/yaml; charset=utf-8", formatYAML},
		{"text/csv, */*", formatCSV},
		{"text/csv;q=0.9, */*", formatJSON},
		{"application/json;q=0.1, text/plain;q=0.2", formatText},
		{"application/json;q=0, */*;q=0.5", formatYAML},
		{"*/*;q=0", anyFormat},
		{"image/png", anyFormat},
		{"text/csv;q=nonsense", anyFormat},
		{"text/csv;q=1.1", anyFormat},
		{"text/csv;q=0.0001", anyFormat},
		{"text/csv;q=", anyFormat},
		{",,;,/,*/,", anyFormat},
		{"", anyFormat},
		{"text/csv ; q=0.5 , application/yaml;level=1;Q=0.6", formatYAML},
	} {
		if got := preferred(tt.accept, offerAnswer); got != tt.want {
			t.Errorf("preferred(%q) = %v, want %v", tt.accept, got, tt.want)
		}
	}
	if got := preferred("text/html,application/xhtml+xml,*/*;q=0.8", offerHome); got != formatHTML {
		t.Errorf("a browser gets %v at /", got)
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "x-gzip": true, "br": false, "br, gzip;q=0.1": true,
		"gzip;q=0": false, "*": true, "*;q=0": false, "identity": false, "*, gzip;q=0": false, "gzip;q=x": false,
	} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("acceptsGzip(%q) = %v", header, got)
		}
	}
}
