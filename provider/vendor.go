package provider

import (
	"net/http"
	"slices"
	"time"
)

// A vendor is what differs from one API to another. It is data and pure
// functions; the asking is done in one place.
type vendor struct {
	base  string            // where it is by default
	bases map[string]string // plans that are elsewhere
	terms string            // the licence note of its answers
	plans []string
	// keyIn lists how the key may be sent, the preferred way first; header is the
	// name of the header, and query that of the parameter.
	keyIn         []string
	header, query string
	needsKey      bool
	needsAccount  bool
	accept        string // the media type that is asked for; "" is application/json
	extra         http.Header

	// target is the template of what follows the base address, with {ip} in it.
	target func(c *Config) string
	// read takes an answer of status 200 apart.
	read func(a *answer, doc node)
	// refused says what an answer means that may be none. It is asked about every
	// status, with an empty doc where the body is no JSON. meansFine is for read.
	refused func(status int, doc node) (means meaning, message string)
	// left reads how much of the quota there is; nil: as the common headers have it.
	left func(h http.Header, doc node, now time.Time) Quota
}

// Kinds lists the kinds of provider.
func Kinds() []string {
	var names []string
	for k := range vendors() {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// Plans lists what [Config.Plan] may be for a kind, the default first; none
// where there is nothing to choose.
func Plans(kind string) []string {
	if v := vendors()[kind]; v != nil {
		return slices.Clone(v.plans)
	}
	return nil
}

// Generic is the kind of a vendor that a [Map] describes.
const Generic = "generic"

// Ways of sending a key.
const (
	inHeader = "header"
	inBearer = "bearer"
	inBasic  = "basic"
	inQuery  = "query"
)

// vendors is the one table of those that are built in.
func vendors() map[string]*vendor {
	return map[string]*vendor{
		"abuseipdb": abuseIPDB(),
		"ipasis":    ipasis(),
		"ipdata":    ipdata(),
		"ipinfo":    ipinfo(),
		"maxmind":   maxMind(),
		Generic:     {},
	}
}

// meaning is what an answer means.
type meaning uint8

const (
	meansFine    meaning = iota // an answer, or nothing: the status decides
	meansUnknown                // the vendor knows nothing of the address
	meansQuota
	meansAuth
	meansInvalid
	meansServer
)

// meanings are the words of a map.
var meanings = map[string]meaning{
	"unknown": meansUnknown, "quota": meansQuota, "auth": meansAuth, "invalid": meansInvalid, "server": meansServer,
}

// kind is the error that it becomes.
func (m meaning) kind() Kind {
	switch m {
	case meansQuota:
		return OverQuota
	case meansAuth:
		return Auth
	case meansInvalid:
		return Invalid
	}
	return Server
}
