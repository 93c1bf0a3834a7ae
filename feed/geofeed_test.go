package feed

import (
	"testing"
	"time"
)

func TestStatedDate(t *testing.T) {
	for in, want := range map[string]string{
		" AWS (AS16509) Geofeed, lastupdated (rfc3339): 2026-08-22T16:53:12+00:00": "2026-08-22T16:53:12Z",
		" Geofeed generated 2026-08-21":                                            "2026-08-21T00:00:00Z",
		" Last modified: 2025-07-24 10:00:06.525037":                               "2025-07-24T10:00:06Z",
		" MY Geofeed,lastupdated on 2023-02-09":                                    "2023-02-09T00:00:00Z",
		" updated 2023-02-09T01:00:00+02:00":                                       "2023-02-08T23:00:00Z",
		" 2023-02-09":                                                              "", // of what?
		" updated 02/09/2023":                                                      "", // February or September
		" updated 2023-02-30":                                                      "",
		" updated 12023-02-09":                                                     "",
		" generated 2023-02-09, valid 2024-02-09":                                  "",
		" updated by RFC 8805":                                                     "",
	} {
		got := statedDate([]byte(in))
		text := ""
		if !got.IsZero() {
			text = got.Truncate(time.Second).Format(time.RFC3339)
		}
		if text != want {
			t.Errorf("%q: %q, want %q", in, text, want)
		}
	}
}
