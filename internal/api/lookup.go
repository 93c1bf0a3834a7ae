package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"github.com/ipwarden/ipwarden"
)

const paramsAnswer = paramFields | paramExplain | paramFormat

// lookup answers GET /v1/ip/{ip}.
func (x *exchange) lookup(segment string) *problem {
	rec, text, p := x.find(segment, segment)
	if p != nil {
		return p
	}
	o, p := x.options(paramsAnswer)
	if p != nil {
		return p
	}
	if o, p = x.mine(o); p != nil {
		return p
	}
	f, p := x.choose(o.format, offerAnswer)
	if p != nil {
		return p
	}
	x.cache = x.cacheFor(rec, o)
	return x.answer(rec, text, o, f)
}

// caller answers GET /v1/ip: who the peer of the connection is. Forwarding
// headers are not read; somebody behind a proxy is asked about by address.
func (x *exchange) caller() *problem {
	if !x.peer.IsValid() {
		return unknownCaller()
	}
	rec, p := x.ask(x.peer)
	if p != nil {
		return p
	}
	o, p := x.options(paramsAnswer)
	if p != nil {
		return p
	}
	if o, p = x.mine(o); p != nil {
		return p
	}
	f, p := x.choose(o.format, offerAnswer)
	if p != nil {
		return p
	}
	x.cache = x.cacheFor(rec, o).forCaller()
	return x.answer(rec, "", o, f)
}

// single answers GET /v1/ip/{ip}/{field} with the bare value.
func (x *exchange) single(whole, segment, name string) *problem {
	rec, text, p := x.find(segment, whole)
	if p != nil {
		return p
	}
	if _, p := x.options(0); p != nil {
		return p
	}
	name, ok := unescape(name, false)
	if !ok {
		return malformed()
	}
	field, ok := ipwarden.FieldNamed(name)
	if !ok {
		return unknownField(name, segment)
	}
	if _, p := x.choose(anyFormat, offerText); p != nil {
		return p
	}
	o := options{seen: paramFields, fields: ipwarden.FieldsOf(field)}
	if _, p := x.mine(&o); p != nil {
		return p
	}
	o.volatile, o.zoned = field == ipwarden.FieldTimeZoneCurrentTime, o.fields.Any(zonedFields)
	v := x.view(&o)
	v.Query = text
	out, known := v.AppendText(x.out[:0], rec, field)
	if !known {
		return &problem{
			status: http.StatusNotFound, slug: "unknown-value", title: "Nothing is known",
			detail:  "Nothing is known of " + name + " for " + rec.Addr().String() + ".",
			example: exampleLookup + "/ip",
		}
	}
	keepToLine(out)
	x.cache = x.cacheFor(rec, &o)
	x.out = append(out, '\n')
	x.ok(formatText)
	return nil
}

func unknownField(name, addr string) *problem {
	p := &problem{status: http.StatusNotFound, slug: "unknown-field", title: "No such field", example: exampleLookup + "/location.country_code"}
	fields, err := ipwarden.ParseFields(name)
	var fe *ipwarden.FieldError
	switch {
	case err == nil && fields.Len() > 1 && isGroup(name):
		p.detail = quoted(name) + " is a group of fields: name one of them, or ask for all as JSON with ?fields=" + name + "."
		p.example = exampleLookup + "?fields=" + name
	case errors.As(err, &fe) && fe.Nearest != "":
		p.detail = quoted(name) + " is no field; did you mean " + quoted(fe.Nearest) + "?"
		p.example = exampleLookup + "/" + fe.Nearest
	default:
		p.detail = quoted(name) + " is no field of an answer. The fields are the dotted paths of the JSON; /docs lists them."
	}
	return p
}

// isGroup reports whether name is written as the path of one group.
func isGroup(name string) bool {
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// find parses the address of a path segment and looks it up. text is the
// decoded segment. whole is what a refusal repeats.
func (x *exchange) find(segment, whole string) (rec ipwarden.Record, text string, p *problem) {
	text, ok := unescape(segment, false)
	if !ok {
		x.closing = true // net/http refuses such a target before we see it
		return rec, "", malformed()
	}
	addr, err := ipwarden.ParseAddr(text)
	if err != nil {
		if whole, ok := unescape(whole, false); ok {
			text = whole
		}
		return rec, text, badAddress(text, err)
	}
	rec, p = x.ask(addr)
	return rec, text, p
}

// ask looks an address up, spelled in any way.
func (x *exchange) ask(addr netip.Addr) (ipwarden.Record, *problem) {
	if x.st.data == nil {
		return ipwarden.Record{}, noData()
	}
	canonical, transition := ipwarden.Canonical(addr)
	if x.st.asks != nil {
		return x.askOutside(canonical, addr)
	}
	rec, err := x.st.data.Lookup(x.ctx, canonical)
	if err != nil {
		return rec, x.failed(err)
	}
	return rec.Asked(transition, addr.Zone() != ""), nil
}

// askOutside is ask where providers are asked too.
func (x *exchange) askOutside(canonical, addr netip.Addr) (ipwarden.Record, *problem) {
	rec, pending, err := x.st.asks.Ask(x.ctx, canonical, ipwarden.IntelligenceDefault, 0)
	if err != nil {
		return rec, x.failed(err)
	}
	x.pending = pending
	_, transition := ipwarden.Canonical(addr)
	return rec.Asked(transition, addr.Zone() != ""), nil
}

// failed turns the error of a Source into a problem. What the error says stays
// in the log: it may name an upstream.
func (x *exchange) failed(err error) *problem {
	if errors.Is(err, context.Canceled) {
		x.closing = true
	}
	x.api.cfg.Log.Error("look-up failed", "error", err)
	return &problem{
		status: http.StatusBadGateway, slug: "source-failed", title: "The source of the data failed",
		detail: "The look-up could not be answered now. Asking again later may work.", example: exampleLookup,
	}
}

// view shows what o asks for.
func (x *exchange) view(o *options) *ipwarden.View {
	x.shown = ipwarden.View{Fields: o.fields, Now: x.now, Scores: x.api.cfg.Scores, Explain: o.explain, Kept: o.kept.Load()}
	return &x.shown
}

// answer writes one Record in the chosen form.
func (x *exchange) answer(rec ipwarden.Record, text string, o *options, f format) *problem {
	v := x.view(o)
	v.Query = text
	switch f {
	case formatYAML:
		x.out = appendYAML(x.out[:0], v.AppendJSON(nil, rec))
	case formatCSV:
		if o.explain {
			return badParameter("explain does not fit into CSV; ask for JSON, YAML or text.", exampleLookup+"?explain=1&format=yaml")
		}
		x.out = appendCSVHeader(x.out[:0], o.fields)
		x.out = appendCSVRecord(x.out, v, rec)
	case formatText:
		x.out = appendCard(x.out[:0], v, rec)
	default:
		x.out = append(v.AppendJSON(x.out[:0], rec), '\n')
	}
	x.ok(f)
	return nil
}
