// Package yamldoc reads the YAML that operators write, so that whatever is
// wrong with a file is said at once, each [Mistake] with its line, its column
// and an excerpt.
//
//	d, body := yamldoc.Parse(r, "ipwarden.yaml", yamldoc.MaxFile)
//	pairs, _ := d.Mapping(body, "the configuration")
//	…
//	return d.Err()
//
// [ParseParts] goes on where a file is no YAML. It refuses what makes a file read differently from how it looks: merge keys,
// anchors, aliases, tags, and more than one document.
package yamldoc
