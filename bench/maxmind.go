package main

import (
	"net/netip"

	"github.com/oschwald/geoip2-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2"
)

// three is what a service that uses maxminddb-golang well decodes into.
type three struct {
	Country struct {
		ISOCode string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	AS     uint32 `maxminddb:"autonomous_system_number"`
	Traits struct {
		IsAnycast bool `maxminddb:"is_anycast"`
	} `maxminddb:"traits"`
}

type maxMindStruct struct{ db *maxminddb.Reader }

func openMaxMindStruct(w *world) (contestant, error) {
	db, err := maxminddb.Open(w.mmdb())
	return &maxMindStruct{db}, err
}

func (c *maxMindStruct) pass(addrs []netip.Addr) (sum uint64) {
	var v three
	for _, a := range addrs {
		v = three{}
		if err := c.db.Lookup(a).Decode(&v); err != nil {
			continue
		}
		sum += uint64(v.AS)
		if v.Country.ISOCode != "" {
			sum += uint64(v.Country.ISOCode[0])
		}
		if v.Traits.IsAnycast {
			sum++
		}
	}
	return sum
}

func (c *maxMindStruct) answer(a netip.Addr) answer {
	var v three
	if err := c.db.Lookup(a).Decode(&v); err != nil {
		return answer{}
	}
	return answer{Country: v.Country.ISOCode, AS: v.AS}
}

type maxMindLookup struct{ maxMindStruct }

func openMaxMindLookup(w *world) (contestant, error) {
	db, err := maxminddb.Open(w.mmdb())
	return &maxMindLookup{maxMindStruct{db}}, err
}

func (c *maxMindLookup) pass(addrs []netip.Addr) (sum uint64) {
	for _, a := range addrs {
		sum += uint64(c.db.Lookup(a).Offset())
	}
	return sum
}

type geoIP2 struct{ db *geoip2.Reader }

func openGeoIP2(w *world) (contestant, error) {
	db, err := geoip2.Open(w.mmdb())
	return &geoIP2{db}, err
}

func (c *geoIP2) pass(addrs []netip.Addr) (sum uint64) {
	for _, a := range addrs {
		v, err := c.db.Country(a)
		if err != nil {
			continue
		}
		if v.Country.ISOCode != "" {
			sum += uint64(v.Country.ISOCode[0])
		}
	}
	return sum
}

func (c *geoIP2) answer(a netip.Addr) answer {
	v, err := c.db.Country(a)
	if err != nil {
		return answer{}
	}
	return answer{Country: v.Country.ISOCode}
}
