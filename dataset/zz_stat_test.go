package dataset

import (
	"fmt"
	"os"
	"testing"
)

func TestStat(t *testing.T) {
	b, _ := os.ReadFile("/tmp/world.ipw")
	d, err := OpenData(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, fam := range []family{ipv4, ipv6} {
		hist := map[int]int{}
		var bm, bmrefs, wide, widerefs int
		lvl := map[int]int{}
		var walk func(ref uint32, depth int)
		walk = func(ref uint32, depth int) {
			if ref < refSmall {
				return
			}
			lvl[depth]++
			n := d.nodes[uint64(ref&refValue)*4:]
			var head, count int
			switch ref & refKind {
			case refSmall:
				head = 2
				count = 1
				for i := range 8 {
					if n[i] != 0 {
						count++
					}
				}
				hist[count]++
			case refBitmap:
				head = bitmapWords
				for w := range 4 {
					count += popcount(le.Uint64(n[4+8*w:]))
				}
				bm++
				bmrefs += count
			default:
				head = wideWords
				for w := range 1024 {
					count += popcount(le.Uint64(n[w*12:]))
				}
				wide++
				widerefs += count
			}
			for i := range count {
				walk(le.Uint32(n[(head+i)*4:]), depth+1)
			}
		}
		root := d.root4
		if fam == ipv6 {
			root = d.root6
		}
		for h := range 1 << 16 {
			walk(le.Uint32(root[h*4:]), 0)
		}
		tot := 0
		refs := 0
		for c, k := range hist {
			tot += k
			refs += c * k
		}
		fmt.Println(fam, "small", tot, "refs", refs, hist, "bitmap", bm, bmrefs, "wide", wide, widerefs, "levels", lvl)
	}
}
