package console

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// keyForm is what is said of a key, as it is typed.
type keyForm struct {
	New    bool
	Kind   string
	Mode   string
	Scopes []scopeBox

	Name, Tags, Networks, Origins, Endpoints, Limits, Expires *field
	Restricted                                                bool // something of it is set or wrong

	was time.Time // when the key expires by now
}

type scopeBox struct {
	Name, Label string
	On          bool
}

func newKeyForm(now time.Time) *keyForm {
	f := blankKeyForm(now)
	f.New, f.Kind, f.Mode = true, customer.Secret.String(), customer.Live.String()
	f.Scopes[0].On = true
	return f
}

func blankKeyForm(now time.Time) *keyForm {
	return &keyForm{
		Scopes: []scopeBox{
			{Name: customer.ScopeLookup, Label: "look up addresses"},
			{Name: customer.ScopeDecide, Label: "ask the gate"},
			{Name: customer.ScopeUsage, Label: "read the usage"},
			{Name: customer.ScopeKeys, Label: "look after the account's keys"},
		},
		Name:      &field{ID: "name", Label: "Name", Max: 100, Hint: "For you, such as the program that uses it."},
		Tags:      &field{ID: "tags", Label: "Tags", Max: 1200, Hint: "With commas between them."},
		Networks:  &field{ID: "networks", Label: "Addresses", Lines: 3, Max: 8000, Hint: "Only these may use it, one a line: 203.0.113.7 or 203.0.113.0/24. Empty is all."},
		Origins:   &field{ID: "origins", Label: "Web pages", Lines: 3, Max: 16000, Hint: "Only pages of these origins, one a line: https://shop.example or https://*.shop.example. A publishable key needs one."},
		Endpoints: &field{ID: "endpoints", Label: "Paths", Lines: 2, Max: 5000, Hint: "Only these and what is below, one a line: /v1/ip. Empty is all."},
		Limits:    &field{ID: "limits", Label: "Limits of its own", Lines: 2, Max: 1000, Hint: "Besides the plan's, one a line: 100/minute or 5000/day."},
		Expires:   &field{ID: "expires", Label: "Ends after", Type: "date", Hint: "The end of that day in UTC. Empty is never."},
	}
}

// keyFormOf is the form of a key that is there.
func keyFormOf(k *customer.Key, now time.Time) *keyForm {
	f := blankKeyForm(now)
	f.Kind, f.Mode = k.Kind.String(), k.Mode.String()
	scopes := k.Scopes
	if len(scopes) == 0 {
		scopes = []string{customer.ScopeLookup}
	}
	for _, s := range scopes {
		if i := slices.IndexFunc(f.Scopes, func(b scopeBox) bool { return b.Name == s }); i >= 0 {
			f.Scopes[i].On = true
		} else {
			f.Scopes = append(f.Scopes, scopeBox{s, s, true})
		}
	}
	f.Name.Value, f.Tags.Value = k.Name, strings.Join(k.Tags, ", ")
	var networks, limits []string
	for _, n := range k.Networks {
		networks = append(networks, n.String())
	}
	for _, l := range k.Limits {
		text := fmt.Sprintf("%d/%s", l.N, l.Per)
		if l.Name != l.Per.String() {
			text = l.Name + "=" + text
		}
		limits = append(limits, text)
	}
	f.Networks.Value, f.Limits.Value = strings.Join(networks, "\n"), strings.Join(limits, "\n")
	f.Origins.Value, f.Endpoints.Value = strings.Join(k.Origins, "\n"), strings.Join(k.Endpoints, "\n")
	if !k.Expires.IsZero() {
		f.Expires.Value = lastDay(k.Expires)
	}
	return f
}

// lastDay is the last day on which a key that ends at t can be used.
func lastDay(t time.Time) string { return t.UTC().Add(-time.Nanosecond).Format(time.DateOnly) }

// keep says when the key ends by now: what is not changed stays to the second.
func (f *keyForm) keep(was time.Time) { f.was = was }

func readKeyForm(v *visit, now time.Time) *keyForm {
	f := blankKeyForm(now)
	f.New, f.Kind, f.Mode = true, v.form("kind"), v.form("mode")
	for _, s := range v.r.PostForm["scope"] {
		if i := slices.IndexFunc(f.Scopes, func(b scopeBox) bool { return b.Name == s }); i >= 0 {
			f.Scopes[i].On = true
		} else if slices.Contains(account.Scopes(), s) {
			f.Scopes = append(f.Scopes, scopeBox{s, s, true})
		}
	}
	for _, x := range f.fields() {
		x.Value = v.form(x.ID)
		f.Restricted = f.Restricted || x != f.Name && x.Value != ""
	}
	return f
}

