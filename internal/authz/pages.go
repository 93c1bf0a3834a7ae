package authz

import (
	"slices"
	"unsafe"
)

// hugePage is how large a huge page is.
const hugePage = 2 << 20

// Compact asks the system to keep the table of keys and what stands of their accounts in
// huge pages, where it has them. Who asks a million keys in no order waits for memory,
// and a third of that is for finding out where a page is. It is for when all keys are
// read, takes some tenths of a second then, and changes nothing but time: keys are
// checked meanwhile. [Authorizer.Follow] does it.
func (a *Authorizer) Compact() {
	if a.Len() < manyKeys {
		return // all of it is in the caches
	}
	pages := map[uintptr]bool{}
	add := func(p unsafe.Pointer, n uintptr) {
		for at := uintptr(p) &^ (hugePage - 1); at < uintptr(p)+n; at += hugePage {
			pages[at] = true
		}
	}
	for i := range a.table.shards {
		if s := a.table.shards[i].Load(); s != nil {
			add(unsafe.Pointer(unsafe.SliceData(s.slots)), uintptr(len(s.slots))*unsafe.Sizeof(slot{}))
			add(unsafe.Pointer(unsafe.SliceData(s.tags)), uintptr(len(s.tags))*8)
			add(unsafe.Pointer(unsafe.SliceData(s.accounts)), uintptr(len(s.accounts))*32)
		}
	}
	if h := a.table.hints.Load(); h != nil {
		add(unsafe.Pointer(unsafe.SliceData(h.sets)), uintptr(len(h.sets))*unsafe.Sizeof(hintSet{}))
	}
	a.where.Memory(add)
	all := make([]uintptr, 0, len(pages))
	for at := range pages {
		all = append(all, at)
	}
	slices.Sort(all)
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n] == all[n-1]+hugePage {
			n++
		}
		collapse(all[0], uintptr(n)*hugePage)
		all = all[n:]
	}
}

// manyKeys is from how many keys on huge pages are worth it.
const manyKeys = 1 << 14
