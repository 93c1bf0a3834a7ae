package clientip

import (
	"errors"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// A Preset is what is known of a kind of proxy: which header it writes, and
// where its addresses come from.
type Preset struct {
	Name string
	// Header is the source to read.
	Header string
	// Feed is the feed of the dataset that lists its addresses, and Service the
	// service of its rows to take, "" for all. No Feed: they are not published.
	Feed, Service string
	// Networks is where it usually stands, when there is no Feed and the operator
	// names none.
	Networks []netip.Prefix
	// Trap is what goes wrong with it, in one sentence.
	Trap string
}

// Presets lists them in the order of their names. docs/client-address.md tells
// about each.
func Presets() []Preset {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	return []Preset{
		{
			Name: "alb", Header: "X-Forwarded-For",
			Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16")},
			Trap:     "it appends to what the client sent, and whoever is in the same private network can claim to be it: name the load balancer's subnets",
		},
		{
			Name: "cloudflare", Header: "CF-Connecting-IP", Feed: "cloudflare",
			Trap: `with "Pseudo IPv4: overwrite headers" the header has a made-up IPv4 address: leave that off, or read CF-Connecting-IPv6; and other customers' Workers connect from the same addresses: use authenticated origin pulls`,
		},
		{
			Name: "cloudfront", Header: "X-Forwarded-For", Feed: "aws", Service: "CLOUDFRONT_ORIGIN_FACING",
			Trap: "it appends to what the client sent, and other customers' distributions connect from the same addresses: check a secret header too",
		},
		{
			Name: "fastly", Header: "X-Forwarded-For", Feed: "fastly",
			Trap: "it appends for clients that use TLS only, and passes the header of others through, as it does Fastly-Client-IP: force TLS, or set the header in VCL",
		},
		{
			Name: "fly", Header: "Fly-Client-IP",
			Trap: "its proxy's addresses are not published, and other applications reach this one over the private network without it: say that the listener is trusted only where nothing else reaches it",
		},
		{
			Name: "haproxy", Header: "X-Forwarded-For", Networks: loopback,
			Trap: `"option forwardfor" adds a line of its own; with "if-none" it leaves the client's: do not use that`,
		},
		{
			Name: "nginx", Header: "X-Forwarded-For", Networks: loopback,
			Trap: "without proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for it passes the client's own header through",
		},
		{
			Name: "vercel", Header: "X-Vercel-Forwarded-For",
			Trap: "its addresses are not published: inside of a deployment the listener is trusted, but an origin behind it cannot tell it from others",
		},
	}
}

// PresetNamed returns the preset called name.
func PresetNamed(name string) (Preset, bool) {
	all := Presets()
	if i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name }); i >= 0 {
		return all[i], true
	}
	return Preset{}, false
}

// Feeds is where a preset's networks come from; a *dataset.Dataset is one.
type Feeds interface {
	// FeedNetworks yields the networks that a feed lists, with what it says of
	// the hosting there; nothing when it is not known.
	FeedNetworks(feed string) iter.Seq2[netip.Prefix, ipwarden.HostingInfo]
}

// Apply fills in cfg what the operator left open. The preset's own networks are
// added to Trusted, or, where they are only where it usually stands, taken when
// Trusted is empty; with Hops they are not needed. A Header that is set stays.
// The dataset changes, so do this again for each. feeds may be nil for a preset
// without a Feed.
func (p Preset) Apply(cfg Config, feeds Feeds) (Config, error) {
	if cfg.Header == "" {
		cfg.Header = p.Header
	}
	if cfg.Hops > 0 || cfg.DangerouslyTrustAll {
		return cfg, nil
	}
	if p.Feed == "" {
		if len(cfg.Trusted) == 0 && !cfg.TrustPeer {
			if len(p.Networks) == 0 {
				return cfg, errors.New("clientip: the addresses of " + p.Name + " are not published; name those you see as trusted proxies, or say that whoever reaches the listener is trusted")
			}
			cfg.Trusted = slices.Clone(p.Networks)
		}
		return cfg, nil
	}
	found := slices.Clone(cfg.Trusted)
	before := len(found)
	if feeds != nil {
		for network, hosting := range feeds.FeedNetworks(p.Feed) {
			if p.Service == "" || strings.EqualFold(hosting.Service, p.Service) {
				found = append(found, network)
			}
		}
	}
	if len(found) == before {
		text := "clientip: the dataset has no networks of " + p.Name + " (feed " + strconv.Quote(p.Feed)
		if p.Service != "" {
			text += ", service " + p.Service
		}
		return cfg, errors.New(text + "); use a dataset that was built with it, or name the proxies yourself, without the preset")
	}
	cfg.Trusted = found
	return cfg, nil
}
