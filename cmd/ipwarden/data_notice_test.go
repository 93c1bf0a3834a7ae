package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/dataset"
)

// embedded/NOTICE is what the program says of the dataset beside it; 'make
// dataset' writes both.
func TestNoticeOfTheEmbeddedDataset(t *testing.T) {
	if len(embeddedDataset()) == 0 {
		t.Skip("this checkout has no embedded dataset; make dataset FEEDS=DIR builds one")
	}
	ds, err := openDataset("")
	if err != nil {
		t.Fatal(err)
	}
	info := ds.Info()
	if info.Licence != openLicence {
		t.Errorf("the embedded dataset is under %q, not %q", info.Licence, openLicence)
	}
	want := licenceText(&info)
	got, err := os.ReadFile("../../embedded/NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("embedded/NOTICE is not that of embedded/dataset.ipw; 'ipwarden data notice >embedded/NOTICE' writes it")
	}
	for _, f := range info.Feeds {
		if f.Licence == "" || f.Date.IsZero() {
			t.Errorf("feed %s: licence %q, date %v: both must be known of what is embedded", f.Name, f.Licence, f.Date)
		}
		for _, said := range []string{f.Name, f.URL, f.Licence, f.Attribution} {
			if !strings.Contains(want, said) {
				t.Errorf("feed %s: the notice does not say %q", f.Name, said)
			}
		}
	}
}

// Licences that ask for a text or a line get it.
func TestNoticeKeepsWhatLicencesAskFor(t *testing.T) {
	day := time.Date(2026, time.August, 22, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		licence, url, credit string
		want                 []string
	}{
		{"MIT", "https://github.com/X4BNet/lists_vpn", "X4B", []string{"Copyright (c) 2024 X4B (Mathew Heard) (example)", "Permission is hereby granted"}},
		{"MIT", "https://example.com/", "Copyright (c) 2020 Example Ltd", []string{"Copyright (c) 2020 Example Ltd (example)", "Permission is hereby granted"}},
		{"BSD-3-Clause", "https://github.com/O-X-L/risk-db-lists", "OXL", []string{"Copyright (c) 2025, Pascal Rath (example)", "Redistributions in binary form"}},
		{"Apache-2.0", "https://example.com/", "Example", []string{"Apache License"}},
		{"CDLA-Permissive-2.0", "https://example.com/", "Example", []string{"Community Data License Agreement"}},
		{"Unicode-3.0", "https://example.com/", "Example", []string{"UNICODE LICENSE V3", "© 2015-2024 Unicode, Inc."}},
		{"CC-BY-4.0", "https://example.com/", "GeoNames", []string{"https://creativecommons.org/licenses/by/4.0/", "; GeoNames; data of 2026-08-22"}},
		{spamhausLicence, "https://example.com/", "Spamhaus", []string{"(c) 2026 The Spamhaus Project SLU, data of 2026-08-22 (example)", "https://www.spamhaus.org/drop/terms/"}},
		{"CC0-1.0", "https://example.com/", "Example", []string{"; CC0-1.0; Example; data of 2026-08-22"}},
	} {
		t.Run(c.licence, func(t *testing.T) {
			text := licenceText(&dataset.Info{Date: day, Licence: openLicence, Feeds: []dataset.FeedInfo{
				{Name: "example", URL: c.url, Licence: c.licence, Attribution: c.credit, Date: day},
			}})
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in:\n%s", want, text)
				}
			}
		})
	}
}

// What may not be passed on is not called open.
func TestNoticeOfMixedLicences(t *testing.T) {
	text := licenceText(&dataset.Info{Licence: mixedLicence})
	if !strings.Contains(text, "Not all of this may be passed on") || strings.Contains(text, "as a whole is under the Creative") {
		t.Errorf("got:\n%s", text)
	}
}

// The copyright line is the one in the last row of Spamhaus's own files.
func TestSpamhausCopyrightLine(t *testing.T) {
	dir := os.Getenv("IPWARDEN_TEST_DATA")
	if dir == "" {
		t.Skip("IPWARDEN_TEST_DATA is not set: the full feeds are not there")
	}
	for _, name := range []string{"spamhaus-drop_v4.json", "spamhaus-asndrop.json"} {
		f, err := os.Open(filepath.Join(dir, "abuse", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var row struct {
			Type, Copyright string
			Timestamp       int64
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				t.Fatal(err)
			}
		}
		if row.Type != "metadata" {
			t.Fatalf("%s: the last row is of type %q", name, row.Type)
		}
		date := time.Unix(row.Timestamp, 0).UTC()
		got := copyrightOf(&dataset.FeedInfo{Licence: spamhausLicence, Date: date})
		if want := fmt.Sprintf("%s, data of %s", row.Copyright, date.Format(time.DateOnly)); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
