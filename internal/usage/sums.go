package usage

import (
	"math/bits"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/prefetch"
)

// row is a Row with its region's number.
type row struct {
	account  customer.AccountID
	key      customer.KeyID
	hour     customer.Hour
	endpoint customer.Endpoint
	class    customer.Class
	region   uint8
}

func (r *row) hash() uint64 {
	return mix(uint64(r.key)^uint64(r.account)<<1, uint64(r.hour)<<24|uint64(r.endpoint)<<16|uint64(r.class)<<8|uint64(r.region))
}

// mix makes a hash of two numbers that may be alike but for some bits.
func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a^0xa0761d6478bd642f, b*0x9e3779b97f4a7c15^0xe7037ed1a0b428db)
	h := high ^ low
	return (h ^ h>>29) * 0xbf58476d1ce4e5b9
}

// sums are counts by row, in the order in which rows were first counted: what is counted
// often stands together. The zero value is empty.
type sums struct {
	rows   []rowSum
	places places
}

type rowSum struct {
	row
	n int64
}

// find is the number of a row.
func (s *sums) find(r *row, h uint64) (i, number uint32, found bool) {
	for i = s.places.home(h); ; i++ {
		if i, number, found = s.places.seek(h, i); !found || s.rows[number].row == *r {
			return i, number, found
		}
	}
}

// fetch begins to fetch the row of a hash from memory.
func (s *sums) fetch(h uint64) {
	if number, found := s.places.guess(h); found {
		prefetch.Object(unsafe.Pointer(&s.rows[number]), unsafe.Sizeof(rowSum{}))
	}
}

// add counts n more of a row, whose hash is h.
func (s *sums) add(r *row, h uint64, n int64) {
	if s.places.full(len(s.rows)) {
		s.places.grow()
		for i := range s.rows {
			s.places.insert(s.rows[i].hash(), uint32(i))
		}
	}
	i, number, found := s.find(r, h)
	if found {
		s.rows[number].n += n
		return
	}
	s.places.put(i, h, uint32(len(s.rows)))
	s.rows = append(s.rows, rowSum{*r, n})
}

// addAll adds what others has.
func (s *sums) addAll(others *sums) {
	for i := range others.rows {
		r := &others.rows[i]
		s.add(&r.row, r.hash(), r.n)
	}
}

// clear forgets all, and keeps the room unless it was used by few.
func (s *sums) clear() {
	if cap(s.rows) > 1<<16 && len(s.rows) < cap(s.rows)/8 {
		*s = sums{}
	}
	s.rows = s.rows[:0]
	clear(s.places.at)
}
