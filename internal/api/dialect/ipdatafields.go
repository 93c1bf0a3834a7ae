package dialect

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
)

// ipdataFields is a set of members of an answer.
type ipdataFields uint32

// The members, in the order of an answer.
const (
	ipdataIP ipdataFields = 1 << iota
	ipdataIsEU
	ipdataCity
	ipdataRegion
	ipdataRegionCode
	ipdataRegionType
	ipdataCountryName
	ipdataCountryCode
	ipdataContinentName
	ipdataContinentCode
	ipdataLatitude
	ipdataLongitude
	ipdataPostal
	ipdataCallingCode
	ipdataFlag
	ipdataEmojiFlag
	ipdataEmojiUnicode
	ipdataASN
	ipdataCompany
	ipdataCarrier
	ipdataLanguages
	ipdataCurrency
	ipdataTimeZone
	ipdataThreat
	ipdataCount
	ipdataOrganisation // of old clients: only when it is asked for
	ipdataStatus       // which clients add themselves

	ipdataAll = ipdataOrganisation - 1
	// From is_eu to emoji_unicode.
	ipdataOfPlace   = ipdataASN - ipdataIsEU
	ipdataOfCountry = ipdataLanguages | ipdataCurrency | ipdataTimeZone
)

var ipdataNames = [...]string{
	"ip", "is_eu", "city", "region", "region_code", "region_type", "country_name", "country_code", "continent_name", "continent_code",
	"latitude", "longitude", "postal", "calling_code", "flag", "emoji_flag", "emoji_unicode", "asn", "company", "carrier",
	"languages", "currency", "time_zone", "threat", "count", "organisation", "status",
}

