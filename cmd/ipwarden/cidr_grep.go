package main

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/ipwarden/ipwarden/internal/cidr"
	"github.com/ipwarden/ipwarden/internal/iptext"
)

// inside is which networks are looked for.
type inside struct {
	File []string `short:"f" placeholder:"FILE" help:"Take the networks from lists; the first argument is none then. May be repeated."`
	maskFlag
}

// set makes the set of the networks, and returns the arguments behind them. A
// mistake in a list would leave addresses unseen, so each ends the command.
func (in *inside) set(e *env, args []string) (s *cidr.Set, rest []string, err error) {
	l := lists{env: e, mask: in.Mask}
	var all []cidr.Range
	add := func(r cidr.Range, _ []byte) error { all = append(all, r); return nil }
	if len(in.File) == 0 {
		if len(args) == 0 {
			return nil, nil, usagef("no networks: give them first, with commas between several, or lists of them with --file")
		}
		ranges, _, err := l.parse(args[0])
		if err != nil {
			return nil, nil, usageError{err}
		}
		return cidr.NewSet(ranges), args[1:], nil
	}
	if n := len(in.File); slices.Contains(in.File, "-") && (n > 1 || len(args) == 0 || slices.Contains(args, "-")) {
		return nil, nil, usagef("standard input can be read once only: as the list of networks, or as what is looked through")
	}
	for _, name := range in.File {
		if err := l.file(name, add); err != nil {
			_ = l.wrong(err)
		}
	}
	return cidr.NewSet(all), args, l.failure(errNoAnswer)
}

// ended is the exit status of a question: 0 for yes, 1 for no, 2 for trouble.
func ended(yes bool, l *lists, err error) error {
	switch trouble := l.failure(errNoAnswer); {
	case err != nil:
		fmt.Fprintf(l.stderr, "ipwarden: %v\n", err)
		return errNoAnswer
	case trouble != nil:
		return trouble
	case !yes:
		return errReported
	}
	return nil
}

type cidrContainsCmd struct {
	Args  []string `arg:"" optional:"" name:"networks-and-address" help:"Networks, with commas between several; then addresses, networks and ranges, or files that list them; none is standard input."`
	Quiet bool     `short:"q" help:"Print nothing; the exit status is the answer."`
	inside
}

// Help is the long help.
func (cidrContainsCmd) Help() string {
	return `Prints each, and the smallest network that holds all of it: - when none does,
"several" when it takes more than one. Exit status 0 when all are inside, 1 when
one is not, 2 when something was wrong.`
}

// Run answers about each.
func (c *cidrContainsCmd) Run(e *env) error {
	set, args, err := c.set(e, c.Args)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(e.stdout)
	l := lists{env: e, mask: c.Mask, flush: out.Flush}
	yes := true
	l.each(args, func(r cidr.Range, item []byte) error {
		answer := "-"
		if p, ok := set.Network(r); ok {
			answer = p.String()
		} else if set.Holds(r) {
			answer = "several"
		} else {
			yes = false
		}
		if c.Quiet {
			return nil
		}
		_, err := fmt.Fprintf(out, "%s\t%s\n", item, answer)
		return err
	})
	return ended(yes, &l, out.Flush())
}

type cidrMatchipCmd struct {
	Args []string `arg:"" optional:"" name:"networks-and-file" help:"Networks, with commas between several; then addresses, networks and ranges, or files that list them; none is standard input."`
	inside
}

// Help is the long help.
func (cidrMatchipCmd) Help() string {
	return `Prints the addresses, networks and ranges that are wholly inside, as they are
written. Exit status 0 when there was one, 1 when there was none, 2 when
something was wrong.`
}

// Run prints what is inside.
func (c *cidrMatchipCmd) Run(e *env) error {
	set, args, err := c.set(e, c.Args)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	l := lists{env: e, mask: c.Mask, flush: out.Flush}
	yes := false
	l.each(args, func(r cidr.Range, item []byte) error {
		if !set.Holds(r) {
			return nil
		}
		yes = true
		out.Write(item) // the next has its error
		return out.WriteByte('\n')
	})
	return ended(yes, &l, out.Flush())
}

type cidrGrepCmd struct {
	Args         []string `arg:"" optional:"" name:"networks-and-file" help:"Networks, with commas between several; then files of text; none is standard input."`
	InvertMatch  bool     `short:"v" help:"Print the other lines."`
	Count        bool     `short:"c" help:"Print how many lines there are, for each file."`
	OnlyMatching bool     `short:"o" help:"Print only the addresses that are inside, one a line."`
	Quiet        bool     `short:"q" help:"Print nothing; the exit status is the answer."`
	LineNumber   bool     `short:"n" help:"Print the number of each line before it."`
	NoFilename   bool     `help:"Do not print names of files before lines, which is done when there are several."`
	inside
}

// Help is the long help.
func (cidrGrepCmd) Help() string {
	return `Addresses are found wherever they stand by themselves: with a port, in brackets,
in quotes. Exit status 0 when there was a line, 1 when there was none, 2 when
something was wrong.`
}

// errEnough ends the reading of a file whose rest does not matter.
var errEnough = errors.New("enough")

// Run looks through the files.
func (c *cidrGrepCmd) Run(e *env) error {
	if c.OnlyMatching && c.InvertMatch {
		return usagef("--only-matching and --invert-match contradict each other: the other lines have no address to print")
	}
	set, files, err := c.set(e, c.Args)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		files = []string{"-"}
	}
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	l := lists{env: e, flush: out.Flush}
	yes := false
	for _, name := range files {
		g := grep{set: set, cmd: c, out: out, lists: &l}
		if len(files) > 1 && !c.NoFilename {
			g.prefix = name + ":"
			if name == "-" {
				g.prefix = "(standard input):"
			}
		}
		err := l.lines(name, g.line)
		yes = yes || g.count > 0
		if c.Quiet && yes {
			return nil
		}
		if err != nil {
			_ = l.wrong(err)
		} else if c.Count && !c.Quiet {
			fmt.Fprintf(out, "%s%d\n", g.prefix, g.count)
		}
	}
	return ended(yes, &l, out.Flush())
}

// grep looks through one file.
type grep struct {
	set    *cidr.Set
	cmd    *cidrGrepCmd
	out    *bufio.Writer
	lists  *lists
	prefix string
	count  uint64
	text   []byte
}

func (g *grep) line(line []byte) error {
	printed := false
	has := false
	for at := 0; ; {
		m, ok := iptext.Next(line, at)
		if !ok {
			break
		}
		at = m.End
		if !g.set.Has(m.Addr) {
			continue
		}
		has = true
		if !g.cmd.OnlyMatching || g.cmd.Count || g.cmd.Quiet {
			break
		}
		printed = true
		if err := g.print(line[m.Start:m.End]); err != nil {
			return err
		}
	}
	if has == g.cmd.InvertMatch {
		return nil
	}
	g.count++
	switch {
	case g.cmd.Quiet:
		return errEnough
	case printed || g.cmd.Count:
		return nil
	}
	return g.print(line)
}

func (g *grep) print(what []byte) error {
	g.text = append(g.text[:0], g.prefix...)
	if g.cmd.LineNumber {
		g.text = append(strconv.AppendInt(g.text, int64(g.lists.line), 10), ':')
	}
	g.out.Write(g.text) // the next have its error
	g.out.Write(what)
	return g.out.WriteByte('\n')
}
