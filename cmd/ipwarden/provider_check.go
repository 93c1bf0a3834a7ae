package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/config"
	"github.com/ipwarden/ipwarden/provider"
)

type providerCheckCmd struct {
	Files []string `arg:"" name:"file" help:"Providers files, or maps."`
	Ask   string   `placeholder:"ADDRESS" help:"Ask each provider about ADDRESS as well, such as 8.8.8.8: whether it takes the key."`
}

// Help is the long help.
func (providerCheckCmd) Help() string {
	return `Prints every mistake of providers files, with its line, its column and an excerpt
that shows no key, and asks nobody. The keys must be there: in the environment,
or in their files. A file with fields: in it is checked as a map.

With --ask each provider is asked one question, which may cost money: what it says
of the key, or that it does not answer, is told of each.

Examples:
  ipwarden provider check providers.yaml
  ipwarden provider check --ask 8.8.8.8 providers.yaml`
}

// checkPatience is how long a provider that is asked may take.
const checkPatience = 10 * time.Second

// Run checks each file.
func (c *providerCheckCmd) Run(ctx context.Context, e *env) error {
	var q question
	if c.Ask != "" {
		q = ask(c.Ask)
		if q.err == nil && !q.addr.IsValid() {
			q.err = fmt.Errorf("%q is a network; providers are asked about one address, such as %s", c.Ask, q.network.Addr())
		}
		if q.err == nil && !ipwarden.Public(q.addr) {
			q.err = fmt.Errorf("%s is set aside and not sent out; ask about another, such as 8.8.8.8", q.addr)
		}
		if q.err != nil {
			return usageError{q.err}
		}
	}
	failed := false
	for _, name := range c.Files {
		said, specs, err := checkProviders(name, e)
		if err != nil {
			failed = true
			fmt.Fprintln(e.stderr, err)
			continue
		}
		fmt.Fprintf(e.stdout, "%s: %s\n", name, said)
		for i := range specs {
			if c.Ask == "" {
				break
			}
			if err := checkKey(ctx, e, &specs[i], q); err != nil {
				failed = true
				fmt.Fprintf(e.stderr, "%s: %v\n", name, err)
			} else {
				fmt.Fprintf(e.stdout, "%s: %s answers\n", name, specs[i].Name)
			}
		}
	}
	if failed {
		return errReported
	}
	return nil
}

// checkKey asks a provider one question.
func checkKey(ctx context.Context, e *env, spec *config.ProviderSpec, q question) error {
	deps := quietDeps(e)
	deps.log = slog.New(slog.DiscardHandler) // it is told below
	src, closer, err := openProvider(spec, deps)
	if err != nil {
		return err
	}
	if closer != nil {
		defer closer.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	_, err = src.Lookup(ctx, q.addr)
	var said *provider.Error
	if errors.As(err, &said) && said.Kind == provider.Auth {
		said.RetryAt = time.Time{} // nobody asks again here
	}
	return err
}

// checkProviders says what is in a file, and returns the providers of one that has
// them.
func checkProviders(name string, e *env) (string, []config.ProviderSpec, error) {
	text, err := readSmall(name)
	if err != nil {
		return "", nil, err
	}
	if isMap(text) {
		m, err := provider.ReadMap(strings.NewReader(text), name)
		if err != nil {
			return "", nil, err
		}
		return "a map for " + m.Name(), nil, nil
	}
	specs, err := config.ReadProviders(strings.NewReader(text), name, e.getenv)
	if err != nil {
		return "", nil, err
	}
	names := make([]string, len(specs))
	for i := range specs {
		if _, closer, err := openProvider(&specs[i], quietDeps(e)); err != nil {
			return "", nil, fmt.Errorf("%s: %s: %w", name, specs[i].Name, err)
		} else if closer != nil {
			closer.Close()
		}
		names[i] = specs[i].Name
	}
	if len(names) == 0 {
		return "no providers", nil, nil
	}
	return strings.Join(names, ", "), specs, nil
}

// isMap tells a map from a providers file by what begins a line.
func isMap(text string) bool {
	return strings.HasPrefix(text, "fields:") || strings.Contains(text, "\nfields:")
}

// maxProvidersFile bounds a file of the commands.
const maxProvidersFile = 1 << 20

func readSmall(name string) (string, error) {
	f, err := openFile(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxProvidersFile+1))
	if err == nil && len(b) > maxProvidersFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxProvidersFile)
	}
	return string(b), err
}