// ipdataField returns the field called name, 0 when there is none.
func ipdataField(name string) ipdataFields {
	for i, n := range ipdataNames {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

// selected reads ?fields=; an empty list is all, as the Python client means it.
func (v ipdata) selected(c *Call) (ipdataFields, bool) {
	list := param(c.Query, "fields")
	if list == "" {
		return ipdataAll, true
	}
	var fields ipdataFields
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		f := ipdataField(name)
		if f == 0 && name != "" {
			v.mistake(c, http.StatusBadRequest, clip(name)+" is not a valid field.")
			return 0, false
		}
		fields |= f
	}
	return fields, true
}

// append writes the members of an answer that are asked for. What is unknown is
// null; only the carrier is left out.
func (ipdata) append(dst []byte, c *Call, rec ipwarden.Record, fields ipdataFields) []byte {
	start := len(dst)
	if fields&ipdataIP != 0 {
		dst = address(dst, `,"ip":`, rec.Addr())
	}
	var loc ipwarden.Location
	if fields&(ipdataOfPlace|ipdataOfCountry) != 0 {
		loc = rec.Location()
	}
	if fields&ipdataOfPlace != 0 {
		dst = appendIPDataPlace(dst, c, &loc, fields)
	}
	if fields&(ipdataASN|ipdataOrganisation) != 0 {
		as := rec.ASN()
		if fields&ipdataASN != 0 {
			dst = appendIPDataASN(dst, &as)
		}
		if fields&ipdataOrganisation != 0 {
			dst = nullable(dst, `,"organisation":`, as.Name)
		}
	}
	if fields&ipdataCompany != 0 {
		co := rec.Company()
		dst = nullable(dst, `,"company":{"name":`, co.Name)
		dst = nullable(dst, `,"domain":`, co.Domain)
		dst = append(nullable(append(dst, `,"network":null`...), `,"type":`, co.Kind), '}')
	}
	if fields&ipdataCarrier != 0 {
		if ca := rec.Carrier(); ca.Name != "" {
			dst = text(dst, `,"carrier":{"name":`, ca.Name)
			dst = nullable(dst, `,"mcc":`, ca.MCC)
			dst = append(nullable(dst, `,"mnc":`, ca.MNC), '}')
		}
	}
	if fields&ipdataOfCountry != 0 {
		dst = appendIPDataCountry(dst, c, &loc, fields)
	}
	if fields&ipdataThreat != 0 {
		dst = appendIPDataThreat(dst, c, rec)
	}
	if fields&ipdataCount != 0 {
		used, _, _ := c.quota()
		dst = append(strconv.AppendInt(append(dst, `,"count":"`...), used, 10), '"')
	}
	return closeObject(dst, start)
}

func appendIPDataPlace(dst []byte, c *Call, loc *ipwarden.Location, fields ipdataFields) []byte {
	if fields&ipdataIsEU != 0 {
		switch {
		case loc.CountryCode == "", !loc.IsEU && loc.ContinentCode == "":
			dst = append(dst, `,"is_eu":null`...)
		default:
			dst = truth(dst, `,"is_eu":`, loc.IsEU)
		}
	}
	for _, m := range [...]struct {
		field      ipdataFields
		key, value string
	}{
		{ipdataCity, `,"city":`, loc.City},
		{ipdataRegion, `,"region":`, loc.Region},
		{ipdataRegionCode, `,"region_code":`, loc.RegionCode},
		{ipdataRegionType, `,"region_type":`, ""},
		{ipdataCountryName, `,"country_name":`, loc.Country},
		{ipdataCountryCode, `,"country_code":`, loc.CountryCode},
		{ipdataContinentName, `,"continent_name":`, loc.Continent},
		{ipdataContinentCode, `,"continent_code":`, loc.ContinentCode},
	} {
		if fields&m.field != 0 {
			dst = nullable(dst, m.key, m.value)
		}
	}
	if fields&ipdataLatitude != 0 {
		dst = appendCoordinate(dst, `,"latitude":`, loc, loc.Latitude)
	}
	if fields&ipdataLongitude != 0 {
		dst = appendCoordinate(dst, `,"longitude":`, loc, loc.Longitude)
	}
	if fields&ipdataPostal != 0 {
		dst = nullable(dst, `,"postal":`, loc.Postal)
	}
	if fields&ipdataCallingCode != 0 {
		dst = nullable(dst, `,"calling_code":`, loc.CallingCode)
	}
	if fields&ipdataFlag != 0 {
		dst = append(dst, `,"flag":`...)
		dst = appendFlagURL(dst, c, loc.CountryCode)
	}
	if fields&ipdataEmojiFlag != 0 {
		dst = nullable(dst, `,"emoji_flag":`, loc.Flag)
	}
	if fields&ipdataEmojiUnicode != 0 {
		dst = append(dst, `,"emoji_unicode":`...)
		if loc.Flag == "" {
			dst = append(dst, "null"...)
		} else {
			dst = append(appendCodePoints(append(dst, '"'), loc.Flag), '"')
		}
	}
	return dst
}

func appendCoordinate(dst []byte, key string, loc *ipwarden.Location, d float64) []byte {
	if !loc.HasCoordinates {
		return append(append(dst, key...), "null"...)
	}
	return degrees(dst, key, d)
}

// appendFlagURL appends the address of our own image of a flag, or null.
func appendFlagURL(dst []byte, c *Call, country string) []byte {
	if len(country) != 2 {
		return append(dst, "null"...)
	}
	dst = append(append(append(dst, '"'), c.Base...), "/flags/"...)
	return append(append(dst, country[0]|0x20, country[1]|0x20), `.svg"`...)
}

func appendIPDataASN(dst []byte, as *ipwarden.ASN) []byte {
	if as.Number == 0 {
		return append(dst, `,"asn":{"asn":null,"name":null,"domain":null,"route":null,"type":null}`...)
	}
	dst = asMember(dst, `,"asn":{"asn":`, as.Number)
	dst = nullable(dst, `,"name":`, as.Name)
	dst = nullable(dst, `,"domain":`, as.Domain)
	if as.Route.IsValid() {
		dst = network(dst, `,"route":`, as.Route)
	} else {
		dst = append(dst, `,"route":null`...)
	}
	return append(nullable(dst, `,"type":`, as.Kind), '}')
}

func appendIPDataCountry(dst []byte, c *Call, loc *ipwarden.Location, fields ipdataFields) []byte {
	if fields&ipdataLanguages != 0 {
		dst = append(dst, `,"languages":`...)
		if len(loc.Languages) == 0 {
			dst = append(dst, "null"...)
		} else {
			for i, l := range loc.Languages {
				sep := byte(',')
				if i == 0 {
					sep = '['
				}
				dst = append(dst, sep)
				dst = nullable(dst, `{"name":`, l.Name)
				dst = nullable(dst, `,"native":`, l.Native)
				dst = append(nullable(dst, `,"code":`, l.Code), '}')
			}
			dst = append(dst, ']')
		}
	}
	if fields&ipdataCurrency != 0 {
		cur := &loc.Currency
		dst = nullable(dst, `,"currency":{"name":`, cur.Name)
		dst = nullable(dst, `,"code":`, cur.Code)
		dst = nullable(dst, `,"symbol":`, cur.Symbol)
		dst = append(dst, `,"native":null,"plural":null}`...)
	}
	if fields&ipdataTimeZone != 0 {
		c.Volatile = true
		tz := &loc.TimeZone
		dst = nullable(dst, `,"time_zone":{"name":`, tz.ID)
		if tz.Zone == nil {
			return append(dst, `,"abbr":null,"offset":null,"is_dst":null,"current_time":null}`...)
		}
		local := c.Now.In(tz.Zone)
		abbr, _ := local.Zone()
		dst = text(dst, `,"abbr":`, abbr)
		dst = local.AppendFormat(append(dst, `,"offset":"`...), "-0700")
		dst = truth(dst, `","is_dst":`, local.IsDST())
		dst = local.AppendFormat(append(dst, `,"current_time":"`...), time.RFC3339)
		dst = append(dst, '"', '}')
	}
	return dst
}

// appendIPDataThreat: a VPN is not anonymous in ipdata's definition.
func appendIPDataThreat(dst []byte, c *Call, rec ipwarden.Record) []byte {
	t, scores := rec.Traits(), c.scores(rec)
	const proxy = ipwarden.Proxy | ipwarden.ResidentialProxy
	dst = truth(dst, `,"threat":{"is_tor":`, t.Has(ipwarden.Tor))
	dst = truth(dst, `,"is_vpn":`, t.Has(ipwarden.VPN))
	dst = truth(dst, `,"is_icloud_relay":`, t.Has(ipwarden.Relay))
	dst = truth(dst, `,"is_proxy":`, t.Has(proxy))
	dst = truth(dst, `,"is_datacenter":`, t.Has(ipwarden.Hosting))
	dst = truth(dst, `,"is_anonymous":`, t.Has(ipwarden.Tor|proxy))
	dst = truth(dst, `,"is_known_attacker":`, t.Has(ipwarden.Attacker))
	dst = truth(dst, `,"is_known_abuser":`, t.Has(ipwarden.Abuser))
	dst = truth(dst, `,"is_threat":`, t.Has(ipwarden.Threat))
	dst = truth(dst, `,"is_bogon":`, t.Has(ipwarden.Bogon))
	dst = append(dst, `,"blocklists":[`...)
	for i, l := range rec.Security().Listings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = text(dst, `{"name":`, l.Name)
		dst = nullable(dst, `,"site":`, l.URL)
		dst = append(text(dst, `,"type":`, l.Type), '}')
	}
	dst = number(dst, `],"scores":{"vpn_score":`, int64(scores.VPN))
	dst = number(dst, `,"proxy_score":`, int64(scores.Proxy))
	dst = number(dst, `,"threat_score":`, int64(scores.Threat))
	return append(number(dst, `,"trust_score":`, int64(scores.Trust)), '}', '}')
}
