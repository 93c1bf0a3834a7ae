package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/enrich"
)

// BenchmarkEnrich answers a million rows from the embedded dataset, in memory;
// rows/s is over all processors.
func BenchmarkEnrich(b *testing.B) {
	if len(embeddedDataset()) == 0 {
		b.Skip("there is no embedded dataset")
	}
	ds, err := openDataset("")
	if err != nil {
		b.Fatal(err)
	}
	two := ipwarden.FieldsOf(ipwarden.FieldCountryCode, ipwarden.FieldASNumber)
	const rows = 1_000_000
	for _, c := range []struct {
		name   string
		fields ipwarden.Fields
		row    string
		s      enrich.Stream
	}{
		{"list", two, "%[2]s\n", enrich.Stream{Format: enrich.List}},
		{"list default fields", enrich.DefaultFields(), "%[2]s\n", enrich.Stream{Format: enrich.List}},
		{"list jsonl", enrich.DefaultFields(), "%[2]s\n", enrich.Stream{Format: enrich.List, Output: enrich.AsJSON}},
		{"csv two columns", two, "%d,%s,12.50,2026-11-21T07:40:00Z\n", enrich.Stream{Format: enrich.CSV}},
		{"csv quoted", two, "%d,%s,\"a, b\",\"2026-11-21T07:40:00Z\"\n", enrich.Stream{Format: enrich.CSV}},
		{"jsonl", enrich.DefaultFields(), `{"n":%d,"client":{"ip":"%s"},"when":"2026-11-21T07:40:00Z"}` + "\n", enrich.Stream{Format: enrich.JSON, Column: "client.ip"}},
		{"log jsonl", enrich.DefaultFields(), `%[2]s - - [21/Nov/2026:07:40:00 +0000] "GET /articles/%[1]d HTTP/1.1" 200 5316 "https://example.com/" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"` + "\n", enrich.Stream{Format: enrich.Log, Output: enrich.AsJSON}},
		{"text", two, "%d: refused %s, as before\n", enrich.Stream{Format: enrich.Text}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			var in bytes.Buffer
			for i := range rows {
				fmt.Fprintf(&in, c.row, i, fmt.Sprintf("%d.%d.%d.%d", 1+r.IntN(223), r.IntN(256), r.IntN(256), r.IntN(256)))
			}
			e, err := enrich.New(enrich.Config{Source: ds, Fields: c.fields, Now: func() time.Time { return time.Unix(1795246800, 0) }})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(in.Len()))
			b.ResetTimer()
			for b.Loop() {
				if _, err := e.Run(b.Context(), bytes.NewReader(in.Bytes()), io.Discard, c.s); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
