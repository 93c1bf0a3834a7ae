package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ipwarden/ipwarden/gate/ban"
)

// banCmd makes, lists and lifts the bans of a running gate.
type banCmd struct {
	Add  banAddCmd  `cmd:"" default:"withargs" help:"Ban networks (the default command)." example:"ipwarden ban add 203.0.113.7 --for 1h --reason 'sshd: 5 failures'"`
	List banListCmd `cmd:"" help:"List the bans that run." example:"ipwarden ban list"`
	Lift banLiftCmd `cmd:"" aliases:"remove" help:"Let networks in again before their time." example:"ipwarden ban lift 203.0.113.7"`
}

// Help is the long help.
func (banCmd) Help() string {
	return `ipwarden ban ADDR is ipwarden ban add ADDR; 'ipwarden ban add --help' has its flags.

Examples:
  ipwarden ban 203.0.113.7 --for 1h --reason 'sshd: 5 failures'
  ipwarden ban list
  ipwarden ban lift 203.0.113.7`
}

// serverFlags say which gate to speak to.
type serverFlags struct {
	Server           string `env:"IPWARDEN_SERVER" default:"http://127.0.0.1:8080" placeholder:"URL" help:"The gate to speak to, such as unix:/run/ipwarden.sock; default ${default}."`
	ServiceTokenFile string `env:"IPWARDEN_SERVICE_TOKEN_FILE" placeholder:"FILE" help:"Its service token; or IPWARDEN_SERVICE_TOKEN."`
}

func (f *serverFlags) client() *gateClient {
	return &gateClient{server: f.Server, tokenFile: f.ServiceTokenFile, most: askMostBans}
}

// banned is a ban as the gate tells it.
type banned struct {
	Network string    `json:"network"`
	Action  string    `json:"action"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	Reason  string    `json:"reason"`
	Limit   string    `json:"limit"`
}

// why is the reason for people.
func (b *banned) why() string {
	if b.Limit != "" {
		return "over the limit " + strconv.Quote(printable(b.Limit))
	}
	return printable(b.Reason)
}

type banAddCmd struct {
	Network []string `arg:"" name:"network" help:"Addresses and networks. An IPv6 address is banned with its /64, unless /128 is behind it."`
	For     string   `default:"1h" placeholder:"TIME" help:"How long: 90s, 10m, 7d, or a number of seconds; at most 30d, default ${default}."`
	Reason  string   `placeholder:"TEXT" help:"Why, for people."`
	Action  string   `enum:"block,challenge,throttle" default:"block" help:"${enum}; default ${default}."`
	Force   bool     `help:"Ban loopback, a trusted proxy and your own address too."`
	serverFlags
}

// Help is the long help.
func (banAddCmd) Help() string {
	return `Tells a running gate to shut networks out for a while. It must let you ask: over
its Unix socket, from a trusted proxy, or with its service token. What the policy
lets in by address without a limit is not shut out.

Examples:
  ipwarden ban 203.0.113.7 --for 1h --reason 'sshd: 5 failures'
  ipwarden ban 203.0.113.0/24 --action challenge --server unix:/run/ipwarden.sock
  ipwarden ban list
  ipwarden ban lift 203.0.113.7`
}

// Run bans one after the other; the first that cannot be ends it.
func (c *banAddCmd) Run(ctx context.Context, e *env) error {
	if _, err := ban.ParseTime(c.For); err != nil {
		return usagef("--for: %w", err)
	}
	for _, text := range c.Network {
		if _, err := ban.ParseNetwork(text); err != nil {
			return usageError{err}
		}
	}
	for _, text := range c.Network {
		key := "ip"
		if strings.Contains(text, "/") {
			key = "network"
		}
		question := map[string]any{key: text, "for": c.For, "reason": c.Reason, "action": c.Action, "force": c.Force}
		var b banned
		if err := c.client().ask(ctx, e, http.MethodPost, "/v1/bans", question, &b); err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s: %s until %s\n", printable(b.Network), printable(b.Action), b.Until.UTC().Format(time.RFC3339))
	}
	return nil
}

type banListCmd struct {
	IP string `name:"ip" placeholder:"ADDR" help:"Only bans of networks that have this address."`
	serverFlags
}

// Run lists the bans.
func (c *banListCmd) Run(ctx context.Context, e *env) error {
	path := "/v1/bans?limit=" + strconv.Itoa(ban.DefaultMost)
	if c.IP != "" {
		path += "&ip=" + url.QueryEscape(c.IP)
	}
	var answer struct {
		Bans []banned `json:"bans"`
	}
	if err := c.client().ask(ctx, e, http.MethodGet, path, nil, &answer); err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	for _, b := range answer.Bans {
		fmt.Fprintf(w, "%s\t%s\tuntil %s\t%s\n", printable(b.Network), printable(b.Action), b.Until.UTC().Format(time.RFC3339), b.why())
	}
	return w.Flush()
}

type banLiftCmd struct {
	Network []string `arg:"" name:"network" help:"Addresses and networks, as they were banned."`
	serverFlags
}

// Run lifts bans. What is not banned is no mistake: it may just have ended.
func (c *banLiftCmd) Run(ctx context.Context, e *env) error {
	for _, text := range c.Network {
		network, err := ban.ParseNetwork(text)
		if err != nil {
			return usageError{err}
		}
		var answer struct {
			Lifted   bool   `json:"lifted"`
			BannedBy string `json:"banned_by"`
		}
		if err := c.client().ask(ctx, e, http.MethodDelete, "/v1/bans/"+network.String(), nil, &answer); err != nil {
			return err
		}
		says := "lifted"
		if !answer.Lifted {
			says = "was not banned"
		}
		if answer.BannedBy != "" {
			says += "; still banned with " + printable(answer.BannedBy)
		}
		fmt.Fprintf(e.stdout, "%s: %s\n", network, says)
	}
	return nil
}
