package edge_test

import (
	"testing"

	"github.com/ipwarden/ipwarden/internal/edge"
	"github.com/ipwarden/ipwarden/internal/edge/decide"
	"github.com/ipwarden/ipwarden/internal/edge/edgetest"
)

// The engine, as Go, decides as the gate does with the whole dataset.
func TestEngineIsTheGate(t *testing.T) {
	ds := edgetest.World(t)
	texts, r := edgetest.Policies(t)
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			p := edgetest.Read(t, name, text)
			parts, err := edge.Compile(&edge.Config{Policy: p, Name: name, Dataset: ds})
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			e, err := decide.New(decide.Config{Program: parts.Program, Dataset: parts.Dataset, Now: edgetest.Moment})
			if err != nil {
				t.Fatal(err)
			}
			o := edgetest.NewOracle(t, p, ds, parts.Told)
			wrong := 0
			var b []byte
			for _, q := range edgetest.Questions(t, ds, r, 15_000) {
				want := o.Ask(&q)
				b = q.Append(b[:0], edgetest.Moment, 0, 0, 0)
				got, err := edgetest.ReadVerdict(e.Decide(b))
				if err != nil || got != want {
					if wrong++; wrong <= 5 {
						t.Errorf("%+v:\n got %+v, %v\nwant %+v", q, got, err, want)
					}
				}
			}
			if wrong > 0 {
				t.Errorf("%d answers are others; the policy:\n%s", wrong, text)
			}
		})
	}
}
