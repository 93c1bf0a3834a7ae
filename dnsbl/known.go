package dnsbl

import (
	"net/netip"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// Known returns the zones that ipwarden knows and that are in use, by name. None
// is asked until somebody chooses it, who reads its terms before.
func Known() []Zone {
	return []Zone{
		{
			Name: "authbl.dq.spamhaus.net", Listing: "Spamhaus AuthBL", URL: "https://www.spamhaus.com/",
			Terms: "needs a key of Spamhaus's Data Query Service",
			Codes: codes(map[byte]Code{20: {Traits: ipwarden.Attacker, Type: "attacker"}}),
		},
		{
			Name: "b.barracudacentral.org", Listing: "Barracuda Reputation Block List", URL: "https://www.barracudacentral.org/rbl",
			Terms: "free; the resolver's address must be registered before",
			Codes: codes(map[byte]Code{2: spam}),
		},
		{
			Name: "bl.blocklist.de", Listing: "blocklist.de", URL: "https://www.blocklist.de/", Text: true,
			Terms: "free; whoever attacked in the last 48 hours",
			Codes: codes(map[byte]Code{
				2: spam, 3: attack, 4: attack, 5: {Traits: ipwarden.Abuser, Type: "abuser"}, 6: attack, 7: attack, 8: botnet, 9: attack,
				10: attack, 11: {Traits: ipwarden.Abuser, Type: "abuser"}, 12: attack, 13: attack, 14: attack, 15: attack, 16: attack,
				17: attack, 18: attack, 19: spam, 20: attack, 21: attack, 22: attack,
			}),
		},
		{
			Name: "bl.spamcop.net", Listing: "SpamCop", URL: "https://www.spamcop.net/bl.shtml", Text: true,
			Terms: "free",
			Codes: codes(map[byte]Code{2: spam}),
		},
		{
			Name: "dnsbl-1.uceprotect.net", Listing: "UCEPROTECT level 1", URL: "https://www.uceprotect.net/",
			Terms: "free for few questions; delisting at once costs money, which not everybody thinks right",
			Codes: codes(map[byte]Code{2: spam}),
		},
		{
			Name: "dnsbl.dronebl.org", Listing: "DroneBL", URL: "https://dronebl.org/",
			Terms: "free, also commercially, who then is asked to contribute",
			Codes: codes(map[byte]Code{
				3: botnet, 6: botnet, 7: botnet, 8: proxy, 9: proxy, 10: proxy, 11: proxy, 13: attack, 14: proxy, 15: botnet,
				16: botnet, 17: botnet, 19: {Traits: ipwarden.VPN | ipwarden.Abuser, Type: "abuser"},
			}),
		},
		{
			Name: "psbl.surriel.com", Listing: "Passive Spam Block List", URL: "https://psbl.org/",
			Terms: "free",
			Codes: codes(map[byte]Code{2: spam}),
		},
		{
			Name: "torexit.dan.me.uk", Listing: "dan.me.uk Tor exits", URL: "https://www.dan.me.uk/dnsbl",
			Terms: "free",
			Codes: codes(map[byte]Code{100: {Traits: ipwarden.Tor}}),
		},
		{
			Name: "zen.dq.spamhaus.net", Listing: "Spamhaus ZEN", URL: "https://www.spamhaus.com/",
			Terms: "needs a key of Spamhaus's Data Query Service",
			Codes: zen(),
		},
		{
			Name: "zen.spamhaus.org", Listing: "Spamhaus ZEN", URL: "https://www.spamhaus.org/blocklists/zen-blocklist/",
			Terms: "free where it is not commercial and for few questions; not through public resolvers",
			Codes: zen(),
		},
	}
}

var (
	spam   = Code{Traits: ipwarden.Abuser, Type: "spam"}
	attack = Code{Traits: ipwarden.Attacker, Type: "attacker"}
	botnet = Code{Traits: ipwarden.Attacker, Type: "botnet"}
	proxy  = Code{Traits: ipwarden.Proxy, Type: "proxy"}
)

// zen are the codes of Spamhaus. An address of the PBL should send no mail, as
// most homes: that says nothing here.
func zen() map[netip.Addr]Code {
	return codes(map[byte]Code{
		2:  {Traits: ipwarden.Abuser, Type: "spam", Listing: "Spamhaus SBL"},
		3:  {Traits: ipwarden.Abuser, Type: "spam", Listing: "Spamhaus CSS"},
		4:  {Traits: ipwarden.Attacker, Type: "botnet", Listing: "Spamhaus XBL"},
		9:  {Traits: ipwarden.Attacker, Type: "hijacked", Listing: "Spamhaus DROP"},
		10: {Listing: "Spamhaus PBL"},
		11: {Listing: "Spamhaus PBL"},
		30: {Traits: ipwarden.Attacker, Type: "botnet", Listing: "Spamhaus BCL"},
	})
}

// codes are those of 127.0.0.0/24 by their last part.
func codes(last map[byte]Code) map[netip.Addr]Code {
	m := make(map[netip.Addr]Code, len(last))
	for b, c := range last {
		m[netip.AddrFrom4([4]byte{127, 0, 0, b})] = c
	}
	return m
}

// Gone is a zone that is no more. Some of those list every address by now, or will
// when their domain is somebody else's.
type Gone struct{ Name, Since, Note string }

// KnownGone returns zones that many configurations still have.
func KnownGone() []Gone {
	return []Gone{
		{"bl.emailbasura.org", "2019", "the domain has another owner, and lists everything"},
		{"cbl.abuseat.org", "2021", "part of zen.spamhaus.org, as 127.0.0.4"},
		{"dnsbl.ahbl.org", "2015", "listed everything at its end"},
		{"dnsbl.inps.de", "2020", ""},
		{"dnsbl.njabl.org", "2013", ""},
		{"dnsbl.sorbs.net", "2024-06-05", ""},
		{"ix.dnsbl.manitu.net", "2025-01-16", ""},
		{"list.dsbl.org", "2008", ""},
		{"relays.ordb.org", "2006", "listed everything at its end"},
		{"ubl.unsubscore.com", "2024", ""},
	}
}

// KnownNamed returns the zone of a name.
func KnownNamed(name string) (Zone, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for _, z := range Known() {
		if z.Name == name {
			return z, true
		}
	}
	return Zone{}, false
}

// GoneNamed returns what became of the zone of a name that is no more.
func GoneNamed(name string) (Gone, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for _, g := range KnownGone() {
		if g.Name == name || strings.HasSuffix(name, "."+g.Name) {
			return g, true
		}
	}
	return Gone{}, false
}
