package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/examples"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/policy/compile"
)

type policyExplainCmd struct {
	Policy  string            `env:"IPWARDEN_POLICY" placeholder:"FILE" help:"The policy; default policy.yaml of the data directory, else the one that policy init writes."`
	IP      string            `name:"ip" placeholder:"ADDR" help:"The client's address."`
	Peer    string            `placeholder:"ADDR" help:"Instead of --ip: who connects. The client is then found as the gate finds it, from --header and --trusted-proxies."`
	Method  string            `default:"GET" help:"Of the request; default ${default}."`
	Scheme  string            `enum:"http,https" default:"https" help:"${enum}."`
	Host    string            `default:"example.com" help:"Of the request; default ${default}."`
	Path    string            `default:"/" help:"Of the request, with its query; default ${default}."`
	Header  []string          `placeholder:"NAME:VALUE" sep:"none" help:"A header field; may be repeated."`
	Account map[string]string `placeholder:"KEY=VALUE" help:"What the application says of the account; may be repeated."`
	Crawler string            `enum:"auto,none,verified,pending,failed,unanswered" default:"auto" help:"How far a claim to be a crawler was checked: ${enum}. auto checks that of the User-Agent by the published ranges."`
	Cleared bool              `help:"The request brings a valid clearance."`

	CrawlerDNS       bool   `name:"crawler-dns" env:"IPWARDEN_CRAWLER_DNS" help:"Check a claim by the DNS names of the address too, now: DNS is asked."`
	CrawlerDNSServer string `name:"crawler-dns-server" env:"IPWARDEN_CRAWLER_DNS_SERVER" placeholder:"ADDR" help:"With --crawler-dns: ask this server; default those of the system."`
	Server           string `env:"IPWARDEN_SERVER" placeholder:"URL" help:"Ask a running gate too what it would decide now, and what is left of each limit: http://127.0.0.1:8090 or unix:/run/ipwarden.sock."`
	ServiceTokenFile string `env:"IPWARDEN_SERVICE_TOKEN_FILE" placeholder:"FILE" help:"With --server: its service token; or IPWARDEN_SERVICE_TOKEN."`

	TrustedProxies []string `env:"IPWARDEN_TRUSTED_PROXIES" sep:"," placeholder:"CIDR,..." help:"With --peer: believe what these say about the client."`
	ClientIPHeader string   `env:"IPWARDEN_CLIENT_IP_HEADER" placeholder:"NAME" help:"With --peer: the one header that says who the client is; default X-Forwarded-For."`
	TrustedHops    int      `env:"IPWARDEN_TRUSTED_HOPS" placeholder:"N" help:"With --peer, instead of the proxies' addresses: how many stand in front."`
	Behind         string   `env:"IPWARDEN_BEHIND" placeholder:"NAME" help:"With --peer: what stands in front: nginx, haproxy, alb, cloudfront, cloudflare, fastly, fly or vercel; sets header and proxies."`
	dataFlags
}

// Help is the long help.
func (policyExplainCmd) Help() string {
	return `Prints where the address is from, what is known of it and who says so, what that
adds up to, which parts of the policy have something to say, which one decides,
and the smallest change that would give another verdict. Nothing is counted.
With --server a running gate says what is left of each limit, and decides too:
what would give another verdict is then said of its verdict.

Examples:
  ipwarden policy explain --ip 8.8.8.8 --path /login
  ipwarden policy explain --policy policy.yaml --ip 8.8.8.8 --method POST --account billing_country=SE
  ipwarden policy explain --ip 8.8.8.8 --path /login --server http://127.0.0.1:8090
  ipwarden policy explain --peer 10.0.0.5 --trusted-proxies 10.0.0.0/8 --header 'X-Forwarded-For: 8.8.8.8'
  ipwarden policy explain --peer 192.0.2.9 --trusted-hops 2 --header 'X-Forwarded-For: 8.8.8.8, 192.0.2.80'`
}

// Run explains one decision.
func (c *policyExplainCmd) Run(ctx context.Context, e *env) error {
	p, name, err := c.policy(e)
	if err != nil {
		return err
	}
	data, err := c.open(e)
	if err != nil {
		return err
	}
	in, found, err := c.input(p, data)
	if err != nil {
		return err
	}
	rec, err := data.Lookup(ctx, in.Client)
	if err != nil {
		return err
	}
	in.Record, in.Now = rec, e.now()
	claim, err := c.crawler(ctx, in, data)
	if err != nil {
		return err
	}
	in.Safe = in.Unverified || rec.Traits().Has(ipwarden.Bogon) && in.ClientStatus != "internal"
	var live *liveDecision
	if c.Server != "" && !in.Unverified {
		if live, err = c.ask(ctx, e, in); live != nil {
			c.as(live, in)
		}
	}
	out := bufio.NewWriter(e.stdout)
	w := &explainWriter{out: out, palette: colours(e), claim: claim}
	x := p.Explain(in)
	w.write(in, found, x)
	switch {
	case c.Server == "" || err != nil:
		w.otherwise(x.Flips)
	case live == nil:
		w.otherwise(x.Flips)
		w.line("now", "%s is not asked: it decides about clients that are known", c.Server)
	default:
		w.live(c.Server, live)
		w.otherwiseThere(p, in, x, live)
	}
	w.line("file", "%s", name)
	return errors.Join(out.Flush(), err)
}

