package ledger

import (
	"net/netip"
	"sync/atomic"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/prefetch"
)

// An Expected is the client and the page's host of a call that is counted later, with
// the places where they will most likely be. A call is known when it is admitted and
// counted when it was answered: what lies between is time enough for memory to come. The
// zero value has neither client nor host.
type Expected struct {
	client, referer     uint64 // keys; 0 is none
	atClient, atReferer uint32 // slots; wrong ones cost time, and nothing else
	host                string // as much of it as is kept
}

// Expect says who a call is of that [Ledger.CountExpected] will count, and begins to
// fetch the memory that this needs. It counts nothing, and whoever expects a call may
// well never count it. x keeps host.
func (l *Ledger) Expect(x *Expected, k *Key, e customer.Endpoint, c customer.Class, client netip.Addr, host string) {
	if hot := atomic.LoadUint64(&k.hot); hot != 0 && hot&0xff == uint64(e) && c < customer.NumClasses {
		prefetch.Line(unsafe.Pointer(&l.keys[hot>>48].Load().classes[c].counts[hot>>8&(1<<39-1)]))
	}
	if x.client = ClientKey(client); x.client != 0 {
		t := l.clients.Load()
		i := t.home(x.client)
		x.atClient = uint32(i)
		prefetch.Line(unsafe.Pointer(&t.slots[i]))
	}
	x.referer, x.host = 0, ""
	if host != "" {
		t := l.referers.Load()
		x.referer, x.host = t.hash(host)
		i := t.home(x.referer)
		x.atReferer = uint32(i)
		prefetch.Line(unsafe.Pointer(&t.slots[i]))
		prefetch.Line(unsafe.Pointer(&t.names[i]))
	}
}

// CountExpected counts n calls of a key, and of whom x expects: as [Ledger.CountCall]
// does, wherever the places are by now.
func (l *Ledger) CountExpected(k *Key, e customer.Endpoint, c customer.Class, n uint64, x *Expected) {
	l.Count(k, e, c, n)
	if x.client != 0 {
		t := l.clients.Load()
		i := int(x.atClient)
		if i >= len(t.slots) || atomic.LoadUint64(&t.slots[i].key) != x.client {
			i = t.place(l, x.client, "")
		}
		t.add(l, i, n)
	}
	if x.referer != 0 {
		t := l.referers.Load()
		i := int(x.atReferer)
		if i >= len(t.slots) || atomic.LoadUint64(&t.slots[i].key) != x.referer || t.name(i) != x.host {
			i = t.place(l, x.referer, x.host)
		}
		t.add(l, i, n)
	}
}
