package dnsbl

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// maxSockets is how many questions are on their way at a time; others wait for one.
const maxSockets = 64

// maxStrays is how many datagrams that are no answer are read for one question.
const maxStrays = 64

// resolver asks recursive resolvers. Each question has a socket of its own, whose
// port the kernel chooses at random, and a random ID; the socket is connected, so
// that it hears its resolver alone.
type resolver struct {
	addrs   []string
	timeout time.Duration
	tries   int
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	slots   chan struct{}
}

func newResolver(c *Config) *resolver {
	return &resolver{
		addrs: c.Resolvers, timeout: c.Timeout, tries: c.Tries, dial: c.Dial,
		slots: make(chan struct{}, maxSockets),
	}
}

// resolvers checks those that are given, or finds the system's.
func (c *Config) resolvers() (errs []error) {
	given := c.Resolvers
	c.Resolvers = nil
	if len(given) == 0 {
		conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(conf.Servers) == 0 {
			return []error{errors.New("no resolver is in Resolvers, and none in /etc/resolv.conf; give one, such as \"127.0.0.1:53\"")}
		}
		for _, s := range conf.Servers[:min(len(conf.Servers), maxResolvers)] {
			c.Resolvers = append(c.Resolvers, net.JoinHostPort(s, conf.Port))
		}
		return nil
	}
	if len(given) > maxResolvers {
		errs = append(errs, fmt.Errorf("there are %d Resolvers; there may be %d", len(given), maxResolvers))
	}
	for _, s := range given {
		r, err := ParseResolver(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.Resolvers = append(c.Resolvers, r)
	}
	return errs
}

// ParseResolver reads the address of a resolver, with port 53 unless it has one.
func ParseResolver(s string) (string, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 53).String(), nil
	}
	if a, err := netip.ParseAddrPort(s); err == nil && a.Port() != 0 {
		return a.String(), nil
	}
	return "", fmt.Errorf("%q is no address of a resolver, such as \"127.0.0.1:53\" or \"[::1]:53\"", clip(s, 64))
}

// ask asks until somebody answers, the tries are used up, or ctx ends.
func (r *resolver) ask(ctx context.Context, name string, qtype uint16) (answer, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	var last error
	edns := true
	for try := range r.tries {
		if ctx.Err() != nil {
			break
		}
		a, err := r.exchange(ctx, r.addrs[try%len(r.addrs)], name, qtype, edns)
		if err == nil {
			return a, nil
		}
		last = err
		var rcode rcodeError
		if errors.As(err, &rcode) && (rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented) {
			edns = false // it may be older than EDNS
		}
	}
	if last == nil {
		last = ctx.Err()
	}
	return answer{}, last
}

// exchange is one try.
func (r *resolver) exchange(ctx context.Context, addr, name string, qtype uint16, edns bool) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	var id [2]byte
	_, _ = rand.Read(id[:]) // does not fail
	q := dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: binary.BigEndian.Uint16(id[:]), RecursionDesired: true},
		Question: []dns.Question{{Name: name, Qtype: qtype, Qclass: dns.ClassINET}},
	}
	if edns {
		q.SetEdns0(maxUDP, false)
	}
	b, err := q.Pack()
	if err != nil {
		return answer{}, errors.New("the name cannot be asked") // its text may hold a key
	}
	a, err := r.over(ctx, "udp", addr, b, func(c net.Conn) (answer, error) { return readUDP(c, q.Id, name, qtype) })
	if errors.Is(err, errTruncated) {
		stream := append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
		a, err = r.over(ctx, "tcp", addr, stream, func(c net.Conn) (answer, error) { return readTCP(c, q.Id, name, qtype) })
	}
	return a, err
}

// over sends a question and reads its answer.
func (r *resolver) over(ctx context.Context, network, addr string, b []byte, read func(net.Conn) (answer, error)) (answer, error) {
	c, err := r.dial(ctx, network, addr)
	if err != nil {
		return answer{}, fmt.Errorf("the resolver %s: %w", addr, plain(err))
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err = c.Write(b); err != nil {
		return answer{}, fmt.Errorf("the resolver %s: %w", addr, plain(err))
	}
	a, err := read(c)
	var failed net.Error
	if errors.As(err, &failed) {
		if failed.Timeout() {
			return a, fmt.Errorf("the resolver %s does not answer in time", addr)
		}
		return a, fmt.Errorf("the resolver %s: %w", addr, plain(err))
	}
	return a, err
}

// plain takes the local address out of an error, which is another each time.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// readUDP reads until there is an answer: others do not end a question, or who
// sends junk first would.
func readUDP(c net.Conn, id uint16, name string, qtype uint16) (answer, error) {
	var buf [4096]byte // some answer with more than they were asked for
	for range maxStrays {
		n, err := c.Read(buf[:])
		if err != nil {
			return answer{}, err
		}
		if a, err := readAnswer(buf[:n], id, name, qtype); !errors.Is(err, errNotOurs) {
			return a, err
		}
	}
	return answer{}, fmt.Errorf("%d messages that are no answer came", maxStrays)
}

func readTCP(c net.Conn, id uint16, name string, qtype uint16) (answer, error) {
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return answer{}, err
	}
	n := binary.BigEndian.Uint16(length[:])
	if n > maxMessage {
		return answer{}, fmt.Errorf("the answer has %d bytes, and should have %d at most", n, maxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		return answer{}, err
	}
	a, err := readAnswer(b, id, name, qtype)
	if errors.Is(err, errTruncated) {
		return a, errors.New("the answer is truncated over TCP as well")
	}
	return a, err
}
