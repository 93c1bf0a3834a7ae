package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// A Batch is what one node counted between two moments: deltas, never to be counted
// twice. It is named by (node, sequence); sequences have no gaps.
//
//	"IPWU" 1                         version
//	node 8 bytes, sequence, hour, milliseconds since 1970 of the freezing
//	length and name of the region
//	1, number of keys:     account 8, key 8, endpoint << 5 | set of classes, a count for each
//	2, day, number of clients:  8 bytes, count
//	3, day, number of referers: length, name, count; length 0 is all that had no room
//	0, CRC-32C of all before
//
// Numbers without a size are unsigned varints. 2 and 3 may be missing or many.
type Batch struct {
	Node     uint64
	Sequence uint64
	Hour     customer.Hour
	Frozen   time.Time
	Region   string

	body []byte
}

const (
	batchMagic   = "IPWU\x01"
	MaxRegion    = 63
	sectionKeys  = 1
	sectionClts  = 2
	sectionRefs  = 3
	batchTrailer = 4
	// MaxBatch is how long a batch may be. Freezing makes them much shorter: see target.
	MaxBatch = 1 << 20
	target   = 512 << 10 // a batch that is longer than this is closed
)

// What a sum says of one key at one endpoint.
type KeyCounts struct {
	Account  customer.AccountID
	Key      customer.KeyID
	Endpoint customer.Endpoint
	Counts   [customer.NumClasses]uint64
}

// ErrBatch is of a batch that is not one.
var ErrBatch = errors.New("not a batch of usage")

// ParseBatch reads a batch's head and checks the whole: after it Each does not fail.
// It keeps data.
func ParseBatch(data []byte) (*Batch, error) {
	if len(data) > MaxBatch {
		return nil, fmt.Errorf("%w: %d bytes, and %d is the most", ErrBatch, len(data), MaxBatch)
	}
	if len(data) < len(batchMagic)+8+batchTrailer || string(data[:len(batchMagic)]) != batchMagic {
		return nil, fmt.Errorf("%w: it does not begin as one of version 1", ErrBatch)
	}
	body, sum := data[:len(data)-batchTrailer], binary.LittleEndian.Uint32(data[len(data)-batchTrailer:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("%w: the checksum is wrong", ErrBatch)
	}
	r := reader{b: body[len(batchMagic):]}
	b := &Batch{Node: r.fixed(), Sequence: r.number()}
	hour, ms := r.number(), r.number()
	b.Hour, b.Frozen = customer.Hour(hour), time.UnixMilli(int64(ms)).UTC()
	b.Region = string(r.text(MaxRegion))
	if r.bad || b.Node == 0 || b.Sequence == 0 || hour>>32 != 0 || ms>>62 != 0 {
		return nil, fmt.Errorf("%w: its head is wrong", ErrBatch)
	}
	b.body = r.b
	if err := b.Each(Visitor{}); err != nil {
		return nil, err
	}
	return b, nil
}

// A Visitor is told what a batch has. Nil is not interested.
type Visitor struct {
	Key     func(*KeyCounts) // the pointer is good until it returns
	Client  func(day, client, n uint64)
	Referer func(day uint64, host []byte, n uint64)
}

// Each calls v with all that the batch has.
func (b *Batch) Each(v Visitor) error {
	r := reader{b: b.body}
	var k KeyCounts
	for {
		section := r.byte()
		if r.bad {
			return fmt.Errorf("%w: it ends early", ErrBatch)
		}
		switch section {
		case 0:
			if len(r.b) != 0 {
				return fmt.Errorf("%w: there is more after its end", ErrBatch)
			}
			return nil
		case sectionKeys:
			for n := r.number(); n > 0 && !r.bad; n-- {
				k.Account, k.Key = customer.AccountID(r.fixed()), customer.KeyID(r.fixed())
				set := r.byte()
				k.Endpoint = customer.Endpoint(set >> 5)
				k.Counts = [customer.NumClasses]uint64{}
				for s := set & 31; s != 0; s &= s - 1 {
					k.Counts[bits.TrailingZeros8(s)] = r.number()
				}
				if k.Endpoint >= customer.NumEndpoints {
					return fmt.Errorf("%w: there is no endpoint %d", ErrBatch, k.Endpoint)
				}
				if v.Key != nil && !r.bad {
					v.Key(&k)
				}
			}
		case sectionClts:
			day := r.number()
			for n := r.number(); n > 0 && !r.bad; n-- {
				client, count := r.fixed(), r.number()
				if v.Client != nil && !r.bad {
					v.Client(day, client, count)
				}
			}
		case sectionRefs:
			day := r.number()
			for n := r.number(); n > 0 && !r.bad; n-- {
				host := r.text(nameSize - 1)
				count := r.number()
				if v.Referer != nil && !r.bad {
					v.Referer(day, host, count)
				}
			}
		default:
			return fmt.Errorf("%w: there is no section %d", ErrBatch, section)
		}
	}
}

// reader takes apart; once something is missing it is bad, and gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) fixed() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	n := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n>>62 != 0 { // no count is so large, and sums of many must not turn over
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) text(most int) []byte {
	n := int(r.byte())
	if n > most || n > len(r.b) {
		r.fail()
		return nil
	}
	t := r.b[:n]
	r.b = r.b[n:]
	return t
}

