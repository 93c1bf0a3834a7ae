package dialect

import (
	"net/http"

	"github.com/ipwarden/ipwarden"
)

// ipinfo is IPinfo's API: what they call legacy at ipinfo.io, Lite at
// api.ipinfo.io/lite, Core and Plus at api.ipinfo.io/lookup, and batches of all.
//
// Core and Plus have one route there, and the token says which. A Plus answer
// has everything that a Core one has, so everybody gets that.
type ipinfo struct{}

func (ipinfo) credential(c *Call) Credential {
	h := c.Transport.Fields()
	user, _ := basic(h)
	return keyOf(authorization(h, "Bearer"), user, param(c.Query, "token"))
}

func (v ipinfo) serve(c *Call) {
	var s [maxSegments]string
	n := segments(c.path, &s)
	if c.Method == http.MethodPost {
		v.post(c, s[:max(n, 0)], n)
		return
	}
	v.get(c, s[:max(n, 0)], n)
	v.wrap(c)
}

// get answers what a path names: that of a request, or an item of a batch.
func (v ipinfo) get(c *Call, s []string, n int) {
	render := (*Call).ipinfoLegacy
	product, fields := "", liteFields
	if n > 0 {
		switch s[0] {
		case "lite":
			render, product = (*Call).ipinfoLite, s[0]
		case "lookup", "plus", "max":
			render, product, fields = (*Call).ipinfoPlus, s[0], plusFields
		}
	}
	if product != "" {
		s, n = s[1:], n-1
	}
	var rec ipwarden.Record
	ok := false
	switch {
	case n < 0:
		v.wrongIP(c, product)
		return
	case n == 0, s[0] == "me" && product != "":
		rec, ok = c.own()
		s = s[min(n, 1):]
	case product == "" && v.special(c, s):
		return
	default:
		if number, isAS, valid := parseAS(s[0]); isAS && product == "" {
			v.system(c, s, number, valid)
			return
		}
		addr, isAddr := parseAddr(s[0])
		switch {
		case isAddr:
			rec, ok = c.look(addr)
			s = s[1:]
		case n == 1 && product == "" && (s[0] == "json" || isIPinfoField(s[0])):
			rec, ok = c.own()
		default:
			v.wrongIP(c, product)
			return
		}
	}
	if !ok {
		return
	}
	c.about(rec)
	switch {
	case len(s) == 0, len(s) == 1 && s[0] == "json":
		c.ContentType = typeJSONUTF
		c.Out = append(render(c, c.Out, rec), '\n')
	case len(s) == 1 && product == "":
		v.field(c, rec, s[0])
	case product != "":
		v.part(c, rec, s, fields, render)
	default:
		v.wrongField(c)
	}
}

// bogon is the whole answer for an address that nobody may use on the Internet.
func (c *Call) ipinfoBogon(dst []byte, rec ipwarden.Record) ([]byte, bool) {
	dst = address(dst, `{"ip":`, rec.Addr())
	if rec.Traits().Has(ipwarden.Bogon) {
		return append(dst, `,"bogon":true}`...), true
	}
	return dst, false
}

func (c *Call) ipinfoLegacy(dst []byte, rec ipwarden.Record) []byte {
	dst, bogon := c.ipinfoBogon(dst, rec)
	if bogon {
		return dst
	}
	t, loc, as := rec.Traits(), rec.Location(), rec.ASN()
	if t.Has(ipwarden.Anycast) {
		dst = append(dst, `,"anycast":true`...)
	}
	dst = known(dst, `,"city":`, loc.City)
	dst = known(dst, `,"region":`, loc.Region)
	dst = text(dst, `,"country":`, loc.CountryCode) // without it the vendor's Python client breaks
	if loc.HasCoordinates {
		dst = append(appendLoc(append(dst, `,"loc":"`...), &loc), '"')
	}
	if as.Number != 0 {
		c.scratch = appendOrg(c.scratch[:0], &as)
		dst = ipwarden.AppendString(append(dst, `,"org":`...), string(c.scratch))
	}
	dst = known(dst, `,"postal":`, loc.Postal)
	dst = known(dst, `,"timezone":`, loc.TimeZone.ID)
	if as.Number != 0 {
		dst = appendIPinfoASN(append(dst, `,"asn":`...), &as)
	}
	if co := rec.Company(); co.Name != "" {
		dst = appendIPinfoCompany(append(dst, `,"company":`...), &co)
	}
	if ca := rec.Carrier(); ca.Name != "" {
		dst = appendIPinfoCarrier(append(dst, `,"carrier":`...), &ca)
	}
	dst = appendIPinfoPrivacy(append(dst, `,"privacy":`...), rec)
	return append(dst, '}')
}

