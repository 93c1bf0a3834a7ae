package ledger

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// A mapped file begins with a page of its own:
//
//	0   "IPWLEDGR"
//	8   version, kind: 2 × uint32
//	16  node: uint64
//	24  slots: uint64
//	32  CRC-32C of the 32 bytes before: uint32
//	64  words that change, each written at once: see word
//
// Behind it stand a mark for each block of slots that changed (see dirt), the slots,
// how much of each was frozen, and names.
const (
	headerSize = 4096
	headLen    = 36
	version    = 2
	magic      = "IPWLEDGR"
)

type kind uint32

const (
	kindNode kind = iota + 1
	kindKeys
	kindClients
	kindReferers
)

func (k kind) String() string {
	return [...]string{"?", "node", "keys", "clients", "referers"}[min(k, 4)]
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mapped is a file in memory.
type mapped struct {
	path string
	data []byte
	node uint64
	n    int // slots
}

// Words of a file's head that change.
const (
	wordSequence = 0 // node: of the batch frozen last
	wordHour     = 1 // node: that running counts belong to
	wordDay      = 0 // clients, referers: of the counts; 0 is that there are none
	wordUsed     = 1 // keys, clients, referers: slots that are taken
	headWords    = 8
)

func (m *mapped) word(i int) uint64 { return atomic.LoadUint64(m.at(i)) }

func (m *mapped) set(i int, v uint64) { atomic.StoreUint64(m.at(i), v) }

func (m *mapped) at(i int) *uint64 { return &part[uint64](m, 64-headerSize, headWords)[i] }

// create makes a file of zeros with its disk space, complete or not at all.
func create(path string, k kind, node uint64, slots int, noSync bool) (_ *mapped, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := allocate(f, k.size(slots)); err != nil {
		return nil, fmt.Errorf("%s: no room for %d bytes on the disk: %w", path, k.size(slots), err)
	}
	h := make([]byte, headLen)
	copy(h, magic)
	binary.LittleEndian.PutUint32(h[8:], version)
	binary.LittleEndian.PutUint32(h[12:], uint32(k))
	binary.LittleEndian.PutUint64(h[16:], node)
	binary.LittleEndian.PutUint64(h[24:], uint64(slots))
	binary.LittleEndian.PutUint32(h[32:], crc32.Checksum(h[:32], castagnoli))
	if _, err := f.WriteAt(h, 0); err != nil {
		return nil, err
	}
	if !noSync {
		if err := f.Sync(); err != nil {
			return nil, err
		}
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return nil, err
	}
	if !noSync {
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, err
		}
	}
	return open(path, k, node)
}

// open maps a file that create made. A node of 0 is any.
func open(path string, k kind, node uint64) (*mapped, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var h [headLen]byte
	if _, err := f.ReadAt(h[:], 0); err != nil {
		return nil, fmt.Errorf("%s: it has no header of a ledger: %w", path, err)
	}
	bad := func(format string, args ...any) (*mapped, error) {
		return nil, fmt.Errorf("%s: %s; move the folder away to begin a new ledger, and keep it: it may hold counts that were not sent", path, fmt.Sprintf(format, args...))
	}
	if string(h[:8]) != magic || crc32.Checksum(h[:32], castagnoli) != binary.LittleEndian.Uint32(h[32:]) {
		return bad("this is no ledger, or its header is damaged")
	}
	if v := binary.LittleEndian.Uint32(h[8:]); v != version {
		return bad("it has version %d of the format, and this program writes %d: a later ipwarden counted in it, which goes on with it", v, version)
	}
	if got := kind(binary.LittleEndian.Uint32(h[12:])); got != k {
		return bad("it counts %s where %s are expected", got, k)
	}
	m := &mapped{path: path, node: binary.LittleEndian.Uint64(h[16:])}
	if node != 0 && m.node != node {
		return bad("it is of node %016x and lies in the ledger of %016x", m.node, node)
	}
	slots := binary.LittleEndian.Uint64(h[24:])
	if slots > maxSlots {
		return bad("it says that it has %d slots, and %d is the most", slots, maxSlots)
	}
	m.n = int(slots)
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// To touch a page beyond the end of the file would be a signal: never less than the
	// header says.
	if want := k.size(m.n); st.Size() < want {
		return bad("it is cut off: %d bytes of %d", st.Size(), want)
	}
	m.data, err = mmap(f, int(k.size(m.n)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// size is how long a file is.
func (k kind) size(slots int) int64 {
	n := int64(slots)
	size := headerSize + int64(dirtSize(slots))
	switch k {
	case kindKeys:
		size += int64(customer.NumClasses-1)*int64(dirtSize(slots)) + n*int64(unsafe.Sizeof(keyID{})+2*unsafe.Sizeof(classes{}))
	case kindClients:
		size += n * int64(unsafe.Sizeof(slot{})+8)
	case kindReferers:
		size += n * int64(unsafe.Sizeof(slot{})+8+nameSize)
	}
	return size
}

func (m *mapped) close() error {
	if m == nil || m.data == nil {
		return nil
	}
	err := munmap(m.data)
	m.data = nil
	return err
}

// part is the n values of type T that begin at an offset behind the header.
func part[T any](m *mapped, offset, n int) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(&m.data[headerSize+offset])), n)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
