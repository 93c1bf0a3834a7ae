package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// input is one feed while it is being read.
type input struct {
	*Input
	index int
	feed.Asserts
	mask           mask
	traits, denies ipwarden.Traits
	services       map[string]int // rows of each cloud service
	spans4, spans6 spans
	layer4, layer6 layer
	claims         *claimTables
	as             []asFact
	seenAS         map[uint32]bool // whose name an address row gave
	rows, skipped  int
	problems       []string // the first few
}

// asFact is one row about an autonomous system.
type asFact struct {
	number uint32
	claim  asClaim
}

// maxProblems bounds how many bad rows the report quotes of each feed.
const maxProblems = 5

func newInput(i int, in *Input) (*input, error) {
	t := &input{Input: in, index: i, Asserts: in.Spec.Asserts, claims: newClaimTables(), services: map[string]int{}, seenAS: map[uint32]bool{}}
	var err error
	if t.mask, err = newMask(&t.Asserts); err != nil {
		return nil, fmt.Errorf("feed %s: asserts.fields: %w", in.Spec.Name, err)
	}
	if t.traits, err = traitsOf(t.Asserts.Traits); err != nil {
		return nil, fmt.Errorf("feed %s: asserts.traits: %w", in.Spec.Name, err)
	}
	if t.denies, err = traitsOf(t.Denies); err != nil {
		return nil, fmt.Errorf("feed %s: asserts.denies: %w", in.Spec.Name, err)
	}
	return t, nil
}

func traitsOf(names []string) (t ipwarden.Traits, err error) {
	for _, n := range names {
		u, ok := ipwarden.TraitNamed(n)
		if !ok {
			return 0, fmt.Errorf("there is no trait %q; there are %v", n, ipwarden.AllTraits.Names())
		}
		t |= u
	}
	return t, nil
}

// read takes all rows of all feeds, two or more feeds at a time.
func read(ctx context.Context, ins []*input) error {
	var wg sync.WaitGroup
	errs := make([]error, len(ins))
	next := make(chan int)
	for range min(runtime.GOMAXPROCS(0), 4) {
		wg.Go(func() {
			for i := range next {
				errs[i] = ins[i].read(ctx)
			}
		})
	}
	for i := range ins {
		next <- i
	}
	close(next)
	wg.Wait()
	return errors.Join(errs...)
}

func (in *input) read(ctx context.Context) error {
	for f, err := range in.Facts {
		if err != nil {
			var fatal *feed.FileError
			if errors.As(err, &fatal) {
				return fmt.Errorf("feed %s: %w", in.Spec.Name, err)
			}
			in.skip(err.Error())
			continue
		}
		if in.rows++; in.rows%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		in.take(f)
	}
	in.layer4 = flatten(ipv4, &in.spans4, in.prefer)
	in.layer6 = flatten(ipv6, &in.spans6, in.prefer)
	slices.SortStableFunc(in.as, func(a, b asFact) int { return int(int64(a.number) - int64(b.number)) })
	return nil
}

func (in *input) skip(why string) {
	in.skipped++
	if len(in.problems) < maxProblems {
		in.problems = append(in.problems, why)
	}
}

func (in *input) take(f *feed.Fact) {
	if !f.From.IsValid() {
		if f.AS == 0 {
			in.rows--
			in.skip("a row that speaks of no network")
			return
		}
		in.takeAS(f.AS, f)
		return
	}
	if f.Count != 0 && f.Count < in.MinCount || f.Name != "" && slices.Contains(in.Except, f.Name) {
		return
	}
	if in.mask.asName && f.Origin != 0 && f.ASName != "" && !in.seenAS[f.Origin] {
		in.seenAS[f.Origin] = true
		in.takeAS(f.Origin, f)
	}
	fam := familyOf(f.From)
	s := span{from: positionOf(f.From), to: positionOf(f.To), bits: int16(f.Bits)}
	if f.From.BitLen() != f.To.BitLen() || s.to.less(s.from) {
		in.rows--
		in.skip(fmt.Sprintf("%s-%s is no range", f.From, f.To))
		return
	}
	s.loc = in.claims.locID(f, &in.mask)
	s.net = in.claims.netID(f, &in.mask)
	s.sec = in.claims.secID(f, &in.mask, in)
	if s.sec != 0 && tooWide(fam, s.from, s.to) {
		c := &in.claims.sec.values[s.sec]
		if c.Traits|in.traits != ipwarden.Bogon && c.Denied != ipwarden.Bogon {
			in.rows--
			in.skip(fmt.Sprintf("%s-%s covers more of the address space than a list may (IPv4 /8, IPv6 /19)", f.From, f.To))
			return
		}
	}
	if f.CloudService != "" {
		in.services[f.CloudService]++
	}
	if fam == ipv4 {
		in.spans4.add(&s)
	} else {
		in.spans6.add(&s)
	}
}

// tooWide tells a row that no honest list of abusers, VPNs or clouds has: more
// than a /8 of IPv4 or a /19 of IPv6, the widest blocks ever assigned to one
// organisation.
func tooWide(fam family, from, to position) bool {
	if fam == ipv4 {
		return to.lo-from.lo >= 1<<24
	}
	return to.hi-from.hi >= 1<<(64-19)
}

func (in *input) takeAS(number uint32, f *feed.Fact) {
	c := asClaim{Traits: f.Traits&in.mask.traits | in.traits, Detail: f.Detail}
	if in.mask.asName {
		c.Name = f.ASName
	}
	if in.mask.asDomain {
		c.Domain = f.ASDomain
	}
	if in.mask.asKind {
		if c.Kind = f.ASKind; c.Kind == "" {
			c.Kind = in.Kind
		}
	}
	if in.mask.registry {
		c.Registry = f.Registry
	}
	if c != (asClaim{}) || in.Listing != "" {
		in.as = append(in.as, asFact{number, c})
	}
}

// prefer orders rows on the same prefix, the one that counts last: clouds list
// a prefix under an umbrella and under the service that uses it, and the rarer
// name tells more.
func (in *input) prefer(a, b *span) int {
	if a.sec == b.sec {
		return 0
	}
	x, y := &in.claims.sec.values[a.sec], &in.claims.sec.values[b.sec]
	if c := cmp.Compare(min(len(x.CloudService), 1), min(len(y.CloudService), 1)); c != 0 {
		return c // the one that names a service last
	}
	if c := in.services[y.CloudService] - in.services[x.CloudService]; c != 0 {
		return c
	}
	return cmp.Compare(min(len(x.CloudRegion), 1), min(len(y.CloudRegion), 1))
}

// prefixText names what a row covers, for the evidence.
func prefixText(fam family, from, to position) string {
	if n := largestPrefix(fam, from, to); from.endOf(fam, n) == to {
		return netip.PrefixFrom(from.addr(fam), n).String()
	}
	return from.addr(fam).String() + "-" + to.addr(fam).String()
}