func (f *keyForm) fields() []*field {
	return []*field{f.Name, f.Tags, f.Networks, f.Origins, f.Endpoints, f.Limits, f.Expires}
}

// spec reads the form. What a key may have, the accounts say; here is only how it is
// typed. The error is an account.Invalid with all mistakes.
func (f *keyForm) spec() (s account.KeySpec, err error) {
	var wrong account.Invalid
	add := func(field, format string, args ...any) {
		wrong = append(wrong, account.Mistake{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	switch f.Kind {
	case customer.Secret.String():
	case customer.Publishable.String():
		s.Kind = customer.Publishable
	default:
		add("kind", "say whether the key is for a server or for web pages")
	}
	switch f.Mode {
	case customer.Live.String():
	case customer.Test.String():
		s.Mode = customer.Test
	default:
		add("mode", "say whether the key is live or a test key")
	}
	s.Name = f.Name.Value
	s.Tags = words(strings.ReplaceAll(f.Tags.Value, ",", "\n"))
	for _, b := range f.Scopes {
		if b.On {
			s.Scopes = append(s.Scopes, b.Name)
		}
	}
	if len(s.Scopes) == 0 {
		add("scopes", "say what the key may do")
	}
	for _, w := range words(f.Networks.Value) {
		p, err := netip.ParsePrefix(w)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(w); err == nil {
				p = netip.PrefixFrom(a.WithZone(""), a.BitLen())
			}
		}
		if err != nil {
			add("networks", "%.60q is no address and no network; one is 203.0.113.7 or 203.0.113.0/24", w)
			continue
		}
		s.Networks = append(s.Networks, p)
	}
	s.Origins, s.Endpoints = words(f.Origins.Value), words(f.Endpoints.Value)
	for _, w := range words(f.Limits.Value) {
		l, ok := parseLimit(w)
		if !ok {
			add("limits", "%.60q is no limit; one is 100/minute, of a second, minute, hour, day or month", w)
			continue
		}
		s.Limits = append(s.Limits, l)
	}
	if text := f.Expires.Value; text != "" {
		if !f.was.IsZero() && text == lastDay(f.was) {
			s.Expires = f.was
		} else if t, err := time.Parse(time.DateOnly, text); err == nil {
			s.Expires = t.AddDate(0, 0, 1)
		} else {
			add("expires", "%.40q is no day; one is 2027-06-30", text)
		}
	}
	if len(wrong) > 0 {
		return s, wrong
	}
	return s, nil
}

// maxWords bounds a list that is typed; the accounts have tighter bounds.
const maxWords = 500

// words are the lines of a text, without empty ones.
func words(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && len(all) < maxWords {
			all = append(all, line)
		}
	}
	return all
}

// parseLimit reads "100/minute" or "burst=5/second".
func parseLimit(text string) (l customer.Limit, ok bool) {
	rest := text
	if name, after, named := strings.Cut(text, "="); named {
		l.Name, rest = strings.TrimSpace(name), after
	}
	n, per, _ := strings.Cut(strings.ReplaceAll(rest, " ", ""), "/")
	var err, err2 error
	l.N, err = strconv.ParseInt(strings.NewReplacer(",", "", "_", "").Replace(n), 10, 64)
	l.Per, err2 = account.ParsePeriod(strings.ToLower(per))
	if l.Name == "" {
		l.Name = l.Per.String()
	}
	return l, err == nil && err2 == nil
}

// wrong puts mistakes where they belong, and returns all of them for the head of the
// page; nil is an error of another kind.
func (f *keyForm) wrong(err error) (all []string) {
	var invalid account.Invalid
	if !errors.As(err, &invalid) {
		for _, w := range wrongs(err) {
			all = append(all, sentence(w))
		}
		return all
	}
	f.Restricted = true
	for _, m := range invalid {
		text := sentence(m.Message)
		for _, x := range f.fields() {
			if x.ID == m.Field {
				x.Wrong = strings.TrimSpace(x.Wrong + " " + text)
				text = x.Label + ": " + text
				break
			}
		}
		all = append(all, text)
	}
	return all
}
