package dialect

import (
	"net/http"
	"strconv"

	"github.com/ipwarden/ipwarden"
)

// registryError is one of the vendor's mistakes.
type registryError struct {
	status                    int
	code, message, resolution string
}

// The vendor's codes, with its statuses.
var (
	irBadRequest   = registryError{400, "BAD_REQUEST", "The request is not valid.", "Check the request against the documentation."}
	irDisabledKey  = registryError{451, "DISABLED_API_KEY", "Your API key is disabled.", "Ask the operator of this server to enable it."}
	irForbiddenIP  = registryError{403, "FORBIDDEN_IP", "Your IP address is not allowed for this API key.", "Add the address to those of the key."}
	irForbiddenOri = registryError{403, "FORBIDDEN_ORIGIN", "Your request origin is not allowed for this API key.", "Add the origin to those of the key."}
	irInternal     = registryError{500, "INTERNAL", "An unexpected error has occurred.", "Retry the request later."}
	irNoCredits    = registryError{402, "INSUFFICIENT_CREDITS", "You have insufficient credits to perform this request.", "Raise the limit of the key, or wait until it resets."}
	irInvalidKey   = registryError{403, "INVALID_API_KEY", "Your API key is invalid.", "Check your API key for a typo."}
	irInvalidASN   = registryError{400, "INVALID_ASN", "The ASN you entered is in the wrong format.", "It should begin with AS followed by a number, like AS173."}
	irBadFilter    = registryError{400, "INVALID_FILTER_SYNTAX", "The value of the parameter fields is not a valid filter.", "Write names with commas between them, such as fields=location.country.name,security."}
	irInvalidIP    = registryError{400, "INVALID_IP_ADDRESS", "You entered a value that does not appear to be a valid IP address.", "Enter a valid IPv4 or IPv6 address."}
	irMissingKey   = registryError{401, "MISSING_API_KEY", "You have not supplied an API key.", "Add your API key as a query parameter: ?key=YOUR_API_KEY"}
	irReservedASN  = registryError{400, "RESERVED_ASN", "You attempted to search for a private ASN.", "Please try with a public ASN instead."}
	irReservedIP   = registryError{400, "RESERVED_IP_ADDRESS", "The IP address is reserved (private, loopback, link-local, multicast, or other special use).", "Enter a public IPv4 or IPv6 address."}
	irTooManyASNs  = registryError{400, "TOO_MANY_ASNS", "You've submitted a batch request with too many ASNs.", "Ensure your batch request includes no more than 16 ASNs."}
	irTooManyIPs   = registryError{400, "TOO_MANY_IPS", "You've submitted a batch request with too many IP addresses.", "Ensure your batch request includes no more than 1024 IP addresses."}
	irTooFast      = registryError{429, "TOO_MANY_REQUESTS", "You have made too many requests.", "Wait until the limit resets."}
	irTooManyUAs   = registryError{400, "TOO_MANY_USER_AGENTS", "You've submitted a batch request with too many user agents.", "Ensure your batch request includes no more than 256 user agents."}
	irUnknownASN   = registryError{404, "UNKNOWN_ASN", "The Autonomous System Number is not known.", "Enter the number of an autonomous system that is in use."}
)

func (e *registryError) append(dst []byte, more string) []byte {
	message := e.message
	if more != "" {
		message += " " + more
	}
	dst = text(dst, `{"code":`, e.code)
	dst = text(dst, `,"message":`, message)
	return append(text(dst, `,"resolution":`, e.resolution), '}')
}

// registryFail makes a mistake the whole answer.
func (c *Call) registryFail(e *registryError, more string) {
	c.restart(e.status)
	c.Out = e.append(c.Out, more)
}

// credential is ?key=, or the scheme ApiKey, which the vendor's clients use.
func (ipregistry) credential(c *Call) Credential {
	return keyOf(authorization(c.Transport.Fields(), "ApiKey"), param(c.Query, "key"))
}

func (ipregistry) refuse(c *Call, r *Refusal) {
	e := &irInvalidKey
	switch r.Code {
	case NoKey:
		e = &irMissingKey
	case DisabledKey:
		e = &irDisabledKey
	case OverQuota, NotInPlan:
		e = &irNoCredits
		if r.Limit > 0 {
			c.line("Ipregistry-Credits-Consumed", "0")
			c.line("Ipregistry-Credits-Remaining", strconv.FormatInt(max(0, r.Limit-r.Used), 10))
		}
	case TooFast:
		e = &irTooFast
		if r.Limit > 0 {
			c.line("X-Rate-Limit-Limit", strconv.FormatInt(r.Limit, 10))
			c.line("X-Rate-Limit-Remaining", strconv.FormatInt(max(0, r.Limit-r.Used), 10))
		}
		if !r.Reset.IsZero() {
			c.line("X-Rate-Limit-Reset", strconv.FormatInt(r.wait(c), 10))
		}
	case WrongAddress:
		e = &irForbiddenIP
	case WrongOrigin:
		e = &irForbiddenOri
	}
	c.Status = e.status
	c.Out = e.append(c.Out, r.sentence(c))
}

func (ipregistry) fail(c *Call, f failure) {
	e := &irBadRequest
	if f.status() >= http.StatusInternalServerError {
		e = &irInternal
	}
	c.Out = e.append(c.Out, f.String())
}

// reservedAS reports whether nobody may announce with a number: RFC 7607, RFC
// 6793, RFC 5398, RFC 6996, RFC 7300, and IANA's.
func reservedAS(n uint32) bool {
	return n == 0 || n == 23456 || 64496 <= n && n <= 131071 || n >= 4200000000
}

// registryMiss is why an address has no answer, nil when it has one.
func registryMiss(rec ipwarden.Record) *registryError {
	if rec.Traits().Has(ipwarden.Bogon) {
		return &irReservedIP
	}
	return nil
}
