package main

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden/dataset"
)

type noticeCmd struct {
	File string `arg:"" optional:"" help:"The dataset; default the one that would be used."`
	dataFlags
}

// Help is the long help.
func (noticeCmd) Help() string {
	return `Prints what must go with every copy of a dataset: its licence, every feed in it
with licence, credit and date, and the texts that those licences want to be
passed on.

Example:
  ipwarden data notice world.ipw >NOTICE`
}

// Run prints the notice of one dataset.
func (c *noticeCmd) Run(e *env) error {
	ds, _, err := c.named(e, c.File)
	if err != nil {
		return err
	}
	info := ds.Info()
	_, err = fmt.Fprint(e.stdout, licenceText(&info))
	return err
}

// licenceTexts are the texts that have to be passed on, FILE named for the
// SPDX identifier.
//
//go:embed licences/*.txt
var licenceTexts embed.FS

// licenceText is what must go with every copy of the data. It follows from the
// manifest alone: the same dataset gives the same text.
func licenceText(info *dataset.Info) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Data of %s, made by ipwarden (https://github.com/ipwarden/ipwarden).\nLicence: %s\nSHA-256 of its content: %s\n\n", day(info.Date), info.Licence, info.Hash)
	if info.Licence == openLicence {
		b.WriteString(`The dataset as a whole is under the Creative Commons Attribution-ShareAlike 4.0
International licence, https://creativecommons.org/licenses/by-sa/4.0/. Who
passes it on, or what was made from it, keeps this notice with it. The code of
ipwarden is a work of its own under Apache-2.0.

`)
	} else {
		b.WriteString(`Not all of this may be passed on: the licence of each feed below says. A dataset
built with --embed-only holds only what may.

`)
	}
	b.WriteString(`It was made from the feeds below. Their rows were read, checked against each
other, merged and packed: none is here as it was published. Their publishers
endorse neither ipwarden nor this dataset, and give no warranty. "NONE" is a list
that its publisher, mostly an operator of what it lists, puts out without a
licence.

Made from (name; title; source; licence; credit; date of the data):
`)
	for _, f := range info.Feeds {
		fmt.Fprintf(&b, "- %s", f.Name)
		for _, s := range []string{f.Title, f.URL, f.Licence, f.Attribution} {
			if s != "" {
				fmt.Fprintf(&b, "; %s", s)
			}
		}
		fmt.Fprintf(&b, "; data of %s\n", day(f.Date))
	}
	for _, id := range licencesOf(info) {
		if why := licenceNote(id); why != "" {
			fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", id, strings.Repeat("-", len(id)), why)
			if lines := copyrightLines(info, id); len(lines) > 0 {
				fmt.Fprintf(&b, "\n%s\n", strings.Join(lines, "\n"))
			}
			if text := licenceFile(id); text != "" {
				fmt.Fprintf(&b, "\n%s", text)
			}
		}
	}
	return b.String()
}

// licencesOf lists the licences of the feeds, in the order of their names.
func licencesOf(info *dataset.Info) []string {
	var ids []string
	for _, f := range info.Feeds {
		ids = append(ids, f.Licence)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// licenceNote says what a licence asks for; "" when it asks for nothing beyond
// what the list of feeds gives.
func licenceNote(id string) string {
	switch id {
	case "MIT":
		return "The copyright lines and the permission notice go with every copy."
	case "BSD-3-Clause":
		return "The copyright lines, the conditions and the disclaimer go with every copy."
	case "Apache-2.0":
		return "The text of the licence goes with every copy; what was taken was changed."
	case "CDLA-Permissive-2.0":
		return "The text of the agreement goes with the data."
	case "Unicode-3.0":
		return "The copyright and permission notice goes with the data."
	case "CC-BY-4.0":
		return "Licence: https://creativecommons.org/licenses/by/4.0/. The credit goes with the data, and\nthat it was changed: it was joined with other feeds and reduced to what answers need."
	case "CC-BY-SA-4.0":
		return "Licence: https://creativecommons.org/licenses/by-sa/4.0/. The credit goes with the data, and\nthat it was changed; what is made from it stays under the same licence."
	case spamhausLicence:
		return "Terms: https://www.spamhaus.org/drop/terms/. The copyright line and the date stay with\nthe data."
	case "LicenseRef-RIR-Statistics":
		return "Published by the regional Internet registries in their common statistics exchange\nformat, as is and without warranty."
	}
	return ""
}

const spamhausLicence = "LicenseRef-Spamhaus-DROP"

// copyrightLines are the lines that a licence wants to see kept, each with the
// feeds it is about.
func copyrightLines(info *dataset.Info, id string) []string {
	var lines []string
	feeds := map[string][]string{}
	for _, f := range info.Feeds {
		if f.Licence != id {
			continue
		}
		line := copyrightOf(&f)
		if line == "" {
			continue
		}
		if feeds[line] == nil {
			lines = append(lines, line)
		}
		feeds[line] = append(feeds[line], f.Name)
	}
	for i, line := range lines {
		lines[i] = fmt.Sprintf("%s (%s)", line, strings.Join(feeds[line], ", "))
	}
	return lines
}

// copyrightOf is the copyright line of a feed under a licence that wants it
// kept. It is what the LICENSE file of the feed's repository says, or its page;
// a feed that is not in this table, such as an operator's own, is credited with
// the catalogue's words.
func copyrightOf(f *dataset.FeedInfo) string {
	switch f.Licence {
	case spamhausLicence: // the last row of each file says so, with the year of its time
		return fmt.Sprintf("(c) %d The Spamhaus Project SLU, data of %s", f.Date.Year(), day(f.Date))
	case "MIT", "BSD-3-Clause":
	default:
		return ""
	}
	switch f.URL {
	case "https://github.com/X4BNet/lists_vpn":
		return "Copyright (c) 2024 X4B (Mathew Heard)"
	case "https://github.com/hadiasghari/pyasn":
		return "Copyright (c) 2014 Hadi Asghari"
	case "https://github.com/brianhama/bad-asn-list":
		return "Copyright (c) 2025 Brian Hamachek"
	case "https://github.com/alireza-rezaee/tor-nodes":
		return "Copyright (c) 2024 Alireza-Rezaee"
	case "https://github.com/hroost/icloud-private-relay-iplist":
		return "Copyright (c) 2023 hroost"
	case "https://github.com/nextdns/icloud-private-relay-mmdb":
		return "Copyright (c) 2024 NextDNS"
	case "https://github.com/monosans/proxy-list":
		return "Copyright (c) 2022 monosans"
	case "https://github.com/O-X-L/risk-db-lists":
		return "Copyright (c) 2025, Pascal Rath"
	case "https://rules.emergingthreats.net/":
		return "Copyright (c) 2003-2021, Emerging Threats. All rights reserved."
	}
	return f.Attribution
}

// licenceFile is the text of a licence that has to be passed on, or "".
func licenceFile(id string) string {
	text, err := fs.ReadFile(licenceTexts, "licences/"+id+".txt")
	if err != nil {
		return ""
	}
	return strings.Trim(string(text), "\n") + "\n"
}
