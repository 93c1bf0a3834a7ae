package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/source"
)

// ProvidersFile is a providers file.
type ProvidersFile struct {
	Providers []ProviderSpec
	// Intelligence and Budget are how a question waits that does not say so itself;
	// zero is the default.
	Intelligence ipwarden.Intelligence
	Budget       time.Duration
	StoreTimeout time.Duration // of one question to the shared store
	Merge        source.MergePolicy
}

// Asking is how a provider is asked, and what is kept of its answers. What is zero
// is the default.
type Asking struct {
	TTL              source.TTL
	Stale            time.Duration // negative: never
	ByAddress        bool
	MemoryBytes      int64
	Timeout          time.Duration // of one look-up
	Concurrency      int
	Retries          int
	Hedge            time.Duration
	Breaker          Breaker
	MaxPerDay        int64
	PricePerLookup   float64
	SamplePerMillion int // 0: its answers count; else they are only compared
}

// Breaker is when a provider is left alone; see source.BreakerConfig.
type Breaker struct {
	Failures, SlowShare float64
	Slow, Window, Pause time.Duration
	Least               uint
}

var askingKeys = []string{
	"ttl", "stale", "by_address", "memory_mib", "timeout", "concurrency", "retries", "hedge", "breaker",
	"max_lookups_per_day", "price_per_lookup", "sample",
}

// asking reads one key of a provider; false when it is none of these.
func (d *document) asking(a *Asking, p yamldoc.Pair) bool {
	switch p.Key {
	case "ttl":
		d.durations(p.Value, "ttl", map[string]*time.Duration{
			"threat": &a.TTL.Threat, "anonymous": &a.TTL.Anonymous, "residential": &a.TTL.Residential,
			"hosting": &a.TTL.Hosting, "negative": &a.TTL.Negative, "failed": &a.TTL.Failed,
		}, time.Second, source.MaxTTL)
	case "stale":
		if s, ok := d.Text(p.Value, p.Key); ok && s == "0" {
			a.Stale = -1
		} else if ok {
			a.Stale = d.duration(p.Value, p.Key, time.Second, source.MaxTTL)
		}
	case "by_address":
		a.ByAddress, _ = d.Boolean(p.Value, p.Key)
	case "memory_mib":
		n, _ := d.Integer(p.Value, p.Key, 1, 1<<20)
		a.MemoryBytes = n << 20
	case "timeout":
		a.Timeout = d.duration(p.Value, p.Key, time.Millisecond, 30*time.Second)
	case "concurrency":
		n, _ := d.Integer(p.Value, p.Key, 1, 1024)
		a.Concurrency = int(n)
	case "retries":
		n, _ := d.Integer(p.Value, p.Key, 0, 5)
		a.Retries = int(n)
	case "hedge":
		a.Hedge = d.duration(p.Value, p.Key, time.Millisecond, 30*time.Second)
	case "breaker":
		d.breaker(&a.Breaker, p.Value)
	case "max_lookups_per_day":
		a.MaxPerDay, _ = d.Integer(p.Value, p.Key, 1, 1e12)
	case "price_per_lookup":
		a.PricePerLookup, _ = d.Number(p.Value, p.Key, 0, 1000)
	case "sample":
		a.SamplePerMillion = d.sample(p.Value)
	default:
		return false
	}
	return true
}

func (d *document) breaker(b *Breaker, n ast.Node) {
	keys := []string{"failures", "slow", "slow_share", "least", "window", "pause"}
	pairs, _ := d.Mapping(n, "breaker")
	for _, p := range pairs {
		switch p.Key {
		case "failures":
			b.Failures = d.share(p.Value, p.Key)
		case "slow":
			b.Slow = d.duration(p.Value, p.Key, time.Millisecond, 30*time.Second)
		case "slow_share":
			b.SlowShare = d.share(p.Value, p.Key)
		case "least":
			n, _ := d.Integer(p.Value, p.Key, 1, 100_000)
			b.Least = uint(n)
		case "window":
			b.Window = d.duration(p.Value, p.Key, 100*time.Millisecond, time.Hour)
		case "pause":
			b.Pause = d.duration(p.Value, p.Key, 10*time.Millisecond, time.Hour)
		default:
			d.UnknownKey(p, "breaker", keys)
		}
	}
}

