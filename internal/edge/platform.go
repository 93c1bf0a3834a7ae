package edge

import (
	"fmt"
	"slices"
	"strings"
)

// A Platform is where a project runs.
type Platform struct {
	Name    string
	Plans   []Plan // the smallest first
	Default string // the smallest that takes the engine
	store   bool   // it has a key-value store
}

// A Plan says how much a platform takes: of the script with all that it imports, gzipped.
type Plan struct {
	Name  string
	Limit int // bytes; 0: as much as there is
}

const mb = 1_000_000 // of the platforms' pages; none is more than a MiB

// Platforms are those that there is a project for. The sizes are of their pages of limits in November 2026.
func Platforms() []Platform {
	return []Platform{
		{Name: "cloudflare", Plans: []Plan{{"free", 3 * mb}, {"paid", 10 * mb}}, Default: "free", store: true},
		{Name: "node", Plans: []Plan{{"any", 0}}, Default: "any"},
		{Name: "vercel", Plans: []Plan{{"hobby", 1 * mb}, {"pro", 2 * mb}, {"enterprise", 4 * mb}}, Default: "pro"},
		{Name: "lambda-edge", Plans: []Plan{{"viewer", 1 * mb}, {"origin", 50 * mb}}, Default: "origin"},
	}
}

// chunkSize is what a chunk in the store has at most, bytes: Cloudflare's has values of at
// most 25 MiB, and a chunk goes there in base64.
const chunkSize = 16 << 20

func platformNamed(name, plan string) (Platform, Plan, error) {
	var names []string
	for _, p := range Platforms() {
		names = append(names, p.Name)
		if p.Name != name {
			continue
		}
		if plan == "" {
			plan = p.Default
		}
		i := slices.IndexFunc(p.Plans, func(q Plan) bool { return q.Name == plan })
		if i >= 0 {
			return p, p.Plans[i], nil
		}
		var plans []string
		for _, q := range p.Plans {
			plans = append(plans, q.Name)
		}
		return p, Plan{}, fmt.Errorf("%s has no plan %q; give one of %s", name, plan, strings.Join(plans, ", "))
	}
	return Platform{}, Plan{}, fmt.Errorf("there is no platform %q; give one of %s", name, strings.Join(names, ", "))
}