func appendLoc(dst []byte, loc *ipwarden.Location) []byte {
	dst = append(appendDegrees(dst, loc.Latitude), ',')
	return appendDegrees(dst, loc.Longitude)
}

// appendOrg appends "AS15169 Google LLC".
func appendOrg(dst []byte, as *ipwarden.ASN) []byte {
	dst = asNumber(dst, as.Number)
	if as.Name != "" {
		dst = append(append(dst, ' '), as.Name...)
	}
	return dst
}

func appendIPinfoASN(dst []byte, as *ipwarden.ASN) []byte {
	dst = asMember(dst, `{"asn":`, as.Number)
	dst = text(dst, `,"name":`, as.Name)
	dst = text(dst, `,"domain":`, as.Domain)
	dst = network(dst, `,"route":`, as.Route)
	return append(text(dst, `,"type":`, as.Kind), '}')
}

func appendIPinfoCompany(dst []byte, co *ipwarden.Company) []byte {
	dst = text(dst, `{"name":`, co.Name)
	dst = text(dst, `,"domain":`, co.Domain)
	return append(text(dst, `,"type":`, co.Kind), '}')
}

func appendIPinfoCarrier(dst []byte, ca *ipwarden.Carrier) []byte {
	dst = text(dst, `{"name":`, ca.Name)
	dst = text(dst, `,"mcc":`, ca.MCC)
	return append(text(dst, `,"mnc":`, ca.MNC), '}')
}

func appendIPinfoPrivacy(dst []byte, rec ipwarden.Record) []byte {
	t := rec.Traits()
	dst = truth(dst, `{"vpn":`, t.Has(ipwarden.VPN))
	dst = truth(dst, `,"proxy":`, t.Has(ipwarden.Proxy|ipwarden.ResidentialProxy))
	dst = truth(dst, `,"tor":`, t.Has(ipwarden.Tor))
	dst = truth(dst, `,"relay":`, t.Has(ipwarden.Relay))
	dst = truth(dst, `,"hosting":`, t.Has(ipwarden.Hosting))
	return append(text(dst, `,"service":`, rec.Security().VPN), '}')
}

func (c *Call) ipinfoLite(dst []byte, rec ipwarden.Record) []byte {
	dst, bogon := c.ipinfoBogon(dst, rec)
	if bogon {
		return dst
	}
	// All of them are required by the vendor's specification.
	loc, as := rec.Location(), rec.ASN()
	if as.Number != 0 {
		dst = asMember(dst, `,"asn":`, as.Number)
	} else {
		dst = append(dst, `,"asn":""`...)
	}
	dst = text(dst, `,"as_name":`, as.Name)
	dst = text(dst, `,"as_domain":`, as.Domain)
	dst = text(dst, `,"country_code":`, loc.CountryCode)
	dst = text(dst, `,"country":`, loc.Country)
	dst = text(dst, `,"continent_code":`, loc.ContinentCode)
	return append(text(dst, `,"continent":`, loc.Continent), '}')
}

