package feed

import (
	"bytes"
	"strings"
)

// asNames makes readable names of the texts that the autnums lists carry. They
// are the registries' "HANDLE - Description" (ARIN), "HANDLE Description"
// (RIPE, APNIC, AFRINIC) or the bare name (LACNIC), most with ", CC" behind
// them. What is certainly a handle before a name is taken off; where that is
// not certain the text stays as it is.
type asNames struct{ in interner }

// name returns the cleaned name, "" for systems that have none. The country is
// taken from the ", CC" at the end.
func (a *asNames) name(text []byte) string {
	text = clean(text)
	n := len(text)
	if n <= 4 || text[n-4] != ',' || text[n-3] != ' ' {
		return a.nameIn(text, "")
	}
	if cc := text[n-2:]; allUpper(cc) || string(cc) == "na" {
		return a.nameIn(bytes.TrimRight(text[:n-4], " ,"), string(cc))
	}
	return a.nameIn(text, "")
}

// nameIn is name for a list that keeps the country apart: there an SA at the
// end is a legal form. The country may be "".
func (a *asNames) nameIn(text []byte, country string) string {
	text = clean(text)
	switch string(text) {
	case "-Reserved AS-", "-Private Use AS-", "Not routed", "None", "UNKNOWN", "-":
		return ""
	}
	return a.in.text(dropHandle(text, country))
}

// Countries of two of the registries, for their habits.
const (
	arinCountries   = "US CA AG AI BB BL BM BS DM GD JM KN KY LC MF MQ PM PR TC VC VG VI UM"
	lacnicCountries = "AR AW BO BQ BR BZ CL CO CR CU CW DO EC GF GT GY HN HT MX NI PA PE PY SR SV SX TT UY VE"
)

// dropHandle takes the handle off, when it is certain that there is one and a
// name after it.
func dropHandle(text []byte, country string) []byte {
	i := bytes.IndexByte(text, ' ')
	if i < 2 || !isHandle(text[:i]) {
		return text
	}
	handle, rest := text[:i], bytes.TrimSpace(text[i:])
	after, dashed := bytes.CutPrefix(rest, []byte("- "))
	switch {
	case dashed:
		arin := country != "" && strings.Contains(arinCountries, country)
		if !arin && (country != "" || bytes.IndexByte(handle, '-') < 0) {
			return text // a brand, a dash and more of the name, as in Brazil
		}
		rest = bytes.TrimPrefix(after, append(bytes.Clone(handle), " - "...))
	case country != "" && strings.Contains(lacnicCountries, country):
		return text // LACNIC's texts have no handles
	case !repeats(handle, rest) && !marked(handle):
		return text
	}
	if len(rest) < 3 || !hasLetter(rest) {
		return text
	}
	return rest
}

// isHandle reports whether b looks like a handle: upper case, digits, hyphens,
// dots and underscores.
func isHandle(b []byte) bool {
	for _, c := range b {
		if !('A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return b[0] != '-'
}

// repeats reports whether the name begins with the handle, but for case and
// signs: "IPONE IP-ONE B.V.".
func repeats(handle, name []byte) bool {
	i := 0
	for _, c := range handle {
		if c == '-' || c == '_' || c == '.' {
			continue
		}
		for i < len(name) && (name[i] == '-' || name[i] == '_' || name[i] == '.' || name[i] == ' ') {
			i++
		}
		n := byte(0)
		if i < len(name) {
			n = name[i]
		}
		if 'a' <= n && n <= 'z' {
			n -= 'a' - 'A'
		}
		if n != c {
			return false
		}
		i++
	}
	// The repetition has to end where a word ends: "IT ITALIA" repeats nothing.
	return i == len(name) || !hasLetter(name[i:i+1])
}

// marked reports whether the handle says that it is one: AS-FOO, FOO-AS,
// FOO-ASN1, FOO-AS-AP, FOO-AP, FOO-IE.
func marked(handle []byte) bool {
	if bytes.HasPrefix(handle, []byte("AS-")) || bytes.HasPrefix(handle, []byte("ASN-")) {
		return true
	}
	i := bytes.LastIndexByte(handle, '-')
	if i < 2 {
		return false
	}
	last := handle[i+1:]
	switch {
	case string(last) == "AP":
		return true
	case parseCountry(last) != "" && allUpper(last) && i >= 3: // not WI-FI
		return string(last) != "IT" && string(last) != "TV" // words, too: FOO-IT
	}
	last = bytes.TrimRight(last, "0123456789")
	return string(last) == "AS" || string(last) == "ASN"
}

func allUpper(b []byte) bool {
	for _, c := range b {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}
