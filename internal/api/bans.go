package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate/ban"
)

const (
	bansPath    = "/v1/bans"
	exampleBan  = `POST /v1/bans with {"ip":"203.0.113.7","for":"1h","reason":"sshd: 5 failures"}`
	exampleBans = "GET /v1/bans?ip=203.0.113.7"
	exampleLift = "DELETE /v1/bans/203.0.113.7"
	// bansListed is how many bans an answer has, unless the question says otherwise.
	bansListed = 1000
)

// banQuestion is the body of POST /v1/bans.
type banQuestion struct {
	IP      string  `json:"ip"`
	Network string  `json:"network"`
	For     banTime `json:"for"`
	Action  string  `json:"action"`
	Reason  string  `json:"reason"`
	Force   bool    `json:"force"`
}

// banTime is a time as text, or as a number of seconds.
type banTime string

// UnmarshalJSON reads either.
func (v *banTime) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(v))
	}
	var n json.Number
	err := json.Unmarshal(b, &n)
	*v = banTime(n)
	return err
}

var banActions = map[string]ipwarden.Verdict{
	"": ipwarden.Block, ipwarden.Block.String(): ipwarden.Block,
	ipwarden.Challenge.String(): ipwarden.Challenge, ipwarden.Throttle.String(): ipwarden.Throttle,
}

// bans answers what is below /v1/bans.
func (x *exchange) bans(path string) *problem {
	x.route = routeBans
	g := x.api.gate
	if g.Bans == nil {
		return notFound(path)
	}
	if rest, ok := strings.CutPrefix(path, bansPath+"/"); ok {
		if x.method != http.MethodDelete {
			return wrongMethod(x.method, "DELETE", exampleLift)
		}
		return x.liftBan(g.Bans, rest)
	}
	switch x.method {
	case http.MethodPost:
		return x.addBan(g)
	case http.MethodGet, http.MethodHead:
		return x.listBans(g.Bans)
	}
	return wrongMethod(x.method, "GET, HEAD, POST", exampleBans)
}

// addBan answers POST /v1/bans. The last word about a network counts, so that who
// says the same twice has said it once.
func (x *exchange) addBan(g *gateRoutes) *problem {
	if kind, _, _ := strings.Cut(x.mediaType, ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		// A page in a browser on a machine that may ask cannot send this type elsewhere
		// without being allowed to, and nobody allows it.
		x.closing = true // the body stays unread
		return &problem{
			status: http.StatusUnsupportedMediaType, slug: "unsupported-type", title: "No such form of the question",
			detail: "Content-Type: " + quoted(x.mediaType) + " is not application/json, which a ban is sent as.",
			offers: []string{bareTypes[formatJSON][0]}, example: exampleBan,
		}
	}
	var q banQuestion
	if p := x.readQuestion(&q, exampleBan); p != nil {
		return p
	}
	text := q.IP
	if text == "" {
		text = q.Network
	}
	var errs []error
	network, err := ban.ParseNetwork(text)
	switch {
	case (q.IP == "") == (q.Network == ""):
		errs = append(errs, errors.New(`a ban has one of "ip" and "network"`))
	case q.IP != "" && strings.Contains(q.IP, "/"):
		errs = append(errs, errors.New(quoted(q.IP)+` is no address; a network is given as "network"`))
	case err != nil:
		errs = append(errs, err)
	}
	life, err := ban.ParseTime(string(q.For))
	errs = append(errs, err)
	action, ok := banActions[q.Action]
	if !ok {
		errs = append(errs, errors.New(quoted(q.Action)+" is none of block, challenge and throttle"))
	}
	if err := errors.Join(errs...); err != nil {
		return badBan(err)
	}
	if why := g.ours(x, network); why != "" && !q.Force {
		return &problem{
			status: http.StatusConflict, slug: "own-address", title: "This would shut out your own",
			detail:  network.String() + " has " + why + `. To ban it nevertheless say "force": true.`,
			example: exampleBan,
		}
	}
	e, err := g.Bans.Add(ban.Ban{Network: network, Action: action, Until: x.clock().Add(life), Reason: q.Reason})
	if errors.Is(err, ban.ErrFull) {
		return &problem{status: http.StatusInsufficientStorage, slug: "bans-full", title: "Too many bans", detail: sentence(err) + ".", example: exampleBans}
	}
	if err != nil {
		return badBan(err)
	}
	x.out = append(appendBan(x.out[:0], &e), '\n')
	x.answerGate(http.StatusOK)
	return nil
}