func (c *Call) ipinfoPlus(dst []byte, rec ipwarden.Record) []byte {
	dst, bogon := c.ipinfoBogon(dst, rec)
	if bogon {
		return dst
	}
	t, as, ca := rec.Traits(), rec.ASN(), rec.Carrier()
	dst = appendIPinfoGeo(append(dst, `,"geo":`...), rec)
	dst = append(dst, `,"as":{`...)
	if as.Number != 0 {
		dst = asMember(dst, `"asn":`, as.Number)
		dst = text(dst, `,"name":`, as.Name)
		dst = text(dst, `,"domain":`, as.Domain)
		dst = text(dst, `,"type":`, as.Kind)
	}
	dst = append(dst, `},"mobile":{`...)
	if ca.Name != "" {
		dst = text(dst, `"name":`, ca.Name)
		dst = known(dst, `,"mcc":`, ca.MCC)
		dst = known(dst, `,"mnc":`, ca.MNC)
	}
	dst = append(dst, `},"anonymous":{`...)
	dst = truth(dst, `"is_proxy":`, t.Has(ipwarden.Proxy|ipwarden.ResidentialProxy))
	dst = truth(dst, `,"is_relay":`, t.Has(ipwarden.Relay))
	dst = truth(dst, `,"is_tor":`, t.Has(ipwarden.Tor))
	dst = truth(dst, `,"is_vpn":`, t.Has(ipwarden.VPN))
	dst = truth(dst, `,"is_res_proxy":`, t.Has(ipwarden.ResidentialProxy))
	dst = known(dst, `,"name":`, rec.Security().VPN)
	dst = truth(dst, `},"is_anonymous":`, t.Has(ipwarden.Anonymous))
	dst = truth(dst, `,"is_anycast":`, t.Has(ipwarden.Anycast))
	dst = truth(dst, `,"is_hosting":`, t.Has(ipwarden.Hosting))
	dst = truth(dst, `,"is_mobile":`, t.Has(ipwarden.Mobile))
	return append(truth(dst, `,"is_satellite":`, t.Has(ipwarden.Satellite)), '}')
}

func appendIPinfoGeo(dst []byte, rec ipwarden.Record) []byte {
	loc := rec.Location()
	start := len(dst)
	dst = known(dst, `,"city":`, loc.City)
	dst = known(dst, `,"region":`, loc.Region)
	dst = known(dst, `,"region_code":`, loc.RegionCode)
	dst = known(dst, `,"country":`, loc.Country)
	dst = known(dst, `,"country_code":`, loc.CountryCode)
	dst = known(dst, `,"continent":`, loc.Continent)
	dst = known(dst, `,"continent_code":`, loc.ContinentCode)
	if loc.HasCoordinates {
		dst = degrees(dst, `,"latitude":`, loc.Latitude)
		dst = degrees(dst, `,"longitude":`, loc.Longitude)
	}
	dst = known(dst, `,"timezone":`, loc.TimeZone.ID)
	dst = known(dst, `,"postal_code":`, loc.Postal)
	if loc.AccuracyKM != 0 {
		dst = number(dst, `,"radius":`, int64(loc.AccuracyKM))
	}
	return closeObject(dst, start)
}

// ipinfoText has the fields of the legacy answer that are given as text.
var ipinfoText = map[string]func(c *Call, dst []byte, rec ipwarden.Record) []byte{
	"ip":       func(_ *Call, dst []byte, rec ipwarden.Record) []byte { return rec.Addr().AppendTo(dst) },
	"hostname": func(_ *Call, dst []byte, _ ipwarden.Record) []byte { return dst },
	"city":     func(_ *Call, dst []byte, rec ipwarden.Record) []byte { return append(dst, rec.Location().City...) },
	"region":   func(_ *Call, dst []byte, rec ipwarden.Record) []byte { return append(dst, rec.Location().Region...) },
	"country":  func(_ *Call, dst []byte, rec ipwarden.Record) []byte { return append(dst, rec.CountryCode()...) },
	"postal":   func(_ *Call, dst []byte, rec ipwarden.Record) []byte { return append(dst, rec.Location().Postal...) },
	"timezone": func(_ *Call, dst []byte, rec ipwarden.Record) []byte {
		return append(dst, rec.Location().TimeZone.ID...)
	},
	"loc": func(_ *Call, dst []byte, rec ipwarden.Record) []byte {
		if loc := rec.Location(); loc.HasCoordinates {
			dst = appendLoc(dst, &loc)
		}
		return dst
	},
	"org": func(_ *Call, dst []byte, rec ipwarden.Record) []byte {
		if as := rec.ASN(); as.Number != 0 {
			dst = appendOrg(dst, &as)
		}
		return dst
	},
	"anycast": func(_ *Call, dst []byte, rec ipwarden.Record) []byte {
		if rec.Traits().Has(ipwarden.Anycast) {
			dst = append(dst, "true"...)
		}
		return dst
	},
	"bogon": func(_ *Call, dst []byte, rec ipwarden.Record) []byte {
		if rec.Traits().Has(ipwarden.Bogon) {
			dst = append(dst, "true"...)
		}
		return dst
	},
}