// writer puts a batch together. A section's number of entries is written as a varint
// of fixed width, because it is known last.
type writer struct {
	b     []byte
	count int // where the open section's number stands; 0 is that none is open
	n     uint32
}

const countWidth = 4

func (w *writer) begin(node, sequence uint64, hour customer.Hour, now time.Time, region string) {
	w.b = append(w.b[:0], batchMagic...)
	w.b = binary.LittleEndian.AppendUint64(w.b, node)
	w.b = binary.AppendUvarint(w.b, sequence)
	w.b = binary.AppendUvarint(w.b, uint64(hour))
	w.b = binary.AppendUvarint(w.b, uint64(now.UnixMilli()))
	w.b = append(append(w.b, byte(len(region))), region...)
}

func (w *writer) section(id byte, day uint64) {
	w.close()
	w.b = append(w.b, id)
	if id != sectionKeys {
		w.b = binary.AppendUvarint(w.b, day)
	}
	w.count = len(w.b)
	w.b = append(w.b, make([]byte, countWidth)...)
}

func (w *writer) close() {
	if w.count == 0 {
		return
	}
	for i := range countWidth {
		w.b[w.count+i] = byte(w.n>>(7*i))&0x7f | 0x80
	}
	w.b[w.count+countWidth-1] &= 0x7f
	w.count, w.n = 0, 0
}

func (w *writer) key(account, key, endpoint uint64, deltas *classes) {
	w.n++
	b := binary.LittleEndian.AppendUint64(w.b, account)
	b = binary.LittleEndian.AppendUint64(b, key)
	set := len(b)
	b = append(b, byte(endpoint<<5))
	for c, n := range deltas {
		if n != 0 {
			b[set] |= 1 << c
			b = binary.AppendUvarint(b, n)
		}
	}
	w.b = b
}

func (w *writer) client(key, n uint64) {
	w.n++
	w.b = binary.AppendUvarint(binary.LittleEndian.AppendUint64(w.b, key), n)
}

func (w *writer) referer(host string, n uint64) {
	w.n++
	w.b = binary.AppendUvarint(append(append(w.b, byte(len(host))), host...), n)
}

// end closes the batch; what it returns is good until begin.
func (w *writer) end() []byte {
	w.close()
	w.b = append(w.b, 0)
	w.b = binary.LittleEndian.AppendUint32(w.b, crc32.Checksum(w.b, castagnoli))
	return w.b
}

// The sets of classes have five bits.
var _ = [1]struct{}{}[customer.NumClasses-5]
