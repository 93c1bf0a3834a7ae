package api

import (
	"net/http"
	"strings"
)

// format is a form that an answer can take.
type format uint8

const (
	anyFormat format = iota
	formatJSON
	formatYAML
	formatCSV
	formatText
	formatHTML
	formatNDJSON
)

// mediaTypes holds the Content-Type of each format.
var mediaTypes = [...]string{
	formatJSON:   "application/json",
	formatYAML:   "application/yaml",
	formatCSV:    "text/csv; charset=utf-8",
	formatText:   "text/plain; charset=utf-8",
	formatHTML:   "text/html; charset=utf-8",
	formatNDJSON: "application/x-ndjson",
}

// bareTypes holds what each format is asked for by; the first is its name.
var bareTypes = [...][]string{
	formatJSON:   {"application/json", "text/json"},
	formatYAML:   {"application/yaml", "application/x-yaml", "text/yaml"},
	formatCSV:    {"text/csv"},
	formatText:   {"text/plain"},
	formatHTML:   {"text/html", "application/xhtml+xml"},
	formatNDJSON: {"application/x-ndjson", "application/ndjson", "application/jsonl"},
}

// What the routes offer; the first is the answer to "*/*".
var (
	offerAnswer = []format{formatJSON, formatYAML, formatText, formatCSV}
	offerUsage  = []format{formatJSON, formatYAML, formatCSV}
	offerBulk   = []format{formatJSON, formatNDJSON, formatCSV}
	offerText   = []format{formatText}
	offerHome   = []format{formatText, formatHTML, formatJSON, formatYAML, formatCSV}
	offerHTML   = []format{formatHTML}
	offerJSON   = []format{formatJSON}
	offerLines  = []format{formatNDJSON}
)

func formatNamed(s string) (format, bool) {
	switch s {
	case "json":
		return formatJSON, true
	case "yaml":
		return formatYAML, true
	case "csv":
		return formatCSV, true
	case "text":
		return formatText, true
	}
	return anyFormat, false
}

// choose settles the form of the answer: what ?format= says, else what Accept
// prefers among the offers (RFC 9110 section 12.5.1).
func (x *exchange) choose(asked format, offers []format) (format, *problem) {
	x.negotiated = len(offers) > 1
	if asked != anyFormat {
		for _, f := range offers {
			if f == asked {
				return f, nil
			}
		}
		return anyFormat, notAcceptable("?format", offers)
	}
	switch x.accept {
	case "", "*/*":
		return offers[0], nil
	case "application/json":
		if offers[0] == formatJSON {
			return formatJSON, nil
		}
	}
	if f := preferred(x.accept, offers); f != anyFormat {
		return f, nil
	}
	return anyFormat, notAcceptable("Accept: "+quoted(x.accept), offers)
}

func notAcceptable(asked string, offers []format) *problem {
	p := &problem{
		status: http.StatusNotAcceptable, slug: "not-acceptable", title: "No such form of the answer",
		example: exampleLookup + "?format=yaml",
	}
	for _, f := range offers {
		p.offers = append(p.offers, bareTypes[f][0])
	}
	p.detail = asked + " asks for none of the forms that this answer comes in: " + strings.Join(p.offers, ", ") + "."
	if len(offers) == 1 {
		p.example = map[format]string{
			formatText: exampleLookup + "/location.country_code", formatHTML: "GET /docs",
			formatJSON: "GET /openapi.json", formatNDJSON: exampleLines,
		}[offers[0]]
	}
	return p
}

// preferred returns the offer that an Accept header gives the highest weight;
// among equals the more specifically named one, then the first offered. An
// element that does not parse is passed over.
func preferred(accept string, offers []format) format {
	best, bestQ, bestRank := anyFormat, 0, -1
	for _, f := range offers {
		q, rank := weigh(accept, bareTypes[f])
		if q > bestQ || q == bestQ && q > 0 && rank > bestRank {
			best, bestQ, bestRank = f, q, rank
		}
	}
	return best
}

// How exactly an element of Accept names a type.
const (
	rankAny   = iota // */*
	rankRange        // text/*
	rankExact        // text/csv
)

// weigh returns the weight, in thousandths, of the most specific element of
// accept that matches one of the names, and how specific it is.
func weigh(accept string, names []string) (q, rank int) {
	rank = -1
	for element := range strings.SplitSeq(accept, ",") {
		name, rest, _ := strings.Cut(element, ";")
		name = strings.Trim(name, " \t")
		r := -1
		if name == "*/*" {
			r = rankAny
		} else if kind, ok := strings.CutSuffix(name, "/*"); ok {
			if own, _, _ := strings.Cut(names[0], "/"); strings.EqualFold(kind, own) {
				r = rankRange
			}
		} else {
			for _, n := range names {
				if strings.EqualFold(name, n) {
					r = rankExact
				}
			}
		}
		if r <= rank {
			continue
		}
		if w, ok := weight(rest); ok {
			q, rank = w, r
		}
	}
	return q, rank
}

// weight reads the q parameter among the parameters of an element; without one
// it is 1000.
func weight(parameters string) (int, bool) {
	for p := range strings.SplitSeq(parameters, ";") {
		k, v, _ := strings.Cut(strings.Trim(p, " \t"), "=")
		if !strings.EqualFold(k, "q") {
			continue
		}
		return qvalue(v)
	}
	return 1000, true
}

// qvalue reads 0, 1, 0.5, 0.123 (RFC 9110 section 12.4.2) in thousandths.
func qvalue(v string) (int, bool) {
	if v == "" || len(v) > 5 || v[0] != '0' && v[0] != '1' || len(v) > 1 && v[1] != '.' {
		return 0, false
	}
	q, unit := int(v[0]-'0')*1000, 100
	for i := 2; i < len(v); i++ {
		if v[i] < '0' || v[i] > '9' {
			return 0, false
		}
		q += int(v[i]-'0') * unit
		unit /= 10
	}
	return q, q <= 1000
}

// acceptsGzip reports whether Accept-Encoding asks for gzip.
func acceptsGzip(header string) bool {
	if header == "" {
		return false
	}
	any := false
	for element := range strings.SplitSeq(header, ",") {
		name, rest, _ := strings.Cut(element, ";")
		name = strings.Trim(name, " \t")
		q, ok := weight(rest)
		switch {
		case strings.EqualFold(name, "gzip") || strings.EqualFold(name, "x-gzip"):
			return ok && q > 0
		case name == "*":
			any = ok && q > 0
		}
	}
	return any
}
