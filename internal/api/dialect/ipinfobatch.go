package dialect

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/ipwarden/ipwarden"
)

const (
	ipinfoItems = 1000    // of a batch
	maxAnswer   = 8 << 20 // bytes, from which on the items of a bulk answer are refused
)

// post answers batches: an object that has the answer to each path under it.
func (v ipinfo) post(c *Call, s []string, n int) {
	switch {
	case n == 1 && s[0] == "batch" && newProducts(c.Host):
		v.batch(c, coreItem)
	case n == 1 && s[0] == "batch", n == 2 && s[0] == "batch" && s[1] == "legacy":
		v.batch(c, func(item string) string { return item })
	case n == 2 && s[0] == "batch" && (s[1] == "lite" || s[1] == "lookup" || s[1] == "plus" || s[1] == "max"):
		under := s[1] + "/"
		v.batch(c, func(item string) string { return under + item })
	case n == 1 && s[0] == "summarize", n == 2 && s[0] == "tools" && s[1] == "summarize-ips":
		v.summary(c)
	case n == 1 && s[0] == "map", n == 2 && s[0] == "tools" && s[1] == "map":
		v.notInPlan(c, "No maps are drawn here.")
	default:
		c.fail(notFound)
	}
}

// newProducts reports whether a host is one of those where Lite, Core and Plus
// are: there an address alone means Core in a batch.
func newProducts(host string) bool {
	switch strings.ToLower(bareHost(host)) {
	case "api.ipinfo.io", "v4.api.ipinfo.io", "v6.api.ipinfo.io":
		return true
	}
	return false
}

// coreItem is the path that an item of a batch at api.ipinfo.io stands for.
func coreItem(item string) string {
	first, rest, more := strings.Cut(item, "/")
	if _, ok := parseAddr(first); ok && (!more || plusFields[rest]) {
		return "lookup/" + item
	}
	return item
}

// read reads the array or the lines of a question; on false a mistake is written.
func (v ipinfo) read(c *Call) ([]item, bool) {
	body, ok := c.body()
	if !ok {
		return nil, false
	}
	limit := c.bulk(ipinfoItems)
	all, why := items(body, limit)
	if why == itemsBad {
		all, why = lines(body, limit)
	}
	switch why {
	case itemsNone:
		return nil, true
	case itemsMany:
		v.problem(c, http.StatusBadRequest, "Batch too large", "A batch may have "+itoa(limit)+" items.")
		return nil, false
	case itemsBad:
		v.problem(c, http.StatusBadRequest, "Invalid batch", `The body has to be a JSON array of strings, such as ["8.8.8.8","8.8.4.4/country"], or have one of them a line.`)
		return nil, false
	}
	return all, c.admit(len(all) - 1)
}

// batch answers each path as if it had been asked alone. Text becomes a string.
// A client may look an item up by what it asked, so each is there once, under its
// own spelling; an answer is never null, on which node-ipinfo breaks.
func (v ipinfo) batch(c *Call, path func(item string) string) {
	filter := param(c.Query, "filter") == "1"
	all, ok := v.read(c)
	if !ok {
		return
	}
	out := append(c.Out, '{')
	seen := make(map[string]bool, len(all))
	var s [maxSegments]string
	for _, it := range all {
		if !it.ok || seen[it.text] {
			continue
		}
		seen[it.text] = true
		c.restart(http.StatusOK)
		c.Out = c.part[:0]
		if n := segments(path(it.text), &s); len(out) < maxAnswer {
			v.get(c, s[:max(n, 0)], n)
		} else {
			v.problem(c, http.StatusRequestEntityTooLarge, "Batch too large", "The answers before this one take up the room; ask for fewer at once.")
		}
		c.part = c.Out
		answer := withoutLineEnd(c.part)
		if filter && (c.Status != http.StatusOK || len(answer) == 0 || string(answer) == "{}") {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(ipwarden.AppendString(out, it.text), ':')
		if c.ContentType == typeText {
			out = ipwarden.AppendString(out, string(answer))
		} else {
			out = append(out, answer...)
		}
	}
	c.restart(http.StatusOK)
	c.ContentType, c.Lines = typeJSONUTF, c.Lines[:0] // those of items
	c.Out = append(out, '}', '\n')
}

func withoutLineEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		return b[:n-1]
	}
	return b
}

// system answers what an autonomous system is called and announces. Its peers
// are not in our data: their lists are empty.
func (v ipinfo) system(c *Call, s []string, n uint32, valid bool) {
	as, a, ok := c.system(n)
	if len(s) > 2 || len(s) == 2 && s[1] != "json" {
		v.wrongField(c)
		return
	}
	if !valid || !ok {
		c.restart(http.StatusNotFound)
		c.ContentType = typeJSONUTF
		c.Out = append(c.Out, `{"error":"ASN Not Found!"}`+"\n"...)
		return
	}
	c.Keep, c.ContentType = KeepDay, typeJSONUTF
	dst := asMember(c.Out, `{"asn":`, as.Number)
	dst = text(dst, `,"name":`, as.Name)
	dst = append(dst, `,"country":"","allocated":""`...)
	dst = text(dst, `,"registry":`, as.Registry)
	dst = text(dst, `,"domain":`, as.Domain)
	dst = number(dst, `,"num_ips":`, int64(a.addresses))
	dst = text(dst, `,"type":`, as.Kind)
	dst = append(dst, `,"prefixes":[`...)
	for i, p := range a.v4 {
		dst = appendIPinfoPrefix(dst, i, p, &as)
	}
	dst = append(dst, `],"prefixes6":[`...)
	for i, p := range a.v6 {
		dst = appendIPinfoPrefix(dst, i, p, &as)
	}
	c.Out = append(dst, `],"peers":[],"upstreams":[],"downstreams":[]}`+"\n"...)
}

func appendIPinfoPrefix(dst []byte, i int, p netip.Prefix, as *ipwarden.ASN) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	dst = network(dst, `{"netblock":`, p)
	dst = append(dst, `,"id":""`...)
	dst = text(dst, `,"name":`, as.Name)
	dst = append(dst, `,"country":"","size":"`...)
	dst = appendSize(dst, p)
	dst = append(dst, `","status":""`...)
	return append(text(dst, `,"domain":`, as.Domain), '}')
}
