package dataset

import "runtime"

// flat is the large index for machines with memory to spare: a reference for
// every /24 of IPv4 (DIR-24-8; Gupta, Lin and McKeown, INFOCOM 1998), 64 MiB.
type flat [1 << 24]uint32

// BuildFlat builds the flat index, which makes IPv4 look-ups faster by 64 MiB.
// Look-ups go on meanwhile with the compact index, and use the flat one as soon
// as it is complete. It takes some 50 ms, and is safe for concurrent use.
func (d *Dataset) BuildFlat() error {
	if d.flat.Load() != nil {
		return nil
	}
	table, free, err := newFlatTable()
	if err != nil {
		return err
	}
	for h := range 1 << 16 {
		out := table[h<<8 : h<<8+256]
		ref := le.Uint32(d.root4[h*4:])
		if ref < refSmall {
			for i := range out {
				out[i] = ref
			}
			continue
		}
		for i := range out {
			out[i] = follow(d.nodes, ref, byte(i))
		}
	}
	if !d.flat.CompareAndSwap(nil, table) {
		free() // another caller was faster
		return nil
	}
	runtime.AddCleanup(d, func(free func()) { free() }, free)
	return nil
}

// Flat reports whether the flat index is in use.
func (d *Dataset) Flat() bool { return d.flat.Load() != nil }
