package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ipwarden/ipwarden/examples"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// policyCmd groups what is about policies.
type policyCmd struct {
	Init    policyInitCmd    `cmd:"" help:"Write a policy to start from." example:"ipwarden policy init policy.yaml"`
	Check   policyCheckCmd   `cmd:"" help:"Say every mistake of a policy." example:"ipwarden policy check policy.yaml"`
	Test    policyTestCmd    `cmd:"" help:"Run the tests of a policy." example:"ipwarden policy test policy.yaml"`
	Explain policyExplainCmd `cmd:"" help:"Say what a policy decides about a request, and why." example:"ipwarden policy explain --ip 8.8.8.8 --path /login"`
}

type policyInitCmd struct {
	File    string `arg:"" optional:"" default:"policy.yaml" help:"Where to write it; - is standard output. Default ${default}."`
	Example string `enum:"policy,localise" default:"policy" help:"Which one: ${enum}. policy has three tiers, an action for each kind of anonymity and limits for failed log-ins; localise greets visitors in their language."`
	Force   bool   `help:"Write over what is there."`
}

// Run writes a policy.
func (c *policyInitCmd) Run(e *env) error {
	text := examples.Policies()[c.Example+".yaml"]
	if c.File == "-" {
		_, err := io.WriteString(e.stdout, text)
		return err
	}
	how := os.O_CREATE | os.O_WRONLY | os.O_EXCL
	if c.Force {
		how = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	}
	f, err := os.OpenFile(c.File, how, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already; --force writes over it", c.File)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s is written; next:\n  ipwarden policy test %s\n  ipwarden serve --policy %s\n", c.File, c.File, c.File)
	return nil
}

type policyCheckCmd struct {
	Files      []string `arg:"" name:"file" help:"Policies."`
	CrawlerDNS bool     `name:"crawler-dns" env:"IPWARDEN_CRAWLER_DNS" help:"The gate runs with it: crawlers are verified by the names of their addresses too."`
	dirFlag
}

// Help is the long help.
func (policyCheckCmd) Help() string {
	return `Prints every mistake with its line, its column and an excerpt, and runs the
policy's own tests. The exit status is 0 when there is none. A note says where the
policy asks for crawlers that only --crawler-dns of the gate verifies.`
}

// Run checks each file.
func (c *policyCheckCmd) Run(e *env) error {
	failed := false
	for _, name := range c.Files {
		p, err := readPolicy(name, policyOptions(&c.dirFlag, e))
		if err != nil {
			failed = true
			fmt.Fprintln(e.stderr, err)
			continue
		}
		fmt.Fprintf(e.stdout, "%s: %s\n", name, contents(p))
		if note := byNameAlone(p); note != "" && !c.CrawlerDNS {
			fmt.Fprintf(e.stdout, "    note: %s\n", note)
		}
	}
	if failed {
		return errReported
	}
	return nil
}

// contents says what is in a policy.
func contents(p *compile.Policy) string {
	some := func(n int, one, many string) string {
		if n == 1 {
			return "1 " + one
		}
		return fmt.Sprintf("%d %s", n, many)
	}
	parts := []string{
		some(len(p.Program.Lists()), "list", "lists"), some(len(p.Program.Tiers()), "tier", "tiers"),
		some(len(p.Program.Rules()), "rule", "rules"), some(len(p.Program.Limits()), "limit", "limits"),
		some(len(p.Tests), "test passes", "tests pass"),
	}
	if len(p.Tests) == 0 {
		parts[len(parts)-1] = "no tests"
	}
	s := strings.Join(parts, ", ")
	if p.Foreign > 0 {
		s += fmt.Sprintf("; %s on CEL itself, which is slower", some(p.Foreign, "part of a condition runs", "parts of conditions run"))
	}
	return s
}

type policyTestCmd struct {
	File    string `arg:"" help:"The policy."`
	Verbose bool   `short:"v" help:"Name the tests that pass too."`
	dirFlag
}

// Run runs the tests of a policy.
func (c *policyTestCmd) Run(e *env) error {
	opts := policyOptions(&c.dirFlag, e)
	opts.SkipTests = true
	p, err := readPolicy(c.File, opts)
	if err != nil {
		return err
	}
	if len(p.Tests) == 0 {
		return fmt.Errorf("%s has no tests; give it some, such as\n  tests:\n    - {name: a data centre, facts: {security.is_hosting: true}, expect: block}", c.File)
	}
	failed := 0
	for _, r := range p.RunTests() {
		switch {
		case !r.OK():
			failed++
			fmt.Fprintf(e.stdout, "FAIL  %s:%d  %s\n", c.File, r.Test.Line, r.Test.Name)
			for _, w := range r.Wrong {
				fmt.Fprintf(e.stdout, "      %s\n", w)
			}
		case c.Verbose:
			fmt.Fprintf(e.stdout, "ok    %s:%d  %s: %v %s\n", c.File, r.Test.Line, r.Test.Name, r.Decision.Verdict, compile.Because(&r.Decision))
		}
	}
	if failed > 0 {
		fmt.Fprintf(e.stdout, "%d of %d tests failed\n", failed, len(p.Tests))
		return errReported
	}
	fmt.Fprintf(e.stdout, "%d tests passed\n", len(p.Tests))
	return nil
}
