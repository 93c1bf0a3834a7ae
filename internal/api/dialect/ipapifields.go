package dialect

import (
	"math/bits"
	"strconv"
	"strings"
)

// apiField is a key of an ip-api answer, in the order in which all its formats
// have them.
type apiField uint8

const (
	apiStatus apiField = iota
	apiMessage
	apiContinent
	apiContinentCode
	apiCountry
	apiCountryCode
	apiRegion
	apiRegionName
	apiCity
	apiDistrict
	apiZip
	apiLat
	apiLon
	apiTimezone
	apiOffset
	apiCurrency
	apiISP
	apiOrg
	apiAS
	apiASName
	apiReverse
	apiMobile
	apiProxy
	apiHosting
	apiQuery

	numAPIFields
)

// apiKeys are their names, and the bits that stand for them in a number.
var apiKeys = [numAPIFields]struct {
	name string
	bit  uint32
}{
	apiStatus: {"status", 1 << 14}, apiMessage: {"message", 1 << 15},
	apiContinent: {"continent", 1 << 20}, apiContinentCode: {"continentCode", 1 << 21},
	apiCountry: {"country", 1 << 0}, apiCountryCode: {"countryCode", 1 << 1},
	apiRegion: {"region", 1 << 2}, apiRegionName: {"regionName", 1 << 3},
	apiCity: {"city", 1 << 4}, apiDistrict: {"district", 1 << 19}, apiZip: {"zip", 1 << 5},
	apiLat: {"lat", 1 << 6}, apiLon: {"lon", 1 << 7},
	apiTimezone: {"timezone", 1 << 8}, apiOffset: {"offset", 1 << 25}, apiCurrency: {"currency", 1 << 23},
	apiISP: {"isp", 1 << 9}, apiOrg: {"org", 1 << 10}, apiAS: {"as", 1 << 11}, apiASName: {"asname", 1 << 22},
	apiReverse: {"reverse", 1 << 12},
	apiMobile:  {"mobile", 1 << 16}, apiProxy: {"proxy", 1 << 17}, apiHosting: {"hosting", 1 << 24},
	apiQuery: {"query", 1 << 13},
}

// apiFields is a set of fields, by their places and not by the vendor's bits, so
// that a loop over them is in the order of the answer.
type apiFields uint32

func (s apiFields) has(f apiField) bool { return s&(1<<f) != 0 }

// The sets that have a meaning of their own.
var (
	apiDefault  = apiNumber(61439)
	apiLocation = apiNumber(1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<20 | 1<<21 | 1<<23 | 1<<25)
	apiNetwork  = apiNumber(1<<9 | 1<<11 | 1<<22)
)

// apiNumber reads a set that is given as a number. Bits without a meaning are
// left out.
func apiNumber(n uint64) (s apiFields) {
	for f, k := range apiKeys {
		if n&uint64(k.bit) != 0 {
			s |= 1 << f
		}
	}
	return s
}

// parseAPIFields reads the parameter fields: names with commas between them, or
// a number. Nothing is the default; a name that is no field is left out, as the
// vendor does.
func parseAPIFields(list string) apiFields {
	if list == "" {
		return apiDefault
	}
	if n, err := strconv.ParseUint(list, 10, 64); err == nil {
		return apiNumber(n)
	}
	var s apiFields
	for name := range strings.SplitSeq(list, ",") {
		name = strings.Trim(name, " \t")
		for f := range apiKeys {
			if apiKeys[f].name == name {
				s |= 1 << f
			}
		}
	}
	return s
}

// next takes the first field out of the set.
func (s *apiFields) next() apiField {
	f := apiField(bits.TrailingZeros32(uint32(*s)))
	*s &= *s - 1
	return f
}
