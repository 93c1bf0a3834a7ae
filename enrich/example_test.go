package enrich_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/enrich"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

// A consumer of one's own gives a batch of events to Batch; an event without an
// address has a Reason, for a dead-letter queue.
func ExampleEnricher_Batch() {
	e, err := enrich.New(enrich.Config{Source: ipwardentest.Sample()}) // a dataset is one
	if err != nil {
		panic(err)
	}
	events := []enrich.Event{{Address: "8.8.8.8:53"}, {Address: "localhost"}}
	for i, r := range e.Batch(context.Background(), nil, events) {
		if r.Reason != "" {
			fmt.Println(events[i].Address, "has no answer:", r.Reason)
			continue
		}
		fmt.Println(events[i].Address, r.Record.CountryCode(), r.Record.ASNumber())
	}
	// Output:
	// 8.8.8.8:53 US 15169
	// localhost has no answer: not_address
}

func ExampleEnricher_Run() {
	e, err := enrich.New(enrich.Config{Source: ipwardentest.Sample(), Fields: ipwarden.FieldsOf(ipwarden.FieldCountryCode)})
	if err != nil {
		panic(err)
	}
	orders := "id,ip\n1,8.8.8.8\n2,unknown\n"
	pos, err := e.Run(context.Background(), strings.NewReader(orders), os.Stdout, enrich.Stream{})
	fmt.Println(pos.Counts.Rows, pos.Counts.Malformed, err)
	// Output:
	// id,ip,location.country_code,error
	// 1,8.8.8.8,US,
	// 2,unknown,,not_address
	// 2 1 <nil>
}
