package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/ipwarden/ipwarden/internal/config"
	"github.com/ipwarden/ipwarden/provider"
)

type providerListCmd struct {
	Map string `placeholder:"NAME" help:"Print a map that ships instead, to begin one of your own with."`
}

// Help is the long help.
func (providerListCmd) Help() string {
	return `Lists the kinds of provider that a providers file may name, and what each can be
told; then the maps that ship, for vendors without code.

Examples:
  ipwarden provider list
  ipwarden provider list --map ip-api >my-vendor.yaml`
}

// Run lists what there is.
func (c *providerListCmd) Run(e *env) error {
	if c.Map != "" {
		text, err := provider.MapText(c.Map)
		if err != nil {
			return usageError{err}
		}
		_, err = e.stdout.Write(text)
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tPLAN, THE DEFAULT FIRST\tWHAT IT IS")
	for _, kind := range config.ProviderKinds() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", kind, listed(provider.Plans(kind)), kindTitles()[kind])
	}
	fmt.Fprintf(w, "\nMAP\t\t\n")
	for _, name := range provider.MapNames() {
		fmt.Fprintf(w, "%s\t\tkind: generic, map: %s\n", name, name)
	}
	return w.Flush()
}

func listed(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

// kindTitles say what each kind of provider is.
func kindTitles() map[string]string {
	return map[string]string{
		"abuseipdb": "AbuseIPDB, check of one address",
		"dnsbl":     "block lists, asked by DNS",
		"generic":   "any other, by a map",
		"ipasis":    "IPASIS; plans are the shapes of its address",
		"ipdata":    "ipdata.co",
		"ipinfo":    "IPinfo",
		"ipwarden":  "another ipwarden",
		"maxmind":   "MaxMind GeoIP2 web service; needs account",
	}
}

type providerCheckCmd struct {
	Files []string `arg:"" name:"file" help:"Providers files, or maps."`
}

// Help is the long help.
func (providerCheckCmd) Help() string {
	return `Prints every mistake of providers files, with its line, its column and an excerpt
that shows no key, and asks nobody. The keys must be there: in the environment,
or in their files. A file with fields: in it is checked as a map.`
}

// Run checks each file.
func (c *providerCheckCmd) Run(e *env) error {
	failed := false
	for _, name := range c.Files {
		said, err := checkProviders(name, e)
		if err != nil {
			failed = true
			fmt.Fprintln(e.stderr, err)
			continue
		}
		fmt.Fprintf(e.stdout, "%s: %s\n", name, said)
	}
	if failed {
		return errReported
	}
	return nil
}

// checkProviders says what is in a file.
func checkProviders(name string, e *env) (string, error) {
	text, err := readSmall(name)
	if err != nil {
		return "", err
	}
	if isMap(text) {
		m, err := provider.ReadMap(strings.NewReader(text), name)
		if err != nil {
			return "", err
		}
		return "a map for " + m.Name(), nil
	}
	specs, err := config.ReadProviders(strings.NewReader(text), name, e.getenv)
	if err != nil {
		return "", err
	}
	names := make([]string, len(specs))
	for i := range specs {
		if _, closer, err := openProvider(&specs[i], quietDeps(e)); err != nil {
			return "", fmt.Errorf("%s: %s: %w", name, specs[i].Name, err)
		} else if closer != nil {
			closer.Close()
		}
		names[i] = specs[i].Name
	}
	if len(names) == 0 {
		return "no providers", nil
	}
	return strings.Join(names, ", "), nil
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
