package mmdb

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// row is one data record of either schema.
type row interface {
	// fact adds to f, of which only the network is set, what the record says.
	fact(f *feed.Fact)
	// more adds to an answer what a fact has no place for.
	more(*ipwarden.Full)
}

// schema makes an empty row to decode into. residential says that every
// network of the database is one of residential proxies.
type schema func() row

func maxmindSchema(databaseType string) schema {
	residential := strings.Contains(databaseType, "Residential-Proxy")
	return func() row { return &maxmind{residential: residential} }
}

func ipinfoSchema() row { return new(ipinfo) }

// Keys whose values are maps in MaxMind's schema and texts in IPinfo's.
var maxmindMaps = []string{"country", "city", "continent", "location", "postal"}

// Keys of either schema's top level that the other one does not have, or has
// as another kind.
var (
	maxmindKeys = []string{
		"traits", "autonomous_system_number", "autonomous_system_organization", "connection_type", "isp",
		"organization", "is_anonymous", "is_anonymous_vpn", "is_hosting_provider", "is_public_proxy",
		"is_residential_proxy", "is_tor_exit_node", "provider_name", "registered_country", "subdivisions",
	}
	ipinfoKeys = []string{
		"asn", "as_name", "as_domain", "as_type", "country_code", "continent_code", "lat", "lng", "postal_code",
		"region_code", "vpn", "proxy", "tor", "relay", "hosting", "service", "mcc", "mnc",
	}
)

// sniffRows is how many records are looked at to tell the schema.
const sniffRows = 64

// schemaOf tells the schema of a file by its type, or else by its records.
func schemaOf(db *maxminddb.Reader, file func() ([]byte, error)) (schema, error) {
	name := db.Metadata.DatabaseType
	switch lower := strings.ToLower(name); {
	case strings.HasPrefix(lower, "geoip"), strings.HasPrefix(lower, "geolite"), strings.HasPrefix(lower, "dbip"), strings.HasPrefix(lower, "ipwarden"):
		return maxmindSchema(name), nil
	case strings.HasPrefix(lower, "ipinfo"):
		return ipinfoSchema, nil
	}
	raw, err := file()
	if err != nil {
		return nil, err
	}
	if err := checkTree(db, raw); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	n := 0
	for res := range db.Networks() {
		if n++; n > sniffRows {
			break
		}
		var fields shape
		if res.Decode(&fields) != nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(fields)) {
			nested := fields[key]
			seen[key] = true
			switch {
			case nested && slices.Contains(maxmindMaps, key), slices.Contains(maxmindKeys, key):
				return maxmindSchema(name), nil
			case slices.Contains(ipinfoKeys, key):
				return ipinfoSchema, nil
			}
		}
	}
	keys := strings.Join(slices.Sorted(maps.Keys(seen)), ", ")
	if len(keys) > maxText {
		keys = strings.ToValidUTF8(keys[:maxText], "") + "…"
	}
	return nil, fmt.Errorf("the database of type %.80q has neither MaxMind's schema nor IPinfo's; its fields are: %s", name, keys)
}
