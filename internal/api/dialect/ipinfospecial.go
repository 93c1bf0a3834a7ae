package dialect

import (
	"net/http"

	"github.com/ipwarden/ipwarden"
)

// special answers the paths that begin with neither an address nor a field; it
// reports whether this was one.
func (v ipinfo) special(c *Call, s []string) bool {
	switch s[0] {
	case "me":
		if len(s) > 1 {
			v.wrongField(c)
			return true
		}
		v.me(c)
	case "resproxy":
		v.resproxy(c, s[1:])
	case "domains":
		if len(s) == 1 { // the field of the own address
			return false
		}
		v.notInPlan(c, "Which domains are hosted is not known here.")
	case "ranges":
		v.notInPlan(c, "Which ranges belong to a domain is not known here.")
	case "whois":
		v.notInPlan(c, "There are no WHOIS records here.")
	case "places":
		v.notInPlan(c, "Which building an address is in is not known here.")
	default:
		return false
	}
	return true
}

// ipinfoUnlimited is what IPinfo says where there is no bound.
const ipinfoUnlimited = 1<<31 - 1

// me tells the owner of a token what it may ask: of the quota that is nearest. A
// product of which there is nothing here is not listed.
func (v ipinfo) me(c *Call) {
	c.Private, c.Volatile, c.ContentType = true, true, typeJSONUTF
	used, left, ok := c.quota()
	limit := used + left
	if !ok {
		used, left, limit = 0, ipinfoUnlimited, ipinfoUnlimited
	}
	dst := text(c.Out, `{"token":`, v.credential(c).Key)
	dst = number(dst, `,"requests":{"day":0,"month":`, used)
	dst = number(dst, `,"limit":`, limit)
	dst = append(number(dst, `,"remaining":`, left), `},"features":{`...)
	for i, name := range [...]string{"core", "asn", "company", "carrier", "privacy"} {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), name...), '"')
		dst = append(number(number(dst, `:{"daily":`, limit), `,"monthly":`, limit), '}')
	}
	c.Out = append(dst, "}}\n"...)
}

// resproxy answers /resproxy/{ip}.
func (v ipinfo) resproxy(c *Call, s []string) {
	if len(s) != 1 {
		v.wrongIP(c, "")
		return
	}
	addr, ok := parseAddr(s[0])
	if !ok {
		v.wrongIP(c, "")
		return
	}
	rec, ok := c.look(addr)
	if !ok {
		return
	}
	c.about(rec)
	v.residential(c, rec)
}

// residential answers whether an address is one of a residential proxy. Of any
// other there is nothing to say.
func (ipinfo) residential(c *Call, rec ipwarden.Record) {
	c.ContentType = typeJSONUTF
	if !rec.Traits().Has(ipwarden.ResidentialProxy) {
		c.Out = append(c.Out, "{}\n"...)
		return
	}
	dst := address(c.Out, `{"ip":`, rec.Addr())
	dst = append(dst, `,"last_seen":"`...)
	if d := rec.Date(); !d.IsZero() {
		dst = d.UTC().AppendFormat(dst, "2006-01-02")
	}
	dst = append(dst, '"')
	c.Out = append(text(dst, `,"service":`, rec.Security().VPN), '}', '\n')
}

// The mistakes are those of the vendor's specification: an object with status and
// error for what they call legacy, a sentence for Lite, Core and Plus, and title
// and message for the rest.

func (v ipinfo) wrongIP(c *Call, product string) {
	if product != "" {
		v.mistake(c, http.StatusBadRequest, "Please provide a valid IP address")
		return
	}
	v.problem(c, http.StatusNotFound, "Wrong ip", "Please provide a valid IP address")
}

func (v ipinfo) wrongField(c *Call) {
	v.titled(c, http.StatusBadRequest, "Wrong module or field type", "No module or field of type exists for the provided field. Please check our documentation https://ipinfo.io/developers.")
}

// notInPlan refuses what our data has not, as the vendor does where the plan has not.
func (ipinfo) notInPlan(c *Call, why string) {
	c.restart(http.StatusForbidden)
	c.ContentType = typeJSONUTF
	dst := append(c.Out, `{"error":"Token does not have access to this API"`...)
	c.Out = append(text(dst, `,"message":`, why), '}', '\n')
}

func (ipinfo) mistake(c *Call, status int, sentence string) {
	c.restart(status)
	c.ContentType = typeJSONUTF
	c.Out = append(text(c.Out, `{"error":`, sentence), '}', '\n')
}

func (ipinfo) titled(c *Call, status int, title, message string) {
	c.restart(status)
	c.ContentType = typeJSONUTF
	dst := text(c.Out, `{"title":`, title)
	c.Out = append(text(dst, `,"message":`, message), '}', '\n')
}

// refuse says it in both ways that are in use, title and message alone and within
// an error: clients read the one or the other.
func (v ipinfo) refuse(c *Call, r *Refusal) {
	status, title, message := http.StatusForbidden, "Unknown token", "Please ensure you've entered your token correctly."
	switch r.Code {
	case NoKey:
		title, message = "Missing token", "Please provide a token."
	case OverQuota, TooFast:
		status, title, message = http.StatusTooManyRequests, "Rate limit exceeded", "Upgrade to increase your usage limits."
	case WrongAddress, WrongOrigin:
		title, message = "Forbidden", "The token is not allowed here."
	case NotInPlan:
		v.notInPlan(c, r.sentence(c))
		return
	}
	var s [maxSegments]string
	if n := segments(c.path, &s); n == 1 && s[0] == "me" && (r.Code == NoKey || r.Code == UnknownKey || r.Code == DisabledKey) {
		v.mistake(c, http.StatusBadRequest, "Invalid API token")
		return
	}
	c.restart(status)
	c.ContentType = typeJSONUTF
	message += " " + r.sentence(c)
	dst := number(c.Out, `{"status":`, int64(status))
	dst = text(dst, `,"title":`, title)
	dst = text(dst, `,"message":`, message)
	dst = text(dst, `,"error":{"title":`, title)
	c.Out = append(text(dst, `,"message":`, message), '}', '}', '\n')
}