// policy reads the policy that is asked for, and says what it is called.
func (c *policyExplainCmd) policy(e *env) (p *compile.Policy, name string, err error) {
	opts := policyOptions(&c.dirFlag, e)
	name, err = (&gateFlags{Policy: c.Policy}).policyFile(&c.dirFlag, e)
	if err != nil {
		return nil, "", err
	}
	if name != "" {
		p, err = readPolicy(name, opts)
		return p, name, err
	}
	name = "the policy of policy init"
	p, err = compile.Read(name, []byte(examples.Policies()["policy.yaml"]), opts)
	return p, name, err
}

// input makes the request, and finds who asks.
func (c *policyExplainCmd) input(p *compile.Policy, d *data) (in *policy.Input, found string, err error) {
	q := &ipwarden.Request{Method: strings.ToUpper(c.Method), Scheme: c.Scheme, Host: strings.ToLower(c.Host), Account: c.Account}
	raw, query, _ := strings.Cut(c.Path, "?")
	q.Query = query
	if q.Path, err = p.Program.Paths().Normalize(raw); err != nil {
		return nil, "", usagef("--path %q: %w; the gate answers 400", c.Path, err)
	}
	header := http.Header{}
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, "", usagef("--header %q has no colon; write it as --header 'User-Agent: curl/8'", h)
		}
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	q.Header = header
	in = &policy.Input{Request: q, Cleared: c.Cleared, ClientStatus: "direct"}
	for _, s := range []policy.Crawler{policy.NotCrawler, policy.Verified, policy.Pending, policy.Failed, policy.Unanswered} {
		if s.String() == c.Crawler {
			in.Crawler = s // auto is none of them
		}
	}
	if (c.IP == "") == (c.Peer == "") {
		return nil, "", usagef("give --ip for the client, or --peer for who connects")
	}
	if c.IP != "" {
		addr, err := ipwarden.ParseAddr(c.IP)
		if err != nil {
			return nil, "", usageError{fmt.Errorf("--ip: %w", err)}
		}
		var how ipwarden.Transition
		in.Client, how = ipwarden.Canonical(addr)
		found = "given on the command line"
		if how != ipwarden.NotWrapped {
			found += ", inside of " + how.String()
		}
		return in, found, nil
	}
	return c.behindProxies(in, header, d)
}

// behindProxies finds the client as the gate does.
func (c *policyExplainCmd) behindProxies(in *policy.Input, header http.Header, d *data) (*policy.Input, string, error) {
	peer, err := netip.ParseAddr(c.Peer)
	if err != nil {
		return nil, "", usagef("--peer: %w", err)
	}
	ways, err := (&gateFlags{TrustedProxies: c.TrustedProxies, ClientIPHeader: c.ClientIPHeader, TrustedHops: c.TrustedHops, Behind: c.Behind}).clients(d)
	if err != nil {
		return nil, "", err
	}
	client := ways.any.From(peer, header)
	in.Client, in.ClientStatus, in.Unverified = client.Addr, client.Status.String(), !client.Safe()
	in.Request.Peer = peer
	found := fmt.Sprintf("%s, of the peer %s", client.Status, peer)
	if client.Transition != ipwarden.NotWrapped {
		found += ", inside of " + client.Transition.String()
	}
	if client.Conflict {
		found += "; other headers name another client"
	}
	if client.Status == clientip.Direct && slices.ContainsFunc(clientip.SourceHeaders(), func(name string) bool { return header.Get(name) != "" }) {
		found += ", which is no trusted proxy: its headers are not believed"
	}
	if in.Unverified {
		found += "; this is only the nearest hop that can be believed"
	}
	return in, found, nil
}

// readPolicy reads a policy and runs its tests.
func readPolicy(file string, opts compile.Options) (*compile.Policy, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) && errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no policy %s; 'ipwarden policy init %s' writes one", file, file)
		}
		return nil, err
	}
	return compile.Read(file, text, opts)
}
