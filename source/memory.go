package source

import (
	"encoding/binary"
	"net/netip"

	"github.com/maypok86/otter/v2"
)

// memory keeps answers by their networks. Those that know nothing are apart, so
// that a spray of addresses nobody knows does not drive out what was paid for.
type memory struct {
	known, empty *otter.Cache[networkKey, *answer]
	in           [2]lengths // of the prefixes that are or were there: IPv4, IPv6
}

// networkKey is a prefix in less space, and faster to hash.
type networkKey struct {
	hi, lo uint64
	bits   uint16 // 256 more for IPv6
}

func keyOf(p netip.Prefix) networkKey {
	a := p.Masked().Addr()
	if a.Is4() {
		b := a.As4()
		return networkKey{lo: uint64(binary.BigEndian.Uint32(b[:])), bits: uint16(p.Bits())}
	}
	b := a.As16()
	return networkKey{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), uint16(p.Bits()) | 256}
}

// newMemory makes a memory of so many bytes.
func newMemory(size int64) *memory {
	part := func(n int64) *otter.Cache[networkKey, *answer] {
		return otter.Must(&otter.Options[networkKey, *answer]{
			MaximumWeight: uint64(n),
			Weigher:       func(_ networkKey, a *answer) uint32 { return uint32(min(a.weight(), 1<<20)) },
			// Maintenance by whoever writes: writing is rare, and no goroutine is left over.
			Executor: func(f func()) { f() },
		})
	}
	return &memory{known: part(size - size/8), empty: part(size / 8)}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// get finds the answer of the narrowest network round an address.
func (m *memory) get(a netip.Addr, now int64) *answer {
	for bits := range m.in[family(a)].narrower {
		p, err := a.Prefix(bits)
		if err != nil {
			continue
		}
		k := keyOf(p)
		for _, part := range [...]*otter.Cache[networkKey, *answer]{m.known, m.empty} {
			found, ok := part.GetIfPresent(k)
			switch {
			case !ok:
			case now < found.stale:
				return found
			default:
				part.Invalidate(k)
			}
		}
	}
	return nil
}

// put keeps an answer under its network, in place of what was there.
func (m *memory) put(a *answer) {
	k := keyOf(a.full.Network)
	in, other := m.known, m.empty
	if a.empty {
		in, other = other, in
	}
	other.Invalidate(k)
	in.Set(k, a)
	m.in[family(a.full.Network.Addr())].add(a.full.Network.Bits())
}

// size is how many answers there are, and the bytes they take, roughly.
func (m *memory) size() (entries, bytes int64) {
	return int64(m.known.EstimatedSize() + m.empty.EstimatedSize()), int64(m.known.WeightedSize() + m.empty.WeightedSize())
}
