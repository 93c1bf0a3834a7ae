// Package disposable knows domains of e-mail addresses that are thrown away after use,
// and that nobody reads a second time. [Has] asks the list in the program, and [Read]
// reads one of the operator's own.
//
// The list is https://github.com/disposable-email-domains/disposable-email-domains, in
// the public domain (CC0 1.0, see LICENSE), of release 1.26.0 of the npm package
// disposable-email-domains-js.
package disposable

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
)

//go:embed domains.txt
var domains string

// Has reports whether the list in the program has a domain, or one that it is below.
func Has(domain string) bool { return List(domains).Has(domain) }

// A List is domains in small letters, sorted by their bytes, a line each. It costs
// nothing until it is asked.
type List string

// Has reports whether the list has a domain, or one that it is below.
func (l List) Has(domain string) bool {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	for range 10 { // so many names nobody has
		if l.exact(domain) {
			return true
		}
		_, above, ok := strings.Cut(domain, ".")
		if !ok {
			return false
		}
		domain = above
	}
	return false
}

// exact searches in halves. lo is where a line begins, and hi behind the end of one.
func (l List) exact(domain string) bool {
	lo, hi := 0, len(l)
	for lo < hi {
		begin := lo
		if i := strings.LastIndexByte(string(l[lo:(lo+hi)/2]), '\n'); i >= 0 {
			begin = lo + i + 1
		}
		end := len(l)
		if i := strings.IndexByte(string(l[begin:]), '\n'); i >= 0 {
			end = begin + i
		}
		switch strings.Compare(domain, string(l[begin:end])) {
		case 0:
			return true
		case -1:
			hi = begin
		default:
			lo = min(end+1, len(l))
		}
	}
	return false
}

// maxList bounds a list, bytes.
const maxList = 16 << 20

// Read reads a list: a domain a line, # begins a comment. All mistakes are told.
func Read(r io.Reader, name string) (List, error) {
	var all []string
	var wrong []string
	lines := bufio.NewScanner(io.LimitReader(r, maxList))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		text = strings.ToLower(strings.TrimSpace(text))
		switch {
		case text == "":
		case len(text) > 253 || !strings.Contains(text, ".") || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || text[0] == '.' || text[0] == '-':
			if len(wrong) < 20 {
				wrong = append(wrong, fmt.Sprintf("%s:%d: %.60q is no domain; one is mailinator.com, and such with other letters are written as xn--…", name, n, text))
			}
		default:
			all = append(all, text)
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if len(wrong) > 0 {
		return "", fmt.Errorf("%s", strings.Join(wrong, "\n"))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) == 0 {
		return "", nil
	}
	return List(strings.Join(all, "\n") + "\n"), nil
}
