package overlayfile

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/overlay"
)

// maxText bounds a text fact, in bytes, as feeds are bounded.
const maxText = 256

// Fields that nobody can assert: they follow from the address, from other
// fields or from the time of the answer.
var derivedFields = ipwarden.FieldsOf(
	ipwarden.FieldIP, ipwarden.FieldQuery, ipwarden.FieldVersion, ipwarden.FieldNetwork,
	ipwarden.FieldTransition, ipwarden.FieldZone, ipwarden.FieldTimeZoneAbbr,
	ipwarden.FieldTimeZoneOffset, ipwarden.FieldTimeZoneIsDST, ipwarden.FieldTimeZoneCurrentTime,
	ipwarden.FieldIsAnonymous, ipwarden.FieldIsThreat, ipwarden.FieldScoreVPN, ipwarden.FieldScoreProxy,
	ipwarden.FieldScoreThreat, ipwarden.FieldScoreTrust, ipwarden.FieldDatasetDate,
)

// words that a field is limited to.
var words = map[ipwarden.Field][]string{
	ipwarden.FieldContinentCode:  {"AF", "AN", "AS", "EU", "NA", "OC", "SA"},
	ipwarden.FieldASKind:         {"business", "education", "government", "hosting", "isp"},
	ipwarden.FieldCompanyKind:    {"business", "education", "government", "hosting", "isp"},
	ipwarden.FieldASRegistry:     {"afrinic", "apnic", "arin", "lacnic", "ripencc"},
	ipwarden.FieldCrawlerPurpose: {"search", "ai_training", "user_triggered", "monitoring", "preview", "other"},
}

// fact reads one pair of an entry's facts.
func (d *document) fact(p yamldoc.Pair) (overlay.Fact, bool) {
	f, ok := ipwarden.FieldNamed(p.Key)
	if !ok {
		_, err := ipwarden.ParseFields(p.Key)
		if err == nil {
			d.At(p.Token, fmt.Sprintf("%s is a group; set its fields one by one, such as %s", p.Key, firstOf(p.Key)))
			return overlay.Fact{}, false
		}
		var unknown *ipwarden.FieldError
		if errors.As(err, &unknown) && unknown.Nearest == "" {
			unknown.Nearest = yamldoc.Nearest(p.Key, fieldNames())
		}
		d.At(p.Token, err.Error())
		return overlay.Fact{}, false
	}
	if derivedFields.Has(f) {
		d.At(p.Token, p.Key+" cannot be set: it follows from the address, from other fields or from the time")
		return overlay.Fact{}, false
	}
	v, ok := d.factValue(f, p)
	return overlay.Fact{Field: f, Value: v}, ok
}

func (d *document) factValue(f ipwarden.Field, p yamldoc.Pair) (any, bool) {
	n := p.Value
	switch f {
	case ipwarden.FieldLatitude:
		return d.Number(n, p.Key, -90, 90)
	case ipwarden.FieldLongitude:
		return d.Number(n, p.Key, -180, 180)
	case ipwarden.FieldAccuracyKM:
		return d.Integer(n, p.Key, 1, 20037) // km: half the way round the Earth
	case ipwarden.FieldASNumber:
		return d.Integer(n, p.Key, 1, 1<<32-1)
	case ipwarden.FieldIsEU:
		return d.Boolean(n, p.Key)
	case ipwarden.FieldLanguages:
		return d.languages(n, p.Key)
	case ipwarden.FieldListings:
		return d.listings(n, p.Key)
	}
	if f.Traits() != 0 {
		return d.Boolean(n, p.Key)
	}
	s, ok := d.Text(n, p.Key)
	if !ok {
		return nil, false
	}
	if why := CheckText(f, s); why != "" {
		d.At(n.GetToken(), p.Key+" "+why)
		return nil, false
	}
	if f == ipwarden.FieldASRoute {
		prefix, _ := netip.ParsePrefix(s)
		return prefix.Masked(), true
	}
	return s, true
}

