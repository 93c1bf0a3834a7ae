package dialect

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Config says how the dialects answer. The zero value serves all of them to
// anybody.
type Config struct {
	// Names of the dialects to serve by virtual host and below /compat/.
	// Default: all; an empty list that is not nil is none.
	Names []string

	// Client tells who asks, for the routes about the own address: under an
	// explicit trust in proxies. It returns the invalid address when it cannot
	// tell. Default: the peer, whatever the header says.
	Client func(peer netip.Addr, h ipwarden.Header) netip.Addr

	// Scores computes the scores of a Record at the time of the answer.
	// Default: they are zero.
	Scores func(r ipwarden.Record, now time.Time) ipwarden.Scores

	// Check decides whether a credential may have an answer; nil admits it. It
	// runs before anything is looked up, and must not block. Default: any
	// credential is good, and none is.
	Check func(Credential, Facts) *Refusal

	// MaxBulk bounds the items of one bulk question below what the vendor
	// allows. Default: the vendor's bound.
	MaxBulk int
}

// vendor is what differs between dialects.
type vendor interface {
	// serve answers GET, HEAD and POST at c.Path. Requests were admitted.
	serve(c *Call)
	// credential finds the key that a request carries, in every place where this
	// vendor's clients put it.
	credential(c *Call) Credential
	// refuse writes a refusal in the vendor's words and with its status.
	refuse(c *Call, r *Refusal)
	// fail writes what went wrong.
	fail(c *Call, f failure)
}

// A Dialect is one vendor's wire format.
type Dialect struct {
	Name  string   // "ipinfo"
	Hosts []string // virtual hosts, lower case: the vendor's own, and NAME.localhost

	vendor vendor
	set    *Set
	index  int
	prefix string // "/compat/ipinfo"
}

// dialects is the table of them.
func dialects() []Dialect {
	return []Dialect{
		{Name: "ipasis", Hosts: []string{"api.ipasis.com"}, vendor: ipasis{}},
		{Name: "ipdata", Hosts: []string{"api.ipdata.co", "eu-api.ipdata.co"}, vendor: ipdata{}},
		{Name: "ipinfo", Hosts: []string{"ipinfo.io", "www.ipinfo.io", "api.ipinfo.io", "v4.ipinfo.io", "v6.ipinfo.io", "v4.api.ipinfo.io", "v6.api.ipinfo.io"}, vendor: ipinfo{}},
		{Name: "maxmind", Hosts: []string{"geoip.maxmind.com", "geolite.info", "sandbox.maxmind.com"}, vendor: maxmind{}},
		{Name: "ip-api", Hosts: []string{"ip-api.com", "www.ip-api.com", "pro.ip-api.com", "demo.ip-api.com"}, vendor: ipapi{}},
		{Name: "ipregistry", Hosts: []string{"api.ipregistry.co", "eu.api.ipregistry.co"}, vendor: ipregistry{}},
	}
}

// Names lists the dialects there are.
func Names() []string {
	var names []string
	for _, d := range dialects() {
		names = append(names, d.Name)
	}
	return names
}

// A Set is the dialects of one server. It is safe for concurrent use.
type Set struct {
	cfg     Config
	all     []Dialect          // also those that are only at a listener of their own
	byHost  [256][]hostDialect // by the first letter of the host
	byName  []*Dialect         // those below /compat/
	anyHost bool
}

type hostDialect struct {
	host    string
	dialect *Dialect
}

// New makes a Set. The error names every mistake in cfg.
func New(cfg Config) (*Set, error) {
	var errs []error
	if cfg.MaxBulk < 0 {
		errs = append(errs, fmt.Errorf("MaxBulk is %d: give a number of items, or 0 for what the vendor allows", cfg.MaxBulk))
	}
	s := &Set{cfg: cfg, all: dialects()}
	for i := range s.all {
		d := &s.all[i]
		d.set, d.index, d.prefix = s, i, prefix+d.Name
		d.Hosts = append(d.Hosts, d.Name+".localhost")
		if cfg.Names != nil && !slices.Contains(cfg.Names, d.Name) {
			continue
		}
		s.byName = append(s.byName, d)
		for _, host := range d.Hosts {
			s.anyHost = true
			s.byHost[host[0]] = append(s.byHost[host[0]], hostDialect{host, d})
		}
	}
	for _, name := range cfg.Names {
		if s.Named(name) == nil {
			errs = append(errs, unknownName(name))
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("dialect: %w", errors.Join(errs...))
	}
	s.cfg.Names = nil // later changes of the argument have no effect
	return s, nil
}

func unknownName(name string) error {
	return fmt.Errorf("there is no dialect %q; there are %s", name, strings.Join(Names(), ", "))
}

// Named returns the dialect called name, whether or not it is served by host and
// prefix; nil when there is none.
func (s *Set) Named(name string) *Dialect {
	for i := range s.all {
		if s.all[i].Name == name {
			return &s.all[i]
		}
	}
	return nil
}

// prefix is what the paths begin with under which a dialect is on any host.
const prefix = "/compat/"

// Find returns the dialect that a request is for, with its path in there, or nil.
// Most requests are for none: that takes some nanoseconds.
func (s *Set) Find(host, path string) (*Dialect, string) {
	if len(path) > len(prefix) && path[:len(prefix)] == prefix {
		name, _, _ := strings.Cut(path[len(prefix):], "/")
		for _, d := range s.byName {
			if d.Name == name {
				return d, path[len(prefix)+len(name):]
			}
		}
		return nil, path
	}
	if host == "" {
		return nil, path
	}
	candidates := s.byHost[host[0]|0x20] // no letter: no candidates
	if len(candidates) == 0 {
		return nil, path
	}
	host = bareHost(host)
	for _, c := range candidates {
		if len(c.host) == len(host) && strings.EqualFold(c.host, host) {
			return c.dialect, path
		}
	}
	return nil, path
}

// bareHost is a host without its port and the dot at the end of a full name.
func bareHost(host string) string {
	if i := strings.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	return strings.TrimSuffix(host, ".")
}

// Index is the place of the dialect in [Names].
func (d *Dialect) Index() int { return d.index }
