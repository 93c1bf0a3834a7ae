package main

import (
	"fmt"
	"io"
	"math/rand"
	"net/netip"
	"os"
	"slices"
)

// A workload is a list of addresses that every contestant looks up in its order.
type workload struct {
	name, title, about string
}

const (
	random4  = "random4"
	zipf4    = "zipf4"
	random6  = "random6"
	network4 = "network4"
)

var workloads = []workload{
	{random4, "random IPv4", "each announced IPv4 address as likely as any other"},
	{zipf4, "zipf IPv4", "drawn by Zipf's law (s = 1.1) from as many random IPv4 addresses"},
	{random6, "random IPv6", "a random address inside of a random announced IPv6 network"},
	{network4, "random network IPv4", "a random address inside of a random announced IPv4 network: small networks count as much as large ones"},
}

// sample is the list that contestants are compared on before anything is timed.
const (
	sample     = "sample"
	sampleSize = 20_000 // half of them IPv4
)

// writeAddresses makes the lists; the same spans give the same lists.
func (w *world) writeAddresses(spans []span, n int) error {
	four, six := spans[:w.spans4], spans[w.spans4:]
	if len(four) == 0 || len(six) == 0 {
		return fmt.Errorf("the feeds have %d IPv4 and %d IPv6 ranges; both are needed", len(four), len(six))
	}
	lists := map[string][]netip.Addr{
		random4:  randomAddrs(rand.New(rand.NewSource(1)), spans, n),
		zipf4:    zipfAddrs(rand.New(rand.NewSource(2)), spans, n),
		random6:  networkAddrs(rand.New(rand.NewSource(3)), six, n),
		network4: networkAddrs(rand.New(rand.NewSource(4)), four, n),
	}
	r := rand.New(rand.NewSource(5))
	lists[sample] = slices.Concat(randomAddrs(r, spans, sampleSize/4), networkAddrs(r, four, sampleSize/4), networkAddrs(r, six, sampleSize/2))
	for name, list := range lists {
		err := writeFile(w.addresses(name), func(f io.Writer) error {
			buf := make([]byte, 0, 16*len(list))
			for _, a := range list {
				b := a.As16()
				buf = append(buf, b[:]...)
			}
			_, err := f.Write(buf)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func readAddresses(name string) ([]netip.Addr, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(b)%16 != 0 {
		return nil, fmt.Errorf("%s: %d bytes are not a whole number of addresses", name, len(b))
	}
	out, err := offHeap[netip.Addr](len(b) / 16)
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i] = netip.AddrFrom16([16]byte(b[16*i:])).Unmap()
	}
	return out, nil
}

func randomAddrs(r *rand.Rand, spans []span, n int) []netip.Addr {
	out := make([]netip.Addr, 0, n)
	for len(out) < n {
		u := r.Uint32()
		a := netip.AddrFrom4([4]byte{byte(u >> 24), byte(u >> 16), byte(u >> 8), byte(u)})
		if answerAt(spans, a).AS != 0 {
			out = append(out, a)
		}
	}
	return out
}

func zipfAddrs(r *rand.Rand, spans []span, n int) []netip.Addr {
	from := randomAddrs(r, spans, n)
	z := rand.NewZipf(r, 1.1, 1, uint64(n-1))
	out := make([]netip.Addr, n)
	for i := range out {
		out[i] = from[z.Uint64()]
	}
	return out
}

func networkAddrs(r *rand.Rand, spans []span, n int) []netip.Addr {
	out := make([]netip.Addr, 0, n)
	for len(out) < n {
		s := &spans[r.Intn(len(spans))]
		if s.AS == 0 {
			continue
		}
		ps := prefixes(s.from, s.to)
		p := ps[r.Intn(len(ps))]
		b := p.Addr().AsSlice()
		for i := range b {
			mask := byte(0xff)
			if full := p.Bits() / 8; i < full {
				mask = 0
			} else if i == full {
				mask = 0xff >> (p.Bits() % 8)
			}
			b[i] |= byte(r.Intn(256)) & mask
		}
		a, _ := netip.AddrFromSlice(b)
		out = append(out, a)
	}
	return out
}
