package main

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/internal/api/dialect"
)

// dialectFlags say which of other vendors' wire formats are served, and where.
type dialectFlags struct {
	Dialects       []string `env:"IPWARDEN_DIALECTS" sep:"," default:"all" placeholder:"NAME,..." help:"Answer as other vendors do under their host names and below /compat/NAME/: all, none, or a list; default ${default}."`
	DialectListen  []string `env:"IPWARDEN_DIALECT_LISTEN" placeholder:"NAME=ADDR" help:"A listener for one dialect alone, such as ipinfo=127.0.0.1:8091; may be repeated."`
	DialectTLSCert string   `name:"dialect-tls-cert" env:"IPWARDEN_DIALECT_TLS_CERT" placeholder:"FILE" help:"Speak TLS at the listeners of dialects, with this certificate and the key of --dialect-tls-key; both are read anew when they change."`
	DialectTLSKey  string   `name:"dialect-tls-key" env:"IPWARDEN_DIALECT_TLS_KEY" placeholder:"FILE" help:"The certificate's key."`
}

// named are the dialects that are served by host name and prefix.
func (f *dialectFlags) named() ([]string, error) {
	switch {
	case len(f.Dialects) == 0, slices.Equal(f.Dialects, []string{"all"}):
		return nil, nil
	case slices.Equal(f.Dialects, []string{"none"}):
		return []string{}, nil
	}
	names := make([]string, 0, len(f.Dialects))
	for _, name := range f.Dialects {
		name = strings.TrimSpace(name)
		if !slices.Contains(dialect.Names(), name) {
			return nil, usagef("--dialects: there is no dialect %q; there are %s, and all or none of them", name, strings.Join(dialect.Names(), ", "))
		}
		names = append(names, name)
	}
	return names, nil
}

// off reports whether no dialect is served.
func (f *dialectFlags) off() bool {
	return slices.Equal(f.Dialects, []string{"none"}) && len(f.DialectListen) == 0
}

// listeners reads --dialect-listen.
func (f *dialectFlags) listeners(set *dialect.Set) ([]api.DialectListener, error) {
	var all []api.DialectListener
	for _, text := range f.DialectListen {
		if mode, ok := strings.CutPrefix(text, "mode="); ok && len(all) > 0 {
			all[len(all)-1].Listen += ",mode=" + mode // of a Unix socket; commas separate values
			continue
		}
		name, addr, ok := strings.Cut(text, "=")
		name = strings.TrimSpace(name)
		if !ok || addr == "" {
			return nil, usagef("--dialect-listen: %q is not of the form NAME=ADDR, such as ipinfo=127.0.0.1:8091", text)
		}
		d := set.Named(name)
		if d == nil {
			return nil, usagef("--dialect-listen: there is no dialect %q; there are %s", name, strings.Join(dialect.Names(), ", "))
		}
		all = append(all, api.DialectListener{Dialect: d, Listen: strings.TrimSpace(addr)})
	}
	return all, nil
}

// asker finds who asks, for the routes about the own address.
type asker struct {
	flags *gateFlags
	found atomic.Pointer[clientip.Extractor]
}

// client is invalid when a proxy that is trusted does not tell it.
func (a *asker) client(peer netip.Addr, h ipwarden.Header) netip.Addr {
	if c := a.found.Load().From(peer, h); c.Safe() {
		return c.Addr
	}
	return netip.Addr{}
}

// use reads the flags; d has the ranges of proxies.
func (a *asker) use(d *data) error {
	found, err := a.flags.clients(d)
	if err != nil {
		return err
	}
	a.found.Store(found.any)
	return nil
}

// follow takes up the ranges of proxies that came with a dataset.
func (a *asker) follow(d *data) error {
	if a == nil || a.flags.Behind == "" {
		return nil
	}
	return a.use(d)
}

// open makes the dialects; nil where there are none to be.
func (f *dialectFlags) open(c *serveCmd, s *server) (*dialect.Set, []api.DialectListener, error) {
	if c.gateOnly {
		if len(f.DialectListen) > 0 {
			return nil, nil, usagef("the gate alone has no look-ups; --dialect-listen is a flag of ipwarden serve")
		}
		return nil, nil, nil
	}
	names, err := f.named()
	if err != nil {
		return nil, nil, err
	}
	s.ask = &asker{flags: &c.gateFlags}
	if err := s.ask.use(s.live.Load()); err != nil {
		return nil, nil, err
	}
	set, err := dialect.New(dialect.Config{Names: names, Client: s.ask.client, Scores: scores})
	if err != nil {
		return nil, nil, err
	}
	listeners, err := f.listeners(set)
	if err != nil {
		return nil, nil, err
	}
	secure, err := certificates("dialect-tls", f.DialectTLSCert, f.DialectTLSKey, s.loader.env.now)
	if err != nil {
		return nil, nil, err
	}
	if secure != nil && len(listeners) == 0 {
		return nil, nil, usagef("--dialect-tls-cert is for listeners of dialects, and there is none: give --dialect-listen maxmind=127.0.0.1:8443")
	}
	for i := range listeners {
		listeners[i].TLS = secure
	}
	return set, listeners, nil
}

// greetDialects says where the listeners of dialects are.
func greetDialects(w io.Writer, l *api.Server, dialects []api.DialectListener) {
	for i, d := range dialects {
		a := l.DialectAddr(i)
		if a.Network() == "unix" {
			fmt.Fprintf(w, "  %-7s unix:%s\n", d.Dialect.Name, a)
			continue
		}
		scheme := "http"
		if d.TLS != nil {
			scheme = "https"
		}
		fmt.Fprintf(w, "  %-7s %s://%s\n", d.Dialect.Name, scheme, reachable(a))
	}
}
