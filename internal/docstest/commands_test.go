package docstest

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	wordPattern = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	flagPattern = regexp.MustCompile(`^--[a-z][a-z0-9-]*`)
)

// mention is a command of the program that a document names.
type mention struct {
	where string
	words []string // what follows "ipwarden"
}

// mentions finds the commands in code blocks and code spans, and the flags
// that stand in a span by themselves.
func mentions(d *document) (commands []mention, flags map[string]string) {
	flags = map[string]string{}
	code, prose := d.blocks()
	add := func(line int, text string) {
		where := d.path + ":" + strconv.Itoa(line+1)
		for part := range strings.SplitSeq(strings.NewReplacer("$(", "|", "<(", "|", ")", " ").Replace(text), "|") {
			words := strings.Fields(part)
			if len(words) > 1 && words[0] == "$" {
				words = words[1:]
			}
			switch {
			case len(words) == 0:
			case words[0] == "ipwarden":
				commands = append(commands, mention{where, words[1:]})
			case flagPattern.MatchString(words[0]):
				for _, w := range words {
					if f := flagPattern.FindString(w); f != "" {
						flags[f] = where
					}
				}
			}
		}
	}
	for _, b := range code {
		for i, line := range b.lines {
			if strings.HasPrefix(line, "$ ") {
				add(b.first+i, line)
			}
		}
	}
	for i, line := range prose {
		for _, span := range codePattern.FindAllString(line, -1) {
			add(i, strings.ReplaceAll(strings.Trim(span, "`"), `\|`, " "))
		}
	}
	return commands, flags
}

// foreign are flags of other programs that the documents speak of.
func foreign(flag string) bool {
	return slices.Contains([]string{"--json", "--data-binary", "--unix-socket", "--tags"}, flag)
}

// TestCommandsExist asks the program for help about every command that the
// documents name, and looks for every flag in it.
func TestCommandsExist(t *testing.T) {
	program := build(t)
	dir := t.TempDir()
	help := map[string]string{}
	helpOf := func(path ...string) string {
		key := strings.Join(path, " ")
		if _, ok := help[key]; !ok {
			out, err := command(program, dir, append(slices.Clone(path), "--help")...).CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), strings.TrimSpace("Usage: ipwarden "+key)) {
				out = nil
			}
			help[key] = string(out)
		}
		return help[key]
	}
	all := helpOf()
	if helpOf("nonsense") != "" || helpOf("data", "nonsense") != "" {
		t.Fatal("there is help about a command that is none: this test cannot fail")
	}
	flags := map[string]string{}
	n := 0
	for _, d := range documents(t) {
		commands, own := mentions(d)
		for f, where := range own {
			flags[f] = where
		}
		for _, m := range commands {
			n++
			var path []string
			for _, w := range m.words {
				if !wordPattern.MatchString(w) || len(path) == 1 && !slices.Contains([]string{"data", "policy", "bench", "dnsbl", "provider", "ban", "shield", "cidr", "account", "key", "plan", "migrate", "worker", "mail", "simulate", "edge"}, path[0]) || len(path) == 2 {
					break
				}
				path = append(path, w)
			}
			text := helpOf(path...)
			if text == "" {
				t.Errorf("%s: there is no command ipwarden %s", m.where, strings.Join(path, " "))
				continue
			}
			if len(path) == 1 && path[0] == "ban" {
				text += helpOf("ban", "add") // which it is without another word
			}
			all += text
			for _, w := range m.words {
				if f := flagPattern.FindString(w); f != "" && !hasFlag(text, f) {
					t.Errorf("%s: ipwarden %s has no flag %s", m.where, strings.Join(path, " "), f)
				}
			}
		}
	}
	for f, where := range flags {
		if !hasFlag(all, f) && !foreign(f) {
			t.Errorf("%s: no command has the flag %s", where, f)
		}
	}
	if n < 20 {
		t.Errorf("found %d commands in the documents; there are more", n)
	}
}

func hasFlag(help, flag string) bool {
	for word := range strings.FieldsSeq(help) {
		if flagPattern.FindString(strings.TrimLeft(word, "[($")) == flag {
			return true
		}
	}
	return false
}