// sample reads a share, such as 1%, as parts of a million.
func (d *document) sample(n ast.Node) int { return int(d.share(n, "sample") * 1e6) }

// share reads 5% or 0.05.
func (d *document) share(n ast.Node, what string) float64 {
	s, ok := d.Text(n, what)
	if !ok {
		return 0
	}
	text, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v > 0 && v <= 1) {
		d.At(n.GetToken(), fmt.Sprintf("%s %q must be a share above 0 and up to 100%%, such as 5%% or 0.05", what, yamldoc.Clip(s, 32)))
		return 0
	}
	return v
}

// duration reads a time such as 250ms.
func (d *document) duration(n ast.Node, what string, low, high time.Duration) time.Duration {
	s, ok := d.Text(n, what)
	if !ok {
		return 0
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < low || v > high {
		d.At(n.GetToken(), fmt.Sprintf("%s %q must be a time from %v to %v, such as 500ms, 3s or 6h", what, yamldoc.Clip(s, 32), low, high))
		return 0
	}
	return v
}

func (d *document) durations(n ast.Node, what string, keys map[string]*time.Duration, low, high time.Duration) {
	pairs, _ := d.Mapping(n, what)
	for _, p := range pairs {
		at := keys[p.Key]
		if at == nil {
			names := make([]string, 0, len(keys))
			for k := range keys {
				names = append(names, k)
			}
			slices.Sort(names)
			d.UnknownKey(p, what, names)
			continue
		}
		*at = d.duration(p.Value, what+"."+p.Key, low, high)
	}
}

var outsideKeys = []string{"providers", "intelligence", "budget", "store_timeout", "merge"}

// outside reads a key of the file that is about all providers; false when it is
// none of these.
func (d *document) outside(f *ProvidersFile, p yamldoc.Pair) bool {
	switch p.Key {
	case "intelligence":
		s, ok := d.Text(p.Value, p.Key)
		i := slices.Index(ipwarden.Intelligences(), s)
		if ok && i < 1 {
			d.At(p.Value.GetToken(), fmt.Sprintf("intelligence %q must be one of async, sync, strict, local", yamldoc.Clip(s, 32)))
		}
		f.Intelligence = ipwarden.Intelligence(max(i, 0))
	case "budget":
		f.Budget = d.duration(p.Value, p.Key, time.Millisecond, 30*time.Second)
	case "store_timeout":
		f.StoreTimeout = d.duration(p.Value, p.Key, time.Millisecond, 30*time.Second)
	case "merge":
		d.merge(&f.Merge, p.Value)
	default:
		return false
	}
	return true
}

func (d *document) merge(m *source.MergePolicy, n ast.Node) {
	pairs, _ := d.Mapping(n, "merge")
	for _, p := range pairs {
		if p.Key == "order" {
			for _, item := range d.Sequence(p.Value, "order") {
				if s, ok := d.Text(item, "order"); ok {
					m.Order = append(m.Order, s)
				}
			}
			continue
		}
		s, ok := d.Text(p.Value, p.Key)
		if !ok {
			continue
		}
		rule, ok := source.RuleNamed(s)
		if !ok {
			d.At(p.Value.GetToken(), fmt.Sprintf("the rule %q of %s must be one of first, newest, majority, specific, any", yamldoc.Clip(s, 32), p.Key))
			continue
		}
		one := source.MergePolicy{Rules: map[string]source.Rule{p.Key: rule}}
		if err := one.Check(); err != nil {
			d.At(p.Token, err.Error())
			continue
		}
		if m.Rules == nil {
			m.Rules = map[string]source.Rule{}
		}
		m.Rules[p.Key] = rule
	}
}

// ordered checks the names of merge.order, when all providers are read.
func (d *document) ordered(f *ProvidersFile, pairs []yamldoc.Pair) {
	for _, name := range f.Merge.Order {
		if name == source.DatasetName || slices.ContainsFunc(f.Providers, func(s ProviderSpec) bool { return s.Name == name }) {
			continue
		}
		for _, p := range pairs {
			if p.Key == "merge" {
				d.At(p.Token, fmt.Sprintf("merge.order has %q, which is no provider of this file and not %s", yamldoc.Clip(name, 64), source.DatasetName))
			}
		}
	}
}
