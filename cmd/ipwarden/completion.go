package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"${enum}."`
}

// Help is the long help.
func (completionCmd) Help() string {
	return `Try it in this shell, or put the line where the shell reads it at its start:
  bash:  source <(ipwarden completion bash)
  zsh:   source <(ipwarden completion zsh)
  fish:  ipwarden completion fish | source`
}

// Run prints the script, made from the commands and flags themselves.
func (c *completionCmd) Run(e *env, model *kong.Application) error {
	write := map[string]func(io.Writer, *kong.Node) error{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	return write(e.stdout, model.Node)
}

// words are the commands below n and the flags that it takes.
func words(n *kong.Node) (commands []*kong.Node, flags []*kong.Flag) {
	for _, child := range n.Children {
		if !child.Hidden && child.Type == kong.CommandNode {
			commands = append(commands, child)
		}
	}
	for _, group := range n.AllFlags(true) {
		flags = append(flags, group...)
	}
	return commands, flags
}

// walk visits every command with its path, "" for the program itself.
func walk(n *kong.Node, path string, visit func(path string, n *kong.Node)) {
	visit(path, n)
	commands, _ := words(n)
	for _, c := range commands {
		walk(c, strings.TrimSpace(path+" "+c.Name), visit)
	}
}

// enumOf are the words that a flag or an argument takes, nil when it is free.
func enumOf(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return v.EnumSlice()
}

// choices are the words that may follow a path: commands, and what an argument
// may be.
func choices(n *kong.Node) []string {
	var all []string
	commands, _ := words(n)
	for _, c := range commands {
		all = append(all, c.Name)
	}
	for _, arg := range n.Positional {
		all = append(all, enumOf(arg)...)
	}
	return all
}

func bashCompletion(w io.Writer, root *kong.Node) error {
	var b strings.Builder
	b.WriteString(`# bash completion of ipwarden
_ipwarden() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path= word i
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case "$path $word" in
`)
	walk(root, "", func(path string, n *kong.Node) {
		if path != "" {
			parent, name := splitLast(path)
			fmt.Fprintf(&b, "\t\t%q) path=%q ;;\n", parent+" "+name, path)
		}
	})
	b.WriteString("\t\tesac\n\tdone\n\tcase \"$path $prev\" in\n")
	walk(root, "", func(path string, n *kong.Node) {
		_, flags := words(n)
		for _, f := range flags {
			if enum := enumOf(f.Value); enum != nil {
				fmt.Fprintf(&b, "\t%q) COMPREPLY=($(compgen -W %q -- \"$cur\")); return ;;\n", path+" --"+f.Name, strings.Join(enum, " "))
			} else if !f.IsBool() {
				fmt.Fprintf(&b, "\t%q) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", path+" --"+f.Name)
			}
		}
	})
	b.WriteString("\tesac\n\tcase \"$path\" in\n")
	walk(root, "", func(path string, n *kong.Node) {
		_, flags := words(n)
		all := choices(n)
		for _, f := range flags {
			all = append(all, "--"+f.Name)
		}
		fmt.Fprintf(&b, "\t%q) COMPREPLY=($(compgen -W %q -- \"$cur\")) ;;\n", path, strings.Join(all, " "))
	})
	b.WriteString("\tesac\n}\ncomplete -o default -F _ipwarden ipwarden\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func splitLast(path string) (parent, name string) {
	i := strings.LastIndexByte(path, ' ')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

// zshCompletion has zsh run the one for bash, which it is able to.
func zshCompletion(w io.Writer, root *kong.Node) error {
	if _, err := io.WriteString(w, "# zsh completion of ipwarden\nautoload -U +X compinit && compinit -C\nautoload -U +X bashcompinit && bashcompinit\n"); err != nil {
		return err
	}
	return bashCompletion(w, root)
}

func fishCompletion(w io.Writer, root *kong.Node) error {
	var b strings.Builder
	b.WriteString("# fish completion of ipwarden\ncomplete -c ipwarden -e\n")
	walk(root, "", func(path string, n *kong.Node) {
		condition := "__fish_use_subcommand"
		if path != "" {
			var seen []string
			for _, word := range strings.Fields(path) {
				seen = append(seen, "__fish_seen_subcommand_from "+word)
			}
			condition = strings.Join(seen, "; and ")
		}
		commands, flags := words(n)
		for _, c := range commands {
			fmt.Fprintf(&b, "complete -c ipwarden -n %s -f -a %s -d %s\n", fishQuote(condition), c.Name, fishQuote(c.Help))
		}
		for _, arg := range n.Positional {
			if enum := enumOf(arg); enum != nil {
				fmt.Fprintf(&b, "complete -c ipwarden -n %s -f -a %s\n", fishQuote(condition), fishQuote(strings.Join(enum, " ")))
			}
		}
		if path == "" || len(commands) > 0 {
			return
		}
		for _, f := range flags {
			fmt.Fprintf(&b, "complete -c ipwarden -n %s -l %s", fishQuote(condition), f.Name)
			switch enum := enumOf(f.Value); {
			case enum != nil:
				fmt.Fprintf(&b, " -x -a %s", fishQuote(strings.Join(enum, " ")))
			case !f.IsBool():
				b.WriteString(" -r")
			}
			fmt.Fprintf(&b, " -d %s\n", fishQuote(firstSentence(f.Help)))
		}
	})
	_, err := io.WriteString(w, b.String())
	return err
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func firstSentence(s string) string {
	if i := strings.IndexAny(s, ";."); i > 0 {
		return s[:i]
	}
	return s
}
