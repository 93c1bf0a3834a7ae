package main

import (
	"maps"
	"time"
	_ "time/tzdata" // the rules of time zones, for machines that have none

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/embedded"
	"github.com/ipwarden/ipwarden/feed"
	"github.com/ipwarden/ipwarden/internal/cloudevents"
	"github.com/ipwarden/ipwarden/internal/eventfile"
	"github.com/ipwarden/ipwarden/internal/kafka"
	"github.com/ipwarden/ipwarden/internal/nats"
	"github.com/ipwarden/ipwarden/internal/postgres"
	"github.com/ipwarden/ipwarden/internal/redisstreams"
	"github.com/ipwarden/ipwarden/internal/sqs"
	"github.com/ipwarden/ipwarden/internal/webhook"
	"github.com/ipwarden/ipwarden/internal/worker"
	"github.com/ipwarden/ipwarden/mmdb"
	"github.com/ipwarden/ipwarden/risk"
)

// This file is the one table of kinds: what the program is made of, where
// there is a choice.

// formats are the parsers of feeds, by the name that the catalogue gives.
func formats() map[string]feed.Parser {
	all := feed.Formats()
	maps.Copy(all, mmdb.Formats())
	return all
}

// exporters write a dataset in other formats, by the name of --format.
func exporters() map[string]exporter {
	return map[string]exporter{
		"mmdb":  exportMMDB,
		"csv":   exportCSV,
		"jsonl": exportJSONLines,
	}
}

// workerKinds are where events of a worker come from and go to.
func workerKinds() []worker.Kind {
	return []worker.Kind{
		nats.EventsKind(), kafka.EventsKind(), redisstreams.Kind(), sqs.Kind(),
		cloudevents.Kind(), webhook.Kind(), postgres.EventsKind(), eventfile.Kind(),
	}
}

// scores are computed when an answer is given, from the Record and the time.
func scores(r ipwarden.Record, now time.Time) ipwarden.Scores { return risk.Scores(r, now) }

// embeddedDataset is the dataset in the binary, for who has no other.
func embeddedDataset() []byte { return embedded.Dataset() }

// unloadEmbedded gives memory back after the dataset in the binary was checked.
func unloadEmbedded() { embedded.Unload() }
