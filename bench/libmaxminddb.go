//go:build libmaxminddb && cgo

package main

/*
#cgo LDFLAGS: -lmaxminddb
#include <maxminddb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef union { struct sockaddr any; struct sockaddr_in four; struct sockaddr_in6 six; } addr;

static int ask(MMDB_s *db, const addr *a, char country[2], uint32_t *as) {
	int err = 0;
	MMDB_lookup_result_s r = MMDB_lookup_sockaddr(db, &a->any, &err);
	MMDB_entry_data_s v;
	country[0] = country[1] = 0;
	*as = 0;
	if (err != MMDB_SUCCESS) return err;
	if (!r.found_entry) return 0;
	if (MMDB_get_value(&r.entry, &v, "country", "iso_code", NULL) == MMDB_SUCCESS && v.has_data && v.data_size == 2)
		memcpy(country, v.utf8_string, 2);
	if (MMDB_get_value(&r.entry, &v, "autonomous_system_number", NULL) == MMDB_SUCCESS && v.has_data)
		*as = v.uint32;
	return 0;
}

// The loop is in C, so that crossing over from Go is not part of the figure.
static uint64_t ask_all(MMDB_s *db, const addr *a, size_t n) {
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++) {
		char cc[2];
		uint32_t as;
		if (ask(db, &a[i], cc, &as) == 0) sum += as + (unsigned char)cc[0];
	}
	return sum;
}
*/
import "C"

import (
	"fmt"
	"net/netip"
	"unsafe"
)

func libmaxminddb() kind {
	return kind{name: libmaxminddbRow, what: "country and AS, in C", open: openLibMaxMindDB, country: true, as: true, allocs: -1}
}

type libMaxMindDB struct {
	db    *C.MMDB_s
	lists map[*netip.Addr][]C.addr // addresses as C has them, made when a list is first seen
}

func openLibMaxMindDB(w *world) (contestant, error) {
	c := &libMaxMindDB{db: (*C.MMDB_s)(C.calloc(1, C.sizeof_MMDB_s)), lists: map[*netip.Addr][]C.addr{}}
	name := C.CString(w.mmdb())
	defer C.free(unsafe.Pointer(name))
	if code := C.MMDB_open(name, C.MMDB_MODE_MMAP, c.db); code != C.MMDB_SUCCESS {
		return nil, fmt.Errorf("%s: %s", w.mmdb(), C.GoString(C.MMDB_strerror(code)))
	}
	return c, nil
}

func (c *libMaxMindDB) pass(addrs []netip.Addr) uint64 {
	if len(addrs) == 0 {
		return 0
	}
	list := c.lists[&addrs[0]]
	if len(list) != len(addrs) {
		list = make([]C.addr, len(addrs))
		for i, a := range addrs {
			list[i] = sockaddr(a)
		}
		c.lists[&addrs[0]] = list
	}
	return uint64(C.ask_all(c.db, &list[0], C.size_t(len(list))))
}

func (c *libMaxMindDB) answer(a netip.Addr) answer {
	s := sockaddr(a)
	var cc [2]C.char
	var as C.uint32_t
	if C.ask(c.db, &s, &cc[0], &as) != 0 || cc[0] == 0 {
		return answer{AS: uint32(as)}
	}
	return answer{Country: string([]byte{byte(cc[0]), byte(cc[1])}), AS: uint32(as)}
}

func sockaddr(a netip.Addr) (s C.addr) {
	if a.Is4() {
		four := (*C.struct_sockaddr_in)(unsafe.Pointer(&s))
		four.sin_family = C.AF_INET
		b := a.As4()
		four.sin_addr = *(*C.struct_in_addr)(unsafe.Pointer(&b))
		return s
	}
	six := (*C.struct_sockaddr_in6)(unsafe.Pointer(&s))
	six.sin6_family = C.AF_INET6
	b := a.As16()
	six.sin6_addr = *(*C.struct_in6_addr)(unsafe.Pointer(&b))
	return s
}
