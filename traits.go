package ipwarden

// Traits is a set of security traits. The zero value is the empty set.
type Traits uint32

// The traits, in the order of the JSON. Which feed sets which is the
// catalogue's word.
const (
	VPN              Traits = 1 << iota // exit of a commercial or public VPN
	Proxy                               // open or public proxy
	ResidentialProxy                    // proxy inside residential space
	Tor                                 // Tor exit
	Relay                               // privacy relay whose operator vouches for its users
	Hosting                             // data centre or cloud
	Crawler                             // published by a crawler's operator
	Attacker                            // seen attacking
	Abuser                              // reported for abuse
	Scanner                             // scans the Internet, for research or otherwise
	Bogon                               // special-purpose space that is not globally reachable
	Anycast                             // announced from many places
	Satellite                           // satellite provider
	Mobile                              // cellular network
)

// AllTraits holds every trait.
const AllTraits = Mobile<<1 - 1

// Unions that the JSON states as is_anonymous and is_threat.
const (
	Anonymous = VPN | Proxy | ResidentialProxy | Tor | Relay
	Threat    = Attacker | Abuser
)

// Has reports whether t holds any trait of u.
func (t Traits) Has(u Traits) bool { return t&u != 0 }

// Fields of the JSON, in bit order.
var traitNames = [...]string{
	"vpn", "proxy", "residential_proxy", "tor", "relay", "hosting", "crawler",
	"attacker", "abuser", "scanner", "bogon", "anycast", "satellite", "mobile",
}

// Names lists the traits of t, in the order of the constants, without "is_".
func (t Traits) Names() []string {
	var names []string
	for i, n := range traitNames {
		if t&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// TraitNamed returns the trait called name ("vpn" or "is_vpn").
func TraitNamed(name string) (Traits, bool) {
	if len(name) > 3 && name[:3] == "is_" {
		name = name[3:]
	}
	for i, n := range traitNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}
