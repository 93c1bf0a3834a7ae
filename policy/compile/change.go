package compile

import (
	"fmt"
	"net/http"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// changes lists what could be different and the policy asks for.
func (p *Policy) changes(in *policy.Input) []change {
	var cs []change
	asked := map[string]bool{}
	add := func(what string, size int, do func(*policy.Input)) {
		if !asked[what] {
			asked[what] = true
			cs = append(cs, change{what: what, size: size, do: do})
		}
	}
	score := func(n uint8) {
		if n <= 100 && n != in.Score {
			add(fmt.Sprintf("a score of %d instead of %d", n, in.Score), max(int(n)-int(in.Score), int(in.Score)-int(n)), func(x *policy.Input) { x.Score = n })
		}
	}
	for i := range p.Program.Thresholds() {
		t := p.Program.Thresholds()[i].Score
		score(t)
		score(t - 1)
	}
	if in.Cleared {
		add("no valid clearance", 5, func(x *policy.Input) { x.Cleared = false })
	} else {
		add("a challenge that was solved", 5, func(x *policy.Input) { x.Cleared = true })
	}
	if in.Shared {
		add("an address that is not shared", 30, func(x *policy.Input) { x.Shared = false })
	} else {
		add("an address that many share", 30, func(x *policy.Input) { x.Shared = true })
	}
	if in.Crawler != policy.Verified {
		add("a verified crawler", 60, func(x *policy.Input) { x.Crawler, x.Unverified = policy.Verified, false })
	} else {
		add("no crawler", 60, func(x *policy.Input) { x.Crawler = policy.NotCrawler })
	}
	if in.Ban.Holds(in.Now) {
		add("no ban on "+in.Ban.Network.String(), 8, func(x *policy.Input) { x.Ban = nil })
	}
	cs = append(cs, p.leave(in)...)
	for i := range p.Program.Lists() {
		p.listChanges(&p.Program.Lists()[i], add)
	}
	for e := range p.Program.Expressions {
		e.Walk(func(n *policy.Expr) { p.exprChanges(n, in, add, score) })
	}
	return cs
}

// know changes what is known of the address, and the score with it.
func (p *Policy) know(x *policy.Input, set func(*ipwarden.Full)) {
	full := x.Record.Full()
	set(&full)
	x.Record = ipwarden.NewRecord(x.Client, full)
	p.assess(x)
}

// maxOfList bounds how many entries of a list are tried.
const maxOfList = 3

func (p *Policy) listChanges(l *policy.List, add func(string, int, func(*policy.Input))) {
	for _, c := range l.Countries[:min(len(l.Countries), maxOfList)] {
		p.country(c, add)
	}
	for _, n := range l.ASNs[:min(len(l.ASNs), maxOfList)] {
		add(fmt.Sprintf("AS%d", n), 50, func(x *policy.Input) { p.know(x, func(f *ipwarden.Full) { f.ASN.Number = n }) })
	}
	for _, n := range l.Prefixes[:min(len(l.Prefixes), maxOfList)] {
		add("an address in "+n.String(), 55, func(x *policy.Input) {
			x.Client = n.Addr()
			x.Record = ipwarden.NewRecord(x.Client, x.Record.Full())
		})
	}
}

func (p *Policy) country(code string, add func(string, int, func(*policy.Input))) {
	add("an address in "+code, 45, func(x *policy.Input) {
		p.know(x, func(f *ipwarden.Full) { f.Location = ipwarden.Location{CountryCode: code} })
	})
}

// exprChanges makes one node of a condition come out differently.
func (p *Policy) exprChanges(n *policy.Expr, in *policy.Input, add func(string, int, func(*policy.Input)), score func(uint8)) {
	request := func(what string, set func(*ipwarden.Request)) {
		add(what, 38, func(x *policy.Input) {
			q := *request(x)
			set(&q)
			x.Request = &q
		})
	}
	switch n.Op {
	case policy.OpField:
		if t := n.Field.Traits(); t != 0 {
			if in.Record.Traits().Has(t) {
				add("not "+n.Field.String(), 15, func(x *policy.Input) { p.know(x, func(f *ipwarden.Full) { f.Traits &^= t }) })
			} else {
				one := t & -t // of a union
				add(ipwarden.FieldOf(one).String(), 45, func(x *policy.Input) { p.know(x, func(f *ipwarden.Full) { f.Traits |= one }) })
			}
		}
		return
	case policy.OpCrawlerFailed:
		add("a user agent that claims to be a crawler and is none", 60, func(x *policy.Input) { x.Crawler = policy.Failed })
		return
	case policy.OpCrawlerPending:
		add("a crawler that is being verified", 60, func(x *policy.Input) { x.Crawler = policy.Pending })
		return
	}
	if len(n.Args) == 0 {
		return
	}
	values := n.Texts
	if len(n.Args) == 2 && n.Args[1].Op == policy.OpConst {
		if n.Args[0].Op == policy.OpScore && n.Args[1].Int > 0 && n.Args[1].Int <= 100 {
			at := uint8(n.Args[1].Int)
			score(at)
			score(at - 1)
			score(at + 1)
		}
		values = []string{n.Args[1].Text}
	}
	for _, v := range values[:min(len(values), maxOfList)] {
		switch of := &n.Args[0]; of.Op {
		case policy.OpMethod:
			request("the method "+v, func(q *ipwarden.Request) { q.Method = v })
		case policy.OpPath:
			request("the path "+v, func(q *ipwarden.Request) { q.Path = v })
			if v != "/" {
				request("the path /", func(q *ipwarden.Request) { q.Path = "/" })
			}
		case policy.OpHost:
			request("the host "+v, func(q *ipwarden.Request) { q.Host = v })
		case policy.OpAccount:
			p.accountChange(of.Text, v, in, request)
		case policy.OpHeader:
			request(fmt.Sprintf("the header %s: %s", of.Text, v), func(q *ipwarden.Request) { q.Header = http.Header{of.Text: {v}} })
		case policy.OpField:
			if of.Field == ipwarden.FieldCountryCode && isCountry(v) {
				p.country(v, add)
			}
		}
	}
}

// accountChange gives the account another value, or the country of the address,
// which is what conditions compare it with.
func (p *Policy) accountChange(name, value string, in *policy.Input, request func(string, func(*ipwarden.Request))) {
	for _, v := range []string{value, in.Record.CountryCode()} {
		what := fmt.Sprintf("account.%s %q", name, v)
		if v == "" {
			what = "no account." + name
		}
		request(what, func(q *ipwarden.Request) {
			account := map[string]string{}
			for k, old := range q.Account {
				account[k] = old
			}
			account[name] = v
			q.Account = account
		})
	}
}