// CheckText says what is wrong with a text fact, "" when nothing is.
func CheckText(f ipwarden.Field, s string) string {
	switch {
	case s == "":
		return "is empty; leave the line out when it is unknown"
	case len(s) > maxText:
		return fmt.Sprintf("is longer than %d bytes", maxText)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "holds control characters"
	}
	if allowed := words[f]; allowed != nil {
		for _, w := range allowed {
			if s == w {
				return ""
			}
		}
		return "must be one of " + strings.Join(allowed, ", ")
	}
	switch f {
	case ipwarden.FieldCountryCode:
		if !upper(s, 2) {
			return "must be an ISO 3166-1 code of two capital letters, such as SE"
		}
	case ipwarden.FieldCurrencyCode:
		if !upper(s, 3) {
			return "must be an ISO 4217 code of three capital letters, such as SEK"
		}
	case ipwarden.FieldTimeZoneID:
		if _, err := time.LoadLocation(s); err != nil || s == "Local" {
			return "must be an IANA time zone, such as Europe/Stockholm"
		}
	case ipwarden.FieldCallingCode, ipwarden.FieldCarrierMCC, ipwarden.FieldCarrierMNC:
		if strings.Trim(s, "0123456789") != "" {
			return "must be digits only"
		}
	case ipwarden.FieldASRoute:
		if _, err := netip.ParsePrefix(s); err != nil {
			return "must be a prefix, such as 203.0.113.0/24"
		}
	}
	return ""
}

func upper(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// maxList bounds languages and listings.
const maxList = 32

func (d *document) languages(n ast.Node, what string) ([]ipwarden.Language, bool) {
	items, ok := d.list(n, what)
	codes := make([]ipwarden.Language, 0, len(items))
	for _, item := range items {
		s, isText := d.Text(item, what)
		if !isText {
			return nil, false
		}
		if why := CheckText(ipwarden.FieldLanguages, s); why != "" {
			d.At(item.GetToken(), what+" "+why)
			return nil, false
		}
		codes = append(codes, ipwarden.Language{Code: s})
	}
	return codes, ok
}

func (d *document) list(n ast.Node, what string) ([]ast.Node, bool) {
	seq, isList := n.(*ast.SequenceNode)
	if !isList || len(seq.Values) > maxList {
		d.At(n.GetToken(), fmt.Sprintf("%s must be a list of at most %d items", what, maxList))
		return nil, false
	}
	return seq.Values, true
}

func (d *document) listings(n ast.Node, what string) ([]ipwarden.Listing, bool) {
	items, ok := d.list(n, what)
	listings := make([]ipwarden.Listing, 0, len(items))
	for _, item := range items {
		pairs, isMap := d.Mapping(item, "a listing")
		ok = ok && isMap
		var l ipwarden.Listing
		for _, p := range pairs {
			var s string
			switch p.Key {
			case "name", "type", "url", "date":
				var good bool
				if s, good = d.Text(p.Value, p.Key); !good {
					ok = false
					continue
				}
				if why := CheckText(ipwarden.FieldListings, s); why != "" {
					d.At(p.Value.GetToken(), p.Key+" "+why)
					ok = false
				}
			}
			switch p.Key {
			case "name":
				l.Name = s
			case "type":
				l.Type = s
			case "url":
				l.URL = s
			case "date":
				date, good := d.date(p.Value, "date")
				l.Date, ok = date, ok && good
			default:
				d.UnknownKey(p, "a listing", []string{"name", "type", "url", "date"})
				ok = false
			}
		}
		if isMap && (l.Name == "" || l.Type == "") {
			d.At(item.GetToken(), "a listing needs a name and a type")
			ok = false
		}
		listings = append(listings, l)
	}
	return listings, ok
}

// firstOf returns the first leaf of a group, for the example in a message.
func firstOf(group string) string {
	for f := range ipwarden.AllFields() {
		if strings.HasPrefix(f.String(), group+".") {
			return f.String()
		}
	}
	return "location.country_code"
}

func fieldNames() []string {
	var names []string
	for f := range ipwarden.AllFields() {
		names = append(names, f.String())
	}
	return names
}
