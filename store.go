package ipwarden

import "unsafe"

// Store is a [Backing] and, for each of its answers, what policies read most in
// one word, so that reading it costs one load. It is immutable and safe for
// concurrent use.
type Store struct {
	backing Backing
	hot     []Hot
	name    *storeName // nil unless the answers are shared
}

// storeName tells one Store from all others, also after it is gone, without
// keeping it: the names are different because they are different places in
// memory, for which they have to take some.
type storeName struct{ _ byte }

// Hot holds, of one answer, the AS in 32 bits, the country in 10, the traits in
// 19 and the kind of the AS in 3.
type Hot uint64

const (
	hotCountry  = 32
	hotTraits   = 42
	hotKind     = 61
	hotKindMask = 7 << hotKind
)

// The kinds of an AS that a Hot may hold. Of 0 the Backing is asked, and the
// last is none.
var hotKinds = [...]string{"", "business", "education", "government", "hosting", "isp", ""}

// HotOf packs what policies read most. The country is an ISO 3166-1 code of two
// capital letters or empty; any other is taken for unknown.
func HotOf(as uint32, country string, t Traits) Hot {
	h := Hot(as) | Hot(t)<<hotTraits
	if len(country) == 2 && isCapital(country[0]) && isCapital(country[1]) {
		h |= Hot(int(country[0]-'A')*26+int(country[1]-'A')+1) << hotCountry
	}
	return h
}

// WithKind returns h with the kind of the AS, "" for none, so that reading it
// need not ask the Backing. Of a kind that is none of [ASN]'s it remembers nothing.
func (h Hot) WithKind(kind string) Hot {
	h &^= hotKindMask
	for i := 1; i < len(hotKinds); i++ {
		if hotKinds[i] == kind {
			return h | Hot(i)<<hotKind
		}
	}
	return h
}

func isCapital(c byte) bool { return 'A' <= c && c <= 'Z' }

// ASNumber returns the AS, 0 when unknown.
func (h Hot) ASNumber() uint32 { return uint32(h) }

// Traits returns the traits.
func (h Hot) Traits() Traits { return Traits(h &^ hotKindMask >> hotTraits) }

// CountryCode returns the country, "" when unknown.
func (h Hot) CountryCode() string {
	n := h >> hotCountry & (1<<10 - 1)
	return countryCodes[n]
}

// countryCodes has the text of each number that a Hot may hold; that of 0 is
// empty. All are parts of one text, so that those in use share cache lines.
var countryCodes = func() (codes [1 << 10]string) {
	letters := make([]byte, 0, 2*len(codes))
	for i := range codes {
		n := (i + 26*26 - 1) % (26 * 26)
		letters = append(letters, byte('A'+n/26), byte('A'+n%26))
	}
	all := string(letters)
	for i := range codes {
		codes[i] = all[2*i : 2*i+2]
	}
	codes[0] = ""
	return codes
}()

// NewStore makes a Store. hot has a word for each answer, by its number; it must
// not be changed. A Backing of one answer, number 0, may leave hot nil.
func NewStore(b Backing, hot []Hot) *Store {
	if hot == nil && b != nil {
		hot = []Hot{HotOf(b.ASNumber(0), b.CountryCode(0), b.Traits(0))}
	}
	s := &Store{backing: b, hot: hot}
	if _, ok := b.(Shared); ok {
		s.name = new(storeName)
	}
	return s
}

// Record4 is [MakeRecord] for an IPv4 address as a number.
func (s *Store) Record4(addr uint32, id uint32) Record {
	return Record{0, uint64(addr), s, uint64(id) | fourBit}
}

// Record6 is [MakeRecord] for the two halves of an IPv6 address.
func (s *Store) Record6(hi, lo uint64, id uint32) Record {
	return Record{hi, lo, s, uint64(id) | sixBit}
}

// WithAnswer is the Record of the same address with another answer of its Store.
func (r Record) WithAnswer(id uint32) Record {
	r.meta = r.meta&^(1<<32-1) | uint64(id)
	return r
}

// ASKind returns the kind of the autonomous system, "" when unknown: "isp",
// "hosting", "education", …
func (r Record) ASKind() string {
	if k := r.Hot() >> hotKind; k != 0 && int(k) < len(hotKinds) {
		return hotKinds[k]
	}
	return r.ASN().Kind
}

// Hot returns the AS, the country and the traits in one word: for who reads more
// than one of them of many Records. It is 0 when the Record knows nothing.
func (r Record) Hot() Hot {
	if r.store == nil {
		return 0
	}
	return r.store.hot[uint32(r.meta)]
}

// Fetch lets what Hot returns come from memory, and does not wait for it: for who has
// something else to do meanwhile.
func (r Record) Fetch() {
	if r.store != nil {
		if id := uint64(r.id()); id < uint64(len(r.store.hot)) {
			prefetch(unsafe.Pointer(&r.store.hot[id]))
		}
	}
}
