package dataset

import "time"

// Info describes a dataset. It is read-only.
type Info struct {
	Date        time.Time  `json:"date"`
	Hash        string     `json:"hash"` // SHA-256 of all but the checksum in the file (so sha256sum says otherwise), hexadecimal
	Size        int64      `json:"size"` // bytes
	Licence     string     `json:"licence,omitempty"`
	Attribution string     `json:"attribution,omitempty"`
	Counts      Counts     `json:"counts"`
	Feeds       []FeedInfo `json:"feeds"`
}

// Counts says how much a dataset knows.
type Counts struct {
	Ranges4   int `json:"ipv4_ranges"` // ranges of IPv4 addresses with one answer
	Ranges6   int `json:"ipv6_ranges"`
	Answers   int `json:"answers"` // distinct ones
	ASNs      int `json:"asns"`
	Locations int `json:"locations"`
	// Coverage counts the addresses about which a thing is known: IPv4
	// addresses, and IPv6 networks of 48 bits.
	Coverage4 map[string]uint64 `json:"ipv4_coverage"`
	Coverage6 map[string]uint64 `json:"ipv6_coverage"`
}

// FeedInfo is one input in the manifest.
type FeedInfo struct {
	Name        string    `json:"name"`
	Title       string    `json:"title,omitempty"`
	URL         string    `json:"url,omitempty"`
	Date        time.Time `json:"date,omitzero"`
	SHA256      string    `json:"sha256,omitempty"`
	Licence     string    `json:"licence,omitempty"`
	Attribution string    `json:"attribution,omitempty"`
	Rows        int       `json:"rows"`
	Skipped     int       `json:"skipped"`
}

// manifest is the JSON section: what describes the whole, and small tables.
type manifest struct {
	Licence     string            `json:"licence,omitempty"`
	Attribution string            `json:"attribution,omitempty"`
	Counts      Counts            `json:"counts"`
	Feeds       []FeedInfo        `json:"feeds"`    // those that rows cite come first, in their order
	Inputs      int               `json:"inputs"`   // how many of them
	Listings    []string          `json:"listings"` // homepage of each input that is a blocklist
	Notes       []feedNote        `json:"notes"`    // what each input denies
	Countries   []country         `json:"countries"`
	Languages   []language        `json:"languages"`
	Zones       []string          `json:"zones"`
	Words       []string          `json:"words"` // kinds and registries
	From        map[string]string `json:"from"`  // which feed filled the reference facts
}

// feedNote is what the evidence needs to know of an input.
type feedNote struct {
	Traits         uint32   `json:"traits,omitempty"`
	Denies         uint32   `json:"denies,omitempty"`
	DeniesListings bool     `json:"denies_listings,omitempty"`
	Listing        string   `json:"listing,omitempty"`
	Name           string   `json:"name,omitempty"`
	Rank           int      `json:"rank"` // precedence, 0 first
	Origins        []uint32 `json:"origins,omitempty"`
}

type country struct {
	Code          string `json:"code"`
	Name          string `json:"name,omitempty"`
	ContinentCode string `json:"continent_code,omitempty"`
	Continent     string `json:"continent,omitempty"`
	EU            bool   `json:"eu,omitempty"`
	Currency      string `json:"currency,omitempty"`
	CurrencyName  string `json:"currency_name,omitempty"`
	Symbol        string `json:"symbol,omitempty"`
	Languages     []int  `json:"languages,omitempty"`
	Calling       string `json:"calling,omitempty"`
}

type language struct {
	Code   string `json:"code"`
	Name   string `json:"name,omitempty"`
	Native string `json:"native,omitempty"`
}
