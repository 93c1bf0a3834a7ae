package edge

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/edge/compact"
	"github.com/ipwarden/ipwarden/policy"
)

// elsewhere says of fields why they are not known at the edge.
func elsewhere(f ipwarden.Field) string {
	switch f {
	case ipwarden.FieldNetwork, ipwarden.FieldASRoute:
		return "networks are merged at the edge; ask for what tells them apart, such as ip.asn.number"
	case ipwarden.FieldTransition, ipwarden.FieldZone:
		return "the platform tells the address alone, in its canonical form"
	case ipwarden.FieldTimeZoneAbbr, ipwarden.FieldTimeZoneOffset, ipwarden.FieldTimeZoneIsDST, ipwarden.FieldTimeZoneCurrentTime:
		return "the edge has no rules of time zones; ask for ip.location.time_zone.id"
	}
	return ""
}

// refuse returns every reason why a policy cannot be decided at the edge.
func refuse(cfg *Config, c policy.Config) error {
	var errs []error
	said := map[string]bool{}
	bad := func(w compact.Where, why string) {
		text := fmt.Sprintf("%s:%d: the %s %q cannot be decided at the edge: %s", cfg.Name, w.Line, w.Kind, w.Name, why)
		if when := cfg.Policy.Source(w.Line); when != "" {
			text += "\n    " + when
		}
		if !said[text] {
			said[text] = true
			errs = append(errs, errors.New(text))
		}
	}
	compact.Walk(c, func(w compact.Where, e *policy.Expr) {
		switch e.Op {
		case policy.OpForeign:
			bad(w, "a part of its condition runs on CEL, which is not there; 'ipwarden policy explain' says of what the rest is made. Write it with comparisons, startsWith, contains, matches, in and the fields")
		case policy.OpField:
			if why := elsewhere(e.Field); why != "" {
				bad(w, "it asks for ip."+e.Field.String()+", and "+why)
			}
		}
	})
	return errors.Join(errs...)
}

// notes say what the edge does otherwise than a gate.
func notes(cfg *Config, c policy.Config) []string {
	var all []string
	note := func(names []string, format string) {
		if len(names) > 0 {
			all = append(all, fmt.Sprintf(format, strings.Join(names, ", ")))
		}
	}
	var outcomes, bans, shadow, strict, pages []string
	for i := range c.Limits {
		switch l := &c.Limits[i]; {
		case l.Count.Op != policy.NoOp:
			outcomes = append(outcomes, l.Name)
		case l.Ban != 0:
			bans = append(bans, l.Name)
		case l.Shadow:
			shadow = append(shadow, l.Name)
		}
	}
	for i := range c.Routes {
		if r := &c.Routes[i]; r.Intelligence == ipwarden.IntelligenceSync || r.Intelligence == ipwarden.IntelligenceStrict {
			strict = append(strict, r.Name)
		}
	}
	for i := range c.Responses {
		if r := &c.Responses[i]; r.HTML != "" || r.Title != "" || r.Detail != "" {
			pages = append(pages, r.Name)
		}
	}
	if cfg.Remote {
		all = append(all, "limits, bans and providers are the gate's, which is asked about what the policy lets in")
	} else {
		all = append(all, "limits are counted in the memory of each isolate: a client that reaches another has as much again there")
		note(outcomes, "not counted at the edge, because nobody tells it what became of a request: %s")
		note(bans, "over these limits nobody is banned at the edge: %s")
		note(shadow, "in shadow, and not watched at the edge: %s")
		note(strict, "nobody outside is asked about an address on these routes: %s")
		all = append(all, "bans and the overlays of the data directory are not at the edge: a list of the policy is")
	}
	note(pages, "of these responses the edge has the status and the redirect, not the texts: %s")
	all = append(all, "who claims to be a crawler that only its host name proves is pending, neither let in for good nor shut out")
	return all
}
