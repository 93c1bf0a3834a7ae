package dnsbl

import "net/netip"

// Zones lists the zones that are asked, by name.
func (l *List) Zones() []string {
	names := make([]string, len(l.zones))
	for i, z := range l.zones {
		names[i] = z.Name
	}
	return names
}

// Cached returns the zones that list an address as far as is known, and never waits:
// what is not known yet is asked behind, and is known the next time.
func (l *List) Cached(addr netip.Addr) (zones []string) {
	if !addr.IsValid() || !l.cfg.Public(addr) {
		return nil
	}
	key := l.key(addr)
	_, ask, _ := l.known(key, l.cfg.Now().UnixNano(), l.epoch.Load())
	if ask {
		l.fly(key)
	}
	now := l.cfg.Now().UnixNano()
	results, _ := l.cache.results(key)
	for i := range results {
		r, z := &results[i], l.zones[i]
		if r.ok && r.listed != 0 && z.is() == On && r.gen == z.gen.Load() && now < r.until+int64(l.cfg.Grace) {
			zones = append(zones, z.Name)
		}
	}
	return zones
}
