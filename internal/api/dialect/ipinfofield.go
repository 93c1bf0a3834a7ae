package dialect

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// What Lite, Core and Plus may be asked for alone: the members of their answers,
// and of the objects in them. One that is not known is not in the answer.
var (
	liteFields = fieldsOf("ip asn as_name as_domain country_code country continent_code continent bogon")
	plusFields = fieldsOf("ip bogon geo as mobile anonymous is_anonymous is_anycast is_hosting is_mobile is_satellite " +
		"geo/city geo/region geo/region_code geo/country geo/country_code geo/continent geo/continent_code geo/latitude geo/longitude " +
		"geo/timezone geo/postal_code geo/radius geo/dma_code geo/geoname_id geo/last_changed as/asn as/name as/domain as/type as/last_changed " +
		"mobile/name mobile/mcc mobile/mnc anonymous/is_proxy anonymous/is_relay anonymous/is_tor anonymous/is_vpn anonymous/is_res_proxy " +
		"anonymous/name")
)

func fieldsOf(names string) map[string]bool {
	m := make(map[string]bool)
	for name := range strings.FieldsSeq(names) {
		m[name] = true
	}
	return m
}

// part answers one member of an answer of Lite, Core or Plus: text, or JSON where
// it is an object. It is read out of the whole answer, so that both say the same.
func (v ipinfo) part(c *Call, rec ipwarden.Record, s []string, known map[string]bool, render func(*Call, []byte, ipwarden.Record) []byte) {
	if name := strings.Join(s, "/"); !known[name] {
		v.mistake(c, http.StatusNotFound, clip(name)+" is not a valid field.")
		return
	}
	value := json.RawMessage(render(c, nil, rec))
	for _, name := range s {
		var members map[string]json.RawMessage
		_ = json.Unmarshal(value, &members) // our own; of null there are none
		value = members[name]
	}
	c.ContentType = typeText
	var text string
	switch {
	case len(value) == 0:
	case value[0] == '{':
		c.ContentType = typeJSONUTF
		c.Out = append(c.Out, value...)
	case json.Unmarshal(value, &text) == nil:
		c.Out = append(c.Out, text...)
	default:
		c.Out = append(c.Out, value...)
	}
	c.Out = append(c.Out, '\n')
}

// wrap makes a JSON answer the argument of the function that the query names, as
// pages do that load it as a script (JSONP).
func (v ipinfo) wrap(c *Call) {
	name := param(c.Query, "callback")
	if name == "" || c.ContentType != typeJSONUTF {
		return
	}
	if !goodCallback(name) {
		v.problem(c, http.StatusBadRequest, "Invalid callback", "Please provide the name of a function")
		return
	}
	c.ContentType = typeScript
	c.Out = append(jsonp(name, withoutLineEnd(c.Out)), '\n')
}

// jsonp is a script that calls a function, where there is one, with a JSON value.
func jsonp(name string, value []byte) []byte {
	dst := make([]byte, 0, len(value)+2*len(name)+40)
	dst = append(append(append(dst, "/**/ typeof "...), name...), " === 'function' && "...)
	dst = append(append(append(dst, name...), '('), value...)
	return append(dst, ");"...)
}

// lines reads a question that is a list, an item a line, as IPinfo's batches may
// be. It is none where the body begins as JSON does.
func lines(body []byte, limit int) ([]item, itemsError) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || bytes.IndexByte([]byte(`[{"`), body[0]) >= 0 {
		return nil, itemsBad
	}
	var all []item
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if len(all) == limit {
			return nil, itemsMany
		}
		all = append(all, item{text: string(bytes.ToValidUTF8(line, []byte("\uFFFD"))), ok: true})
	}
	return all, itemsRead
}
