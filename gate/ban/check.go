package ban

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ipwarden/ipwarden"
)

// check says everything that is wrong with an entry.
func (e *Entry) check(now time.Time) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := checkNetwork(e.Network); err != nil {
		errs = append(errs, err)
	}
	if !known(e.Action) {
		wrong("the action %q is none of a ban, which are block, challenge and throttle", e.Action)
	}
	if left := e.Until.Sub(now); left < Shortest-time.Millisecond || left > Longest+time.Millisecond {
		wrong("a ban is for a time from 1s to 30d, such as 1h; who is to be shut out for good belongs into a list of the policy")
	}
	if err := checkReason(e.Reason); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// believable reports whether an entry that came from outside may be taken in,
// whenever it ends.
func (e *Entry) believable(now time.Time) bool {
	const skew = time.Hour // between the clocks of nodes
	return checkNetwork(e.Network) == nil && known(e.Action) && checkReason(e.Reason) == nil &&
		e.Until.Sub(now) <= Longest+skew && e.Stamp > 0 && e.Stamp <= now.Add(skew).UnixMilli()
}

func checkReason(text string) error {
	if len(text) > MaxReason {
		return fmt.Errorf("the reason has %d bytes; it has at most %d", len(text), MaxReason)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return errors.New("the reason is not one line of text, such as sshd: 5 failures")
	}
	return nil
}

func checkNetwork(p netip.Prefix) error {
	const example = ", such as 203.0.113.7 or 203.0.113.0/24"
	if !p.IsValid() || p.Addr().Is4In6() {
		return errors.New("there is no network to ban" + example)
	}
	if p != p.Masked() {
		return fmt.Errorf("%s has bits behind its length; the network is %s", p, p.Masked())
	}
	if _, how := ipwarden.Canonical(p.Addr()); how != ipwarden.NotWrapped {
		return fmt.Errorf("%s is a way of writing IPv4 addresses, which are judged by themselves; ban the IPv4 network", p)
	}
	if p.Addr().Is4() && p.Bits() < Widest4 || p.Addr().Is6() && p.Bits() < Widest6 {
		return fmt.Errorf("%s is too wide for a ban: at most a /%d of IPv4 and a /%d of IPv6; what is larger belongs into a list of the policy", p, Widest4, Widest6)
	}
	return nil
}

// ParseNetwork reads what is to be banned: a prefix, or an address. An IPv6 address
// is its /64, which is one client; written with /128 it is that address alone.
func ParseNetwork(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return p, fmt.Errorf("%q is no network, such as 203.0.113.0/24", short(text))
		}
		if a := p.Addr(); p.IsSingleIP() || a.Is4In6() && p.Bits() >= 96 {
			if c, how := ipwarden.Canonical(a); how != ipwarden.NotWrapped || a.Is4In6() {
				if p.IsSingleIP() {
					return netip.PrefixFrom(c, c.BitLen()), nil
				}
				p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
			}
		}
		return p, checkNetwork(p)
	}
	addr, err := ipwarden.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q %w", short(text), err)
	}
	addr, _ = ipwarden.Canonical(addr)
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return p, err
	}
	return p, checkNetwork(p)
}

// ParseTime reads how long a ban is: 90s, 10m, 1h30m, 7d, or a number of seconds.
func ParseTime(text string) (time.Duration, error) {
	d, err := time.Duration(0), error(nil)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(min(max(n, -1), 1000)) * 24 * time.Hour
	} else if n, plain := strconv.ParseInt(text, 10, 64); plain == nil {
		d = time.Duration(min(max(n, -1), 1<<30)) * time.Second
	} else {
		d, err = time.ParseDuration(text)
	}
	if err != nil {
		return 0, fmt.Errorf("%q is no time, such as 90s, 10m, 1h or 7d", short(text))
	}
	if d < Shortest || d > Longest {
		return 0, fmt.Errorf("a ban is for a time from 1s to 30d, such as 1h, and not for %s; who is to be shut out for good belongs into a list of the policy", short(text))
	}
	return d, nil
}

func short(text string) string {
	if len(text) > 64 {
		return text[:64] + "…"
	}
	return text
}
