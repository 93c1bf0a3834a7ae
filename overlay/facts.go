package overlay

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

// set writes one fact into an answer.
func set(f *ipwarden.Full, fact Fact) error {
	if t := fact.Field.Traits(); t != 0 {
		on, ok := fact.Value.(bool)
		if !ok || t == ipwarden.Anonymous || t == ipwarden.Threat {
			return unsettable(fact)
		}
		if f.Traits |= t; !on {
			f.Traits &^= t
			clearDetails(&f.Security, t)
		}
		return nil
	}
	s, isText := fact.Value.(string)
	l, sec := &f.Location, &f.Security
	if isText && fact.Field != ipwarden.FieldTimeZoneID {
		if p := f.Text(fact.Field); p != nil {
			*p = s
			return nil
		}
	}
	switch fact.Field {
	case ipwarden.FieldIsEU:
		on, ok := fact.Value.(bool)
		l.IsEU = on
		if ok {
			return nil
		}
	case ipwarden.FieldASNumber:
		if n, ok := whole(fact.Value); ok && n > 0 && n < 1<<32 {
			f.ASN.Number = uint32(n)
			return nil
		}
	case ipwarden.FieldASRoute:
		if p, ok := fact.Value.(netip.Prefix); ok && p.IsValid() {
			f.ASN.Route = p
			return nil
		}
	case ipwarden.FieldLatitude, ipwarden.FieldLongitude:
		d, ok := degrees(fact.Value)
		if !ok {
			break
		}
		l.HasCoordinates = true
		if fact.Field == ipwarden.FieldLatitude {
			l.Latitude = d
		} else {
			l.Longitude = d
		}
		return nil
	case ipwarden.FieldAccuracyKM:
		if n, ok := whole(fact.Value); ok && n < 1<<16 {
			l.AccuracyKM = uint16(n)
			return nil
		}
	case ipwarden.FieldTimeZoneID:
		zone, err := time.LoadLocation(s)
		if err == nil && isText && s != "" && s != "Local" {
			l.TimeZone = ipwarden.TimeZone{ID: s, Zone: zone}
			return nil
		}
	case ipwarden.FieldLanguages:
		switch v := fact.Value.(type) {
		case []ipwarden.Language:
			l.Languages = v
			return nil
		case []string:
			l.Languages = nil
			for _, code := range v {
				l.Languages = append(l.Languages, ipwarden.Language{Code: code})
			}
			return nil
		}
	case ipwarden.FieldListings:
		if list, ok := fact.Value.([]ipwarden.Listing); ok {
			sec.Listings = list
			return nil
		}
	}
	return unsettable(fact)
}

func degrees(v any) (float64, bool) {
	d, ok := v.(float64)
	return d, ok && d >= -180 && d <= 180
}

// whole is a number without sign, as either kind of integer gives it.
func whole(v any) (uint64, bool) {
	switch n := v.(type) {
	case uint64:
		return n, true
	case int64:
		return uint64(n), n >= 0
	}
	return 0, false
}

// clearDetails takes away what is told of a trait that is taken away.
func clearDetails(s *ipwarden.Security, t ipwarden.Traits) {
	if t.Has(ipwarden.VPN) {
		s.VPN = ""
	}
	if t.Has(ipwarden.Crawler) {
		s.Crawler = ipwarden.CrawlerInfo{}
	}
	if t.Has(ipwarden.Hosting) {
		s.Hosting = ipwarden.HostingInfo{}
	}
	if t.Has(ipwarden.Bogon) {
		s.Bogon = ipwarden.BogonInfo{}
	}
}

func unsettable(fact Fact) error {
	return fmt.Errorf("%s cannot be set to %v (%T)", fact.Field, fact.Value, fact.Value)
}
