package main

import (
	"fmt"
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
