package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/ipwarden/ipwarden/internal/shield"
)

type shieldSuggestCmd struct {
	Admin string `env:"IPWARDEN_ADMIN" default:"http://127.0.0.1:9090" placeholder:"URL" help:"The --admin-listen of a running server, such as unix:/run/ipwarden-admin.sock; default ${default}."`
	JSON  bool   `help:"As JSON."`
}

// Run says what a server sees.
func (c *shieldSuggestCmd) Run(ctx context.Context, e *env) error {
	s, err := c.status(ctx, e)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.stdout, s)
	}
	fmt.Fprintf(e.stdout, "%d requests were refused of late\n", s.Refused)
	for _, of := range []struct {
		title  string
		shares []shield.Share
	}{{"reasons", s.Reasons}, {"countries", s.Countries}, {"AS", s.ASNs}, {"addresses", s.Addresses}, {"user agents", s.Agents}} {
		for i, share := range of.shares {
			if i == 5 {
				break
			}
			title := of.title
			if i > 0 {
				title = ""
			}
			fmt.Fprintf(e.stdout, "  %-12s %3.0f %%  %s\n", title, share.Share*100, printable(share.Value))
		}
	}
	if len(s.Suggestions) == 0 {
		fmt.Fprintln(e.stdout, "nothing stands out")
	}
	for _, g := range s.Suggestions {
		fmt.Fprintf(e.stdout, "%s:\n  %s\n", printable(g.Why), printable(g.Command))
	}
	return nil
}

// status asks the server.
func (c *shieldSuggestCmd) status(ctx context.Context, e *env) (s shield.Status, err error) {
	at := strings.TrimPrefix(strings.TrimPrefix(c.Admin, "http://"), "https://")
	if u, wrong := url.Parse(c.Admin); !strings.HasPrefix(c.Admin, "unix:") && (wrong != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return s, usagef("--admin: %q is no URL; it is like http://127.0.0.1:9090 or unix:/run/ipwarden-admin.sock", c.Admin)
	}
	server := &gateClient{server: c.Admin}
	switch err := server.ask(ctx, e, http.MethodGet, "/shield/status.json", nil, &s); {
	case err == nil:
		return s, nil
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return s, fmt.Errorf("nothing listens at %s: what is refused is known to a server that runs, and told at its --admin-listen; start it with --admin-listen %s, or say --admin with where that is", c.Admin, at)
	case errors.Is(err, errNotFound):
		return s, fmt.Errorf("what listens at %s tells nothing of refusals: --admin names the --admin-listen of 'ipwarden serve --accounts', or of one with a policy", c.Admin)
	default:
		return s, fmt.Errorf("%w; --admin names the --admin-listen of a running server with accounts or a policy", err)
	}
}
