package main

// gateCmd is serve without the look-ups: what stands beside a proxy has no need
// to answer anybody else.
type gateCmd struct{ serveCmd }

// Help is the long help.
func (gateCmd) Help() string {
	return `Answers the questions of proxies and applications about requests, by a policy:
what serve does with --policy, without the look-ups and the pages. Who may ask is
who reaches the Unix socket, --trusted-proxies, and who has the service token.

Examples:
  ipwarden gate --policy policy.yaml --listen unix:/run/ipwarden.sock
  ipwarden gate --listen 127.0.0.1:8090 --trusted-proxies 127.0.0.1
  ipwarden gate --fast-listen unix:/run/ipwarden-fast.sock --spoa-listen 127.0.0.1:9000`
}

// Run decides until it is told to stop.
func (c *gateCmd) Run(e *env) error {
	c.gateOnly = true
	return c.serveCmd.Run(e)
}