// isIPinfoField reports whether a path of one segment is a field of the own address.
func isIPinfoField(name string) bool {
	switch name {
	case "asn", "company", "carrier", "privacy", "privacy_extended", "geo", "abuse", "domains":
		return true
	}
	return ipinfoText[name] != nil
}

// field answers one field of the legacy answer: text, or JSON where it is an object.
func (v ipinfo) field(c *Call, rec ipwarden.Record, name string) {
	if f := ipinfoText[name]; f != nil {
		c.ContentType = typeText
		c.Out = append(f(c, c.Out, rec), '\n')
		return
	}
	c.ContentType = typeJSONUTF
	switch as := rec.ASN(); name {
	case "asn":
		if as.Number == 0 {
			c.Out = append(c.Out, "{}"...)
			break
		}
		c.Out = appendIPinfoASN(c.Out, &as)
	case "company":
		co := rec.Company()
		if co.Name == "" {
			c.Out = append(c.Out, "{}"...)
			break
		}
		c.Out = appendIPinfoCompany(c.Out, &co)
	case "carrier":
		ca := rec.Carrier()
		if ca.Name == "" {
			c.Out = append(c.Out, "{}"...)
			break
		}
		c.Out = appendIPinfoCarrier(c.Out, &ca)
	case "privacy", "privacy_extended": // how it was found out is not in our data
		c.Out = appendIPinfoPrivacy(c.Out, rec)
	case "resproxy":
		v.residential(c, rec)
		return
	case "geo":
		c.Out = c.appendIPinfoPlace(c.Out, rec)
	case "abuse", "domains": // of which our data has nothing
		c.Out = append(c.Out, "{}"...)
	default:
		v.wrongField(c)
		return
	}
	c.Out = append(c.Out, '\n')
}

// appendIPinfoPlace is the answer of /geo: the place alone.
func (c *Call) appendIPinfoPlace(dst []byte, rec ipwarden.Record) []byte {
	dst, bogon := c.ipinfoBogon(dst, rec)
	if bogon {
		return dst
	}
	loc := rec.Location()
	dst = known(dst, `,"city":`, loc.City)
	dst = known(dst, `,"region":`, loc.Region)
	dst = known(dst, `,"country":`, loc.CountryCode)
	if loc.HasCoordinates {
		dst = append(appendLoc(append(dst, `,"loc":"`...), &loc), '"')
	}
	dst = known(dst, `,"postal":`, loc.Postal)
	return append(known(dst, `,"timezone":`, loc.TimeZone.ID), '}')
}

// problem writes IPinfo's usual envelope.
func (ipinfo) problem(c *Call, status int, title, message string) {
	c.restart(status)
	c.ContentType = typeJSONUTF
	c.Out = append(appendIPinfoProblem(c.Out, status, title, message), '\n')
}

func appendIPinfoProblem(dst []byte, status int, title, message string) []byte {
	dst = number(dst, `{"status":`, int64(status))
	dst = text(dst, `,"error":{"title":`, title)
	return append(text(dst, `,"message":`, message), '}', '}')
}

func (v ipinfo) fail(c *Call, f failure) {
	if f == broken {
		c.ContentType = typeText
		c.Out = append(append(c.Out, f.String()...), '\n')
		return
	}
	v.problem(c, f.status(), http.StatusText(f.status()), f.String())
}