// ours says what of the operator's own a ban would shut out; "" for nothing.
func (g *gateRoutes) ours(x *exchange, network netip.Prefix) string {
	for _, p := range [...]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")} {
		if network.Overlaps(p) {
			return "loopback in it"
		}
	}
	for _, p := range g.Trusted {
		if network.Overlaps(p) {
			return "the trusted proxy " + p.String() + " in it"
		}
	}
	if peer, _ := ipwarden.Canonical(x.peer); peer.IsValid() && network.Contains(peer) {
		return "your own address in it"
	}
	return ""
}

// listBans answers GET /v1/bans.
func (x *exchange) listBans(t *ban.Table) *problem {
	query, err := url.ParseQuery(x.query)
	most, of := bansListed, netip.Addr{}
	for name, values := range query {
		switch {
		case len(values) > 1:
			return badParameter(quoted(name)+" is there twice.", exampleBans)
		case name == "ip":
			addr, err := ipwarden.ParseAddr(values[0])
			if err != nil {
				p := badAddress(values[0], err)
				p.example = exampleBans
				return p
			}
			of, _ = ipwarden.Canonical(addr)
		case name == "limit":
			if most, err = strconv.Atoi(values[0]); err != nil || most < 1 || most > ban.DefaultMost {
				return badParameter("limit="+quoted(values[0])+" is no number from 1 to "+strconv.Itoa(ban.DefaultMost)+".", "GET /v1/bans?limit=1000")
			}
		default:
			return badParameter("There is no parameter "+quoted(name)+" here; there are ip and limit.", exampleBans)
		}
	}
	if err != nil {
		return badParameter("The query cannot be read.", exampleBans)
	}
	list, all := t.List(of, most)
	x.out = strconv.AppendInt(append(x.out[:0], `{"count":`...), int64(all), 10)
	x.out = strconv.AppendBool(append(x.out, `,"truncated":`...), len(list) < all)
	x.out = append(x.out, `,"bans":[`...)
	for i := range list {
		if i > 0 {
			x.out = append(x.out, ',')
		}
		x.out = appendBan(x.out, &list[i])
	}
	x.out = append(x.out, "]}\n"...)
	x.answerGate(http.StatusOK)
	return nil
}

// liftBan answers DELETE /v1/bans/{network}. What is not banned is let in as well,
// so that is no mistake.
func (x *exchange) liftBan(t *ban.Table, text string) *problem {
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	network, err := ban.ParseNetwork(text)
	if err != nil {
		p := badBan(err)
		p.example = exampleLift
		return p
	}
	lifted := t.Lift(network)
	x.out = network.AppendTo(append(x.out[:0], `{"network":"`...))
	x.out = strconv.AppendBool(append(x.out, `","lifted":`...), lifted)
	if b := t.Find(network.Addr(), x.clock()); b != nil && b.Network.Bits() <= network.Bits() {
		x.out = append(b.Network.AppendTo(append(x.out, `,"banned_by":"`...)), '"')
	}
	x.out = append(x.out, '}', '\n')
	x.answerGate(http.StatusOK)
	return nil
}

func appendBan(dst []byte, e *ban.Entry) []byte {
	dst = e.Network.AppendTo(append(dst, `{"network":"`...))
	dst = append(append(dst, `","action":"`...), e.Action.String()...)
	dst = e.Since.UTC().AppendFormat(append(dst, `","since":"`...), time.RFC3339)
	dst = e.Until.UTC().AppendFormat(append(dst, `","until":"`...), time.RFC3339)
	dst = append(dst, '"')
	switch {
	case e.OverLimit:
		dst = ipwarden.AppendString(append(dst, `,"limit":`...), e.Reason)
	case e.Reason != "":
		dst = ipwarden.AppendString(append(dst, `,"reason":`...), e.Reason)
	}
	return append(dst, '}')
}

func badBan(err error) *problem {
	return &problem{
		status: http.StatusBadRequest, slug: "bad-ban", title: "This ban cannot be made", detail: sentence(err) + ".", example: exampleBan,
	}
}

// sentence puts several mistakes into one.
func sentence(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
