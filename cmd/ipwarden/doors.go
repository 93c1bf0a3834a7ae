package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/internal/door"
	"github.com/ipwarden/ipwarden/internal/extauthz"
	"github.com/ipwarden/ipwarden/internal/spoa"
)

// doorFlags open ways into the gate that are no HTTP.
type doorFlags struct {
	SPOAListen     string `env:"IPWARDEN_SPOA_LISTEN" placeholder:"ADDR" help:"Answer HAProxy's agent protocol (SPOP) here."`
	OutcomeListen  string `env:"IPWARDEN_OUTCOME_LISTEN" placeholder:"unix:PATH" help:"Take what became of requests from nginx's access log here: a Unix socket for datagrams."`
	ExtAuthzListen string `name:"extauthz-listen" env:"IPWARDEN_EXTAUTHZ_LISTEN" placeholder:"ADDR" help:"Answer Envoy's external authorization over gRPC here."`
}

// A way into the gate, with its listener.
type way struct {
	name  string
	addr  net.Addr
	close func() error
	serve func(context.Context) error
}

// ways run side by side.
type ways []way

// open opens the listeners, so that a port that is taken is an error before
// anything runs.
func (f *doorFlags) open(run *gateRun, log *slog.Logger) (ws ways, err error) {
	if run == nil {
		if f.SPOAListen != "" || f.ExtAuthzListen != "" || f.OutcomeListen != "" {
			return nil, usagef("there is no policy to decide by: give --policy policy.yaml; 'ipwarden policy init' writes one")
		}
		return nil, nil
	}
	defer func() {
		if err != nil {
			ws.close()
		}
	}()
	peers := door.Peers{Allowed: run.trusted}
	if f.SPOAListen != "" {
		// HAProxy tells the client as the peer: src is after its own PROXY protocol.
		// It writes X-Forwarded-For itself, by its configuration.
		g := door.NewGate(run.spoa, false)
		agent, err := spoa.New(spoa.Config{Decide: g.Decide, Local: run.spoa.Local(), Removes: g.Removes, Outcome: g.Outcome, Peers: peers, Log: log})
		if err != nil {
			return ws, err
		}
		if ws, err = ws.add("spoa", f.SPOAListen, agent.Serve); err != nil {
			return ws, err
		}
	}
	if f.ExtAuthzListen != "" {
		// Envoy sets what the answer has, and nothing else.
		g := door.NewGate(run.Gate, true)
		unheard := new(door.Unheard) // Envoy tells nobody what the application answers
		decide := func(ctx context.Context, q *ipwarden.Request, a *door.Answer) {
			if g.Decide(ctx, q, a); a.Awaits {
				unheard.Waits(run.Gate, "extauthz", time.Now(), log)
			}
		}
		s, err := extauthz.New(extauthz.Config{Decide: decide, Removes: g.Removes, Peers: peers, Log: log})
		if err != nil {
			return ws, err
		}
		if ws, err = ws.add("extauthz", f.ExtAuthzListen, s.Serve); err != nil {
			return ws, err
		}
	}
	if f.OutcomeListen != "" {
		o, err := door.ListenOutcomes(f.OutcomeListen, door.NewGate(run.Gate, false).Outcome, log)
		if err != nil {
			return ws, fmt.Errorf("--outcome-listen: %w", err)
		}
		ws = append(ws, way{"outcomes", o.Addr(), o.Close, o.Serve})
	}
	return ws, nil
}

func (ws ways) add(name, addr string, serve func(context.Context, net.Listener) error) (ways, error) {
	ln, err := api.OpenListener(addr)
	if err != nil {
		return ws, fmt.Errorf("the %s listener: %w", name, err)
	}
	return append(ws, way{name, ln.Addr(), ln.Close, func(ctx context.Context) error { return serve(ctx, ln) }}), nil
}

func (ws ways) close() {
	for _, w := range ws {
		_ = w.close() // nothing was accepted yet
	}
}

// run serves until ctx ends; when one way fails, cancel ends the others.
func (ws ways) run(ctx context.Context, cancel context.CancelFunc) func() error {
	ended := make(chan error, len(ws))
	for _, w := range ws {
		go func() {
			err := w.serve(ctx)
			if err != nil {
				err = fmt.Errorf("%s: %w", w.name, err)
				cancel()
			}
			ended <- err
		}()
	}
	return func() error {
		var errs []error
		for range ws {
			errs = append(errs, <-ended)
		}
		return errors.Join(errs...)
	}
}

func (ws ways) greet(w io.Writer) {
	for _, one := range ws {
		fmt.Fprintf(w, "  %-7s %s:%s\n", one.name, one.addr.Network(), one.addr)
	}
}
