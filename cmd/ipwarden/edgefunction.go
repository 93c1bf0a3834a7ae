package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ipwarden/ipwarden/internal/edge/cloudfront"
)

// edgeFunctionCmd writes the code of a CloudFront Function.
type edgeFunctionCmd struct {
	Allow        []string `placeholder:"NETWORK" help:"Networks that go on, whatever follows; @FILE has one a line."`
	Block        []string `placeholder:"NETWORK" help:"Networks that are refused; @FILE has one a line."`
	BlockCountry []string `placeholder:"CODE" help:"Countries that are refused, such as KP. The behaviour must add CloudFront-Viewer-Country."`
	Challenge    []string `placeholder:"NETWORK" help:"Networks that need a clearance; @FILE has one a line."`
	Secret       string   `default:"ipwarden_challenge_key" placeholder:"NAME" help:"The challenge key's name in the function's KeyValueStore. Default ${default}."`
	Risk         int      `default:"50" placeholder:"SCORE" help:"What tickets are made for and clearances must reach. Default ${default}."`
	Out          string   `placeholder:"FILE" help:"Where it goes. By default to the standard output."`
}

// Help is the long help.
func (edgeFunctionCmd) Help() string {
	return `Writes the code of a CloudFront Function, of the runtime cloudfront-js-2.0 and for
viewer requests. A function has 10 KB and no network: it knows lists of networks and
countries, and clearances. Code that is larger is refused, with its size.

Examples:
  ipwarden edge function --block 203.0.113.0/24,@drop.txt --block-country KP --out function.js
  ipwarden edge function --challenge 0.0.0.0/0,::/0 --risk 40`
}

// Run writes a function.
func (c *edgeFunctionCmd) Run(e *env) error {
	r := cloudfront.Rules{Countries: c.BlockCountry, Secret: c.Secret, Risk: c.Risk}
	var errs []error
	for _, l := range []struct {
		to   *[]string
		from []string
	}{{&r.Allow, c.Allow}, {&r.Block, c.Block}, {&r.Challenge, c.Challenge}} {
		for _, text := range l.from {
			name, file := strings.CutPrefix(text, "@")
			if !file {
				*l.to = append(*l.to, text)
				continue
			}
			lines, err := networksOf(name)
			errs = append(errs, err)
			*l.to = append(*l.to, lines...)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	code, err := r.Code()
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err = io.WriteString(e.stdout, code)
		return err
	}
	if err := writeWhole(c.Out, func(to *os.File) error { _, err := to.WriteString(code); return err }); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: %d bytes of %d that CloudFront takes\n", c.Out, len(code), cloudfront.Most)
	return nil
}

// networksOf reads the lines of a file; what is behind # or ; on one is a comment.
func networksOf(name string) (all []string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewScanner(io.LimitReader(f, 1<<20)) // more never fits
	for in.Scan() {
		line := in.Text()
		if i := strings.IndexAny(line, "#;"); i >= 0 {
			line = line[:i]
		}
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all, in.Err()
}
