package provider

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Config says which provider is asked, and how.
type Config struct {
	// Kind is the vendor, one of [Kinds]. Required.
	Kind string
	// Name is the provider's in evidence, errors and logs. Default: Kind, or the
	// Map's name.
	Name string
	// Plan is which of the vendor's services is asked, one of [Plans]. Default:
	// the first of them.
	Plan string
	// BaseURL is asked instead of the vendor's own host. Of kind generic it may be
	// a whole template with {ip} in it. Default: the vendor's.
	BaseURL string
	// Key is the vendor's. Default: none, where the vendor answers without.
	Key string
	// KeyIn is how the key is sent: "header", "bearer", "basic" or "query".
	// Default: what the vendor prefers; headers before queries.
	KeyIn string
	// Account is MaxMind's account number.
	Account string
	// Map says how a vendor of kind generic is asked and read. Required for it.
	Map *Map
	// AbuseFrom is the confidence from which AbuseIPDB's answer means an abuser, 1
	// to 100. Default: 75.
	AbuseFrom int

	// Country gives what follows from a country code (names, currency, …); nil: an
	// answer has no more than the vendor says.
	Country func(code string) (ipwarden.Location, bool)
	// Public says which canonical addresses may be sent out. Default:
	// ipwarden.Public. An operator who has declared special space to be ordinary says
	// so here.
	Public func(netip.Addr) bool

	// Transport does the asking. Default: one of the provider's own, with
	// keep-alive, HTTP/2, TLS 1.2 or later, and no proxy.
	Transport http.RoundTripper
	// ProxyFromEnvironment lets the default Transport go through HTTPS_PROXY,
	// HTTP_PROXY and NO_PROXY. Default: false.
	ProxyFromEnvironment bool
	// RootCAs are whom the default Transport trusts. Default: the system's.
	RootCAs *x509.CertPool
	// MaxBytes bounds an answer, decompressed. Default: 256 KiB.
	MaxBytes int64
	// Timeout bounds a look-up whose context has no earlier deadline. Default: 10
	// seconds.
	Timeout time.Duration
	// UserAgent is what the vendor is told. Default: "ipwarden".
	UserAgent string

	// Now is the clock of evidence and of quotas. Default: time.Now.
	Now func() time.Time
	// Log takes what is worth a look: a quota that is used up and comes back.
	// Default: slog.Default().
	Log *slog.Logger
}

// Bounds and defaults.
const (
	defaultMaxBytes  = 256 << 10
	maxMaxBytes      = 64 << 20
	defaultTimeout   = 10 * time.Second
	defaultAbuseFrom = 75
	maxName          = 32
)

// check fills in defaults and returns what is wrong, everything at once.
func (c *Config) check() (*vendor, error) {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	v, ok := vendors()[c.Kind]
	if !ok {
		wrong("there is no kind %q; there are %s", c.Kind, strings.Join(Kinds(), ", "))
		v = &vendor{}
	}
	if c.Kind == Generic {
		if c.Map == nil {
			wrong("kind generic needs a Map, such as one of %s", strings.Join(MapNames(), ", "))
		} else {
			v = c.Map.vendor()
		}
	} else if c.Map != nil {
		wrong("a Map belongs to kind generic, not to %s", c.Kind)
	}
	if c.Name == "" {
		if c.Name = c.Kind; c.Map != nil {
			c.Name = c.Map.name
		}
	}
	if len(c.Name) > maxName || strings.ContainsFunc(c.Name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		wrong("the name %.40q has more than %d characters, or spaces or others that a name has not", c.Name, maxName)
	}
	if ok {
		c.checkVendor(v, wrong)
	}
	if c.AbuseFrom == 0 {
		c.AbuseFrom = defaultAbuseFrom
	}
	if c.AbuseFrom < 1 || c.AbuseFrom > 100 {
		wrong("AbuseFrom is %d, and must be from 1 to 100", c.AbuseFrom)
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultMaxBytes
	}
	if c.MaxBytes < 1<<10 || c.MaxBytes > maxMaxBytes {
		wrong("MaxBytes is %d, and must be from %d to %d", c.MaxBytes, 1<<10, maxMaxBytes)
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Timeout < 0 {
		wrong("Timeout is %v, and must be more than nothing", c.Timeout)
	}
	if c.Public == nil {
		c.Public = ipwarden.Public
	}
	if c.UserAgent == "" {
		c.UserAgent = "ipwarden"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return v, errors.Join(errs...)
}

func (c *Config) checkVendor(v *vendor, wrong func(string, ...any)) {
	if c.Plan == "" && len(v.plans) > 0 {
		c.Plan = v.plans[0]
	}
	if c.Plan != "" && !slices.Contains(v.plans, c.Plan) {
		if len(v.plans) == 0 {
			wrong("%s has no plans to choose from; leave %q out", c.Kind, c.Plan)
		} else {
			wrong("%s has no plan %q; it has %s", c.Kind, c.Plan, strings.Join(v.plans, ", "))
		}
	}
	if c.KeyIn == "" && len(v.keyIn) > 0 {
		c.KeyIn = v.keyIn[0]
	}
	if c.KeyIn != "" && !slices.Contains(v.keyIn, c.KeyIn) {
		wrong("%s does not take its key by %q; it does by %s", c.Kind, c.KeyIn, strings.Join(v.keyIn, ", "))
	}
	switch {
	case c.Key == "" && v.needsKey:
		wrong("%s needs a key", c.Kind)
	case len(c.Key) > 4<<10, strings.ContainsFunc(c.Key, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		wrong("the key is too long, or holds spaces or characters that no key has")
	case c.Key != "" && len(v.keyIn) == 0:
		wrong("%s takes no key; leave it out", c.Kind)
	}
	switch {
	case v.needsAccount && (c.Account == "" || strings.Trim(c.Account, "0123456789") != "" || len(c.Account) > 20):
		wrong("%s needs its account number, which is digits, beside the key", c.Kind)
	case !v.needsAccount && c.Account != "":
		wrong("%s has no account numbers; leave Account out", c.Kind)
	}
	if c.Map != nil {
		return // its template is checked as a whole
	}
	if c.BaseURL == "" {
		c.BaseURL = v.base
		if at := v.bases[c.Plan]; at != "" {
			c.BaseURL = at
		}
	}
	u, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		wrong("the base address must begin with https:// or http:// and a host, such as %s", v.base)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		wrong("the base address must be without user, ? and #, such as %s", v.base)
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
}
