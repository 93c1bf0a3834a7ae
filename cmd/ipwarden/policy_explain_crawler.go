package main

import (
	"context"
	"fmt"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate/crawler"
	"github.com/ipwarden/ipwarden/policy"
)

// crawler checks the request's claim to be a crawler, as the gate would, and says
// what came out; "" when there is none. What the command line says of it stands.
func (c *policyExplainCmd) crawler(ctx context.Context, in *policy.Input, d *data) (said string, err error) {
	if c.Crawler != "auto" || in.Unverified {
		return "", nil
	}
	if in.Record.Traits().Has(ipwarden.Crawler) {
		in.Crawler, in.CrawlerName = policy.Verified, in.Record.Security().Crawler.Name
		return fmt.Sprintf("verified: %s, by the ranges that its operator publishes", printable(in.CrawlerName)), nil
	}
	agents := in.Request.Header.Values("User-Agent")
	if len(agents) == 0 {
		return "", nil
	}
	v, err := newCrawlers(c.CrawlerDNS, c.CrawlerDNSServer, d)
	if err != nil {
		return "", err
	}
	defer v.Close()
	name, state, unanswered := v.Verify(ctx, agents[0], in.Client)
	in.Crawler, in.CrawlerName = state, name
	if state == policy.Verified {
		in.CrawlerPurpose = v.Purpose(name)
	}
	how := "by the ranges that its operator publishes"
	if c.CrawlerDNS {
		how = "by the names of its address"
	}
	switch {
	case name == "":
		return "", nil
	case unanswered != nil:
		return fmt.Sprintf("pending: the request says that it is %s, and DNS did not tell: %v; when it has not told %d times, that is a client as any other, under the limit of pending ones", name, unanswered, crawler.Tries), nil
	case state == policy.NotCrawler:
		return fmt.Sprintf("none: the request says that it is %s, which nothing here can tell%s", name, map[bool]string{false: "; --crawler-dns asks for names"}[c.CrawlerDNS]), nil
	case state == policy.Failed:
		return fmt.Sprintf("failed: the request says that it is %s, and is not, %s", name, how), nil
	}
	return fmt.Sprintf("%s: %s, %s", state, name, how), nil
}
