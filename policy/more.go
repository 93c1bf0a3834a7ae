package policy

import (
	"errors"
	"slices"

	"github.com/ipwarden/ipwarden"
)

// More is what an operator adds to a program while it runs.
type More struct {
	// Lists are asked beside the program's own, in the same order of precedence. They
	// have an action and no limit; no condition knows them.
	Lists []List
	// Challenge sends everybody whose score is ChallengeFrom or more to a challenge,
	// where the program would not be as strict: 0 is everybody.
	Challenge     bool
	ChallengeFrom uint8
}

// With returns a program that decides as p does, with more. p stays as it is.
func (p *Program) With(m More) (*Program, error) {
	var errs []error
	for i := range m.Lists {
		l := &m.Lists[i]
		if l.Action == ipwarden.NoVerdict || l.Limit != 0 {
			errs = append(errs, errors.New("list "+l.Name+": what is added has an action and no limit"))
		}
		errs = append(errs, l.check(len(p.limits))...)
	}
	if m.ChallengeFrom > 100 {
		errs = append(errs, errors.New("the score to challenge from must be from 0 to 100"))
	}
	for i, e := range errs {
		errs[i] = errors.New("policy: " + e.Error())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	q := *p
	q.scope = &scope{more: m.Lists}
	if len(m.Lists) > 0 {
		q.entries = newEntries(slices.Concat(p.cfg.Lists, m.Lists))
	}
	if m.Challenge {
		q.thresholds = challengedFrom(m.ChallengeFrom, p.thresholds)
	}
	return &q, nil
}

// challengedFrom is thresholds, the highest first, where from some score on nothing is
// less strict than a challenge.
func challengedFrom(from uint8, thresholds []Threshold) []Threshold {
	challenge := Threshold{Score: from, Action: ipwarden.Challenge}
	var all []Threshold
	there := false // what holds at from is as strict
	for _, t := range thresholds {
		weak := strictness(t.Action) < strictness(ipwarden.Challenge)
		switch {
		case t.Score > from && weak:
			t = Threshold{Score: t.Score, Action: ipwarden.Challenge, Line: t.Line}
		case t.Score <= from && !there:
			if there = true; weak {
				all = append(all, challenge)
				if t.Score == from {
					continue
				}
			}
		}
		all = append(all, t)
	}
	if !there {
		all = append(all, challenge)
	}
	return all
}
