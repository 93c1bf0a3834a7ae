package config

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

// Secret is a text that is not printed by accident, by no verb of fmt and in no
// log. string(s) is the text.
type Secret string

const hidden = "[secret]"

// Format writes what stands for the secret.
func (s Secret) Format(f fmt.State, _ rune) {
	if s != "" {
		_, _ = io.WriteString(f, hidden)
	}
}

// LogValue is what a log shows.
func (s Secret) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(s)) }

// MarshalText is what JSON and YAML show.
func (s Secret) MarshalText() ([]byte, error) { return []byte(fmt.Sprint(s)), nil }

// keyLine finds the key of a provider in a line, however much of it is YAML.
var keyLine = regexp.MustCompile(`(?:^|[\s{,])["']?key["']?\s*:`)

// secrets finds the lines of a file of which excerpts must not show all: those
// with a key that was written out, and those that go on with one.
func (d *providersFile) secrets(text string) {
	d.cuts = map[int]int{}
	inside := -1 // the indentation of the key whose value the line may go on with
	line := 0
	for s := range strings.SplitSeq(text, "\n") {
		line++
		indent := len(s) - len(strings.TrimLeft(s, " \t"))
		if inside >= 0 && indent > inside && strings.TrimSpace(s) != "" {
			d.cut(line, indent)
		} else if strings.TrimSpace(s) != "" {
			inside = -1
		}
		m := keyLine.FindStringIndex(s)
		if m == nil {
			continue
		}
		if strings.HasPrefix(strings.TrimLeft(s[m[1]:], ` "'`), "${") {
			continue
		}
		d.cut(line, utf8.RuneCountInString(s[:m[1]]))
		inside = len(s[:m[0]]) - len(strings.TrimLeft(s[:m[0]], " \t"))
	}
}

func (d *providersFile) cut(line, column int) {
	if had, ok := d.cuts[line]; !ok || column < had {
		d.cuts[line] = column
	}
}

// unknown reports a key that is none. Its value may be a secret all the same.
func (d *providersFile) unknown(p yamldoc.Pair, what string, known []string) {
	d.UnknownKey(p, what, known)
	if p.Token != nil && p.Token.Position != nil {
		d.cut(p.Token.Position.Line, p.Token.Position.Column-1+utf8.RuneCountInString(p.Key)+1)
	}
}

// hide cuts the excerpts of lines that may hold a key.
func (d *providersFile) hide(err error) error {
	all, ok := err.(Mistakes) //nolint:errorlint // it was made a line before
	if !ok {
		return err
	}
	for _, m := range all {
		at, secret := d.cuts[m.Line]
		switch {
		case !secret || m.Excerpt == "":
		case strings.Contains(m.Excerpt, "…"), at >= utf8.RuneCountInString(m.Excerpt):
			m.Excerpt = "" // a part of the line: where the cut is in it is not known
		default:
			m.Excerpt = yamldoc.Clip(m.Excerpt, at) + " …"
		}
	}
	return all
}
