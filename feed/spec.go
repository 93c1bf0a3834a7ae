package feed

import (
	"io"
	"iter"
	"time"

	"github.com/ipwarden/ipwarden"
)

// A Spec is what the catalogue knows of one feed: where it is published, how
// to read it, and what its rows mean. Package catalogue reads Specs from YAML.
type Spec struct {
	Name        string        `yaml:"name"`        // [a-z0-9-]+, unique; the name in the evidence
	Title       string        `yaml:"title"`       // for people
	Files       []SpecFile    `yaml:"files"`       // the files that make the list, read one after the other
	Homepage    string        `yaml:"homepage"`    // for people; the URL of its listings
	Format      string        `yaml:"format"`      // a key of Formats
	Licence     string        `yaml:"licence"`     // SPDX where there is one
	Attribution string        `yaml:"attribution"` // the credit the licence asks for
	Embed       bool          `yaml:"embed"`       // may be part of the embedded dataset
	Manual      bool          `yaml:"manual"`      // used only when the operator puts the file there
	Refresh     time.Duration `yaml:"refresh"`     // how often to ask for it; default 24h
	MaxSize     int64         `yaml:"max_size"`    // bytes, unpacked; default 64 MiB
	MaxBad      float64       `yaml:"max_bad"`     // share of bad rows above which it is refused; default 0.02
	MaxChange   float64       `yaml:"max_change"`  // share by which its row count may move between two fetches; default 0.5
	// MaxAge is how much older than most feeds of a build its data may be: an
	// address that was a Tor exit two years ago is none. Default: any age.
	MaxAge  time.Duration `yaml:"max_age"`
	MinRows int           `yaml:"min_rows"` // fewer rows than this is a broken feed; default 1

	Asserts Asserts `yaml:"asserts"`
}

// A SpecFile is one file of a feed. Most feeds have one; some publish IPv4 and
// IPv6 apart.
type SpecFile struct {
	Path string `yaml:"path"` // below the feeds folder, with "/"; PATH.gz is taken as well
	URL  string `yaml:"url"`  // where it is really published; "" when it has to be dropped in
}

// Asserts says what the rows of a feed mean.
type Asserts struct {
	// Fields lists the dotted paths, or groups, that are taken from the rows
	// themselves; everything else a row says is ignored.
	Fields []string `yaml:"fields"`
	// Trust decides between feeds that contradict each other, 0 to 100, higher
	// wins; at equal trust the newer date, then the name. Within a feed the most
	// specific row wins.
	Trust int `yaml:"trust"`
	// Traits that every row asserts ("vpn", "hosting", …).
	Traits []string `yaml:"traits"`
	// Denies are the traits that every row takes back: a safelist. It wins over
	// any feed that asserts them.
	Denies []string `yaml:"denies"`
	// DeniesListings drops the rows' addresses from every blocklist.
	DeniesListings bool `yaml:"denies_listings"`
	// Name is the operator where the rows do not say: of the VPN, cloud or
	// crawler, whichever the traits speak of.
	Name string `yaml:"name"`
	// Purpose of a crawler: search, ai_training, user_triggered, monitoring, preview, other.
	Purpose string `yaml:"purpose"`
	// Listing makes the feed a blocklist of this type: attacker, abuser,
	// scanner, spam, botnet, malware, hijacked, proxy. A type that a row gives
	// itself goes before.
	Listing string `yaml:"listing"`
	// MinCount skips rows seen less often.
	MinCount uint32 `yaml:"min_count"`
	// Except skips rows of these names: a list of VPNs that names Tor among
	// them, say.
	Except []string `yaml:"except"`
	// Kind is the kind of network of an AS list: business, education, government, hosting, isp.
	Kind string `yaml:"kind"`
	// Origins are the operator's own autonomous systems. Where they are given, a
	// row counts only inside space that they announce; 0 stands for space whose
	// announcer is not known.
	Origins []uint32 `yaml:"origins"`
}

// FieldSet returns the set that Fields names.
func (a *Asserts) FieldSet() (ipwarden.Fields, error) {
	var s ipwarden.Fields
	for _, path := range a.Fields {
		fs, err := ipwarden.ParseFields(path)
		if err != nil {
			return s, err
		}
		for f := range fs.All() {
			s = s.With(f)
		}
	}
	return s, nil
}

// facts is the type of what a Parser returns, spelled once.
type facts = iter.Seq2[*Fact, error]

// Formats names every parser of this package. Formats of MMDB files are in
// package mmdb, which has the same contract.
func Formats() map[string]Parser {
	return map[string]Parser{
		// geographic
		"tor-geoip": TorGeoIP,
		"ipfire":    IPFire,
		"delegated": Delegated,
		"zone":      Zone,
		"zone-tar":  ZoneTar,
		"geofeed":   Geofeed,
		// autonomous systems
		"iptoasn":      IPToASN,
		"pyasn":        PyASN,
		"asnames-json": ASNamesJSON,
		"asnames-text": ASNamesText,
		"asn-csv":      ASNCSV,
		"asn-text":     ASNText,
		// clouds
		"aws":       AWS,
		"google":    Google,
		"prefixes":  Prefixes,
		"azure":     Azure,
		"oci":       OCI,
		"fastly":    Fastly,
		"github":    GitHub,
		"zscaler":   Zscaler,
		"datadog":   Datadog,
		"atlassian": Atlassian,
		"bgp-json":  BGPJSON,
		"range-csv": RangeCSV,
		// lists of addresses and networks
		"netset":             Netset,
		"ip-csv":             IPCSV,
		"tor-exits-csv":      TorExitsCSV,
		"tor-exit-addresses": TorExitAddresses,
		"proxies":            Proxies,
		"ipsum":              IPsum,
		"spamhaus-json":      SpamhausJSON,
		"asndrop":            ASNDrop,
		"spamhaus-text":      SpamhausText,
		"feodo":              Feodo,
		"shadowwhisperer":    ShadowWhisperer,
		"misp":               MISP,
		"iana-special":       IANASpecial,
	}
}

// A Tabler reads one reference table into Tables.
type Tabler func(r io.Reader, t *Tables) error
