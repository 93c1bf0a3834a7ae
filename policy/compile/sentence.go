package compile

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/common/types"

	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
)

var (
	undefinedField = regexp.MustCompile(`undefined field '([^']*)'`)
	undeclared     = regexp.MustCompile(`undeclared reference to '([^']*)'`)
)

// typeName is a type of CEL for a sentence.
func typeName(t *types.Type) string {
	switch {
	case t.Kind() == types.StructKind:
		return "a group of fields"
	case t.Kind() == types.ListKind:
		return "a list"
	}
	return article(t.String())
}

func article(word string) string {
	if word == "int" {
		return "an int"
	}
	return "a " + word
}

func hint(want policy.Type, got *types.Type) string {
	switch {
	case want == policy.Bool && got.IsExactType(types.StringType):
		return `; compare it, as in ip.location.country_code == "SE"`
	case want == policy.Bool:
		return "; compare it, as in risk.score >= 70"
	case want == policy.String && got.IsExactType(types.IntType):
		return "; turn it into text with string(…)"
	}
	return ""
}

// explain turns CEL's sentence into one that says what works.
func (c *conditions) explain(p problem, text string, counts bool) string {
	if m := undeclared.FindStringSubmatch(p.what); m != nil {
		known := []string{"ip", "request", "risk", "client", "crawler", "lists", "account", "tier"}
		if counts {
			known = []string{"response", "outcome"}
			if word, _, _ := strings.Cut(m[1], "."); word == "ip" || word == "request" || word == "risk" || word == "account" || word == "crawler" || word == "client" || word == "tier" || word == "lists" {
				return fmt.Sprintf("count sees what became of the request, not %s: put that into when, and here response.status or outcome", word)
			}
		} else if m[1] == "response" || m[1] == "outcome" {
			return m[1] + " is known when the request is over: only count of a limit can ask for it"
		}
		what := fmt.Sprintf("there is no %q here", m[1])
		if near := yamldoc.Nearest(m[1], known); near != "" {
			return what + fmt.Sprintf("; did you mean %q?", near)
		}
		if strings.HasPrefix(text[p.at:], m[1]+"(") || strings.HasPrefix(text[p.at:], "(") {
			return what + ": no function has that name"
		}
		return what + "; there are " + strings.Join(known, ", ") + "; text stands in quotes"
	}
	if m := undefinedField.FindStringSubmatch(p.what); m != nil {
		return c.noField(m[1], text, p.at)
	}
	if strings.HasPrefix(p.what, "found no matching overload for") {
		return noOverload(p.what)
	}
	if strings.HasPrefix(p.what, "Syntax error:") {
		return "this is not CEL:" + strings.TrimPrefix(p.what, "Syntax error:")
	}
	return p.what
}

// noField names the field that may have been meant: one of the same group, or
// of the same last word.
func (c *conditions) noField(name, text string, at int) string {
	// CEL points at the dot before the name.
	begin := at
	for begin > 0 && (isWord(text[begin-1]) || text[begin-1] == '.') {
		begin--
	}
	group := text[begin:at]
	var known, siblings []string
	for full := range c.fields() {
		known = append(known, full)
		if rest, ok := strings.CutPrefix(full, group+"."); ok {
			word, _, _ := strings.Cut(rest, ".")
			siblings = append(siblings, word)
		}
	}
	if group == "lists" {
		if len(c.lists) == 0 {
			return fmt.Sprintf("there is no list %q: the policy has no lists", name)
		}
		if near := yamldoc.Nearest(name, c.lists); near != "" {
			return fmt.Sprintf("there is no list %q; did you mean lists.%s?", name, near)
		}
		return fmt.Sprintf("there is no list %q; there are %s", name, strings.Join(c.lists, ", "))
	}
	what := fmt.Sprintf("there is no field %s.%s", group, name)
	if near := yamldoc.Nearest(name, siblings); near != "" {
		return what + fmt.Sprintf("; did you mean %s.%s?", group, near)
	}
	for _, k := range known {
		if k[strings.LastIndexByte(k, '.')+1:] == name {
			return what + fmt.Sprintf("; did you mean %s?", k)
		}
	}
	if near := yamldoc.Nearest(group+"."+name, known); near != "" {
		return what + fmt.Sprintf("; did you mean %s?", near)
	}
	return what
}

func isWord(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

var overload = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '([^']*)'`)

// noOverload says in words which types do not go together.
func noOverload(what string) string {
	m := overload.FindStringSubmatch(what)
	if m == nil {
		return what
	}
	op := strings.Trim(m[1], "_")
	operands := strings.Trim(strings.ReplaceAll(m[2], "ipwarden.", ""), "()")
	sentence := fmt.Sprintf("%s does not go with (%s)", op, operands)
	switch {
	case strings.Contains(m[2], ipType+","):
		sentence += "; an address is compared by ip.within(\"10.0.0.0/8\"), ip in lists.NAME or ip.address == \"192.0.2.1\""
	case m[2] == "(int, string)" || m[2] == "(string, int)":
		sentence += "; numbers stand without quotes, texts with them"
	case m[2] == "(double, int)" || m[2] == "(int, double)":
		sentence += "; write the number with a point, as in 59.0"
	}
	return sentence
}

// fields yields every name that a condition can ask for.
func (c *conditions) fields() map[string]bool {
	all := map[string]bool{"ip.address": true, "response.status": true}
	for name, r := range roots() {
		for f := range r.fields {
			all[name+"."+f] = true
		}
	}
	for f := range allFields() {
		all["ip."+f] = true
	}
	for _, l := range c.lists {
		all["lists."+l] = true
	}
	return all
}
