package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// A folder of version 1 is read once. What it had counted and not frozen becomes batches
// behind those of its spool, of the same node; its tables are then made anew. All of
// that is written into a folder of its own, which gets its name when it is whole: who
// dies before begins again, and who dies after goes on from there.
const (
	older       = 1
	unconverted = ".converting"
	converted   = "converted"
)

// takeOver brings a folder to this version, if it is an older one's. The lock is held.
func (l *Ledger) takeOver() error {
	done := filepath.Join(l.dir, converted)
	if _, err := os.Stat(done); err == nil {
		return l.settleIn(done)
	}
	node, err := readOlder(filepath.Join(l.dir, "node"), kindNode, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotOlder) {
		return nil // Open says what else may be wrong
	}
	if err != nil {
		return err
	}
	fresh := filepath.Join(l.dir, unconverted)
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := l.convert(node, fresh); err != nil {
		return fmt.Errorf("%s: what an older version counted cannot be taken over: %w; nothing was changed", l.dir, err)
	}
	if err := os.Rename(fresh, done); err != nil {
		return err
	}
	if err := l.syncDir(l.dir); err != nil {
		return err
	}
	return l.settleIn(done)
}

// settleIn moves what convert wrote to where it belongs. The node's file is the last.
func (l *Ledger) settleIn(done string) error {
	_, err := os.Stat(filepath.Join(done, "node"))
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(done)
	}
	if err != nil {
		return err
	}
	move := func(name string) error {
		return os.Rename(filepath.Join(done, name), filepath.Join(l.dir, name))
	}
	batches, err := filepath.Glob(filepath.Join(done, "spool", "*"+spoolEnd))
	if err != nil {
		return err
	}
	for _, name := range batches {
		if err := move(filepath.Join("spool", filepath.Base(name))); err != nil {
			return err
		}
	}
	for _, k := range []kind{kindKeys, kindClients, kindReferers} {
		tables, err := filepath.Glob(filepath.Join(l.dir, k.String()+"-*"))
		if err != nil {
			return err
		}
		for _, name := range tables {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	// The batches have their names and the tables are gone, on the disk too, before the node's
	// file says that this is done.
	for _, step := range []func() error{
		func() error { return l.syncDir(filepath.Join(l.dir, "spool")) },
		func() error { return l.syncDir(l.dir) },
		func() error { return move("node") },
		func() error { return l.syncDir(l.dir) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return os.RemoveAll(done)
}

// convert writes the batches of an older folder, and its node's file, into another.
func (l *Ledger) convert(node *olderFile, into string) error {
	if err := os.MkdirAll(filepath.Join(into, "spool"), 0o700); err != nil {
		return err
	}
	to := &Ledger{dir: into, region: l.region, now: l.now, config: l.config}
	var err error
	if to.node, err = create(filepath.Join(into, "node"), kindNode, node.node, 0, l.config.noSync); err != nil {
		return err
	}
	defer to.node.close()
	to.node.set(wordSequence, node.word(wordSequence))
	marks, err := l.olderSpool(node.node, to)
	if err != nil {
		return err
	}
	f := freeze{l: to, now: l.now(), hour: customer.Hour(node.word(wordHour))}
	if f.hour == 0 {
		f.hour = customer.HourOf(f.now)
	}
	for number := uint32(0); ; number++ {
		t, err := readOlder(l.keysPath(int(number)), kindKeys, node.node)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err == nil {
			err = f.olderKeys(number, t, marks)
		}
		if err != nil {
			return err
		}
	}
	for _, k := range []kind{kindClients, kindReferers} {
		for i := range 2 {
			t, err := readOlder(filepath.Join(l.dir, fmt.Sprintf("%s-%d", k, i)), k, node.node)
			if err == nil {
				err = f.olderFlat(t, marks)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if err := f.close(); err != nil {
		return err
	}
	return flush(to.node.data)
}

// An olderMark is where a mark of version 1 points.
type olderMark struct{ table, slot, class uint32 }

// olderSpool writes the batches of a spool of version 1 anew, and returns up to where
// they froze. A mark was 20 bytes: table, slot and class, 4 each, and the sum.
func (l *Ledger) olderSpool(node uint64, to *Ledger) (map[olderMark]uint64, error) {
	const magic, size = "IPWS\x01", 20
	marks := map[olderMark]uint64{}
	waiting, err := l.Waiting()
	if err != nil {
		return nil, err
	}
	for _, sequence := range waiting {
		name := l.spoolName(sequence)
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		head := len(magic) + 4
		bad := fmt.Errorf("%s: it is damaged: move it away to go on without the calls it counted", name)
		if len(data) < head+8 || string(data[:len(magic)]) != magic {
			return nil, bad
		}
		body := data[:len(data)-4]
		n := uint64(binary.LittleEndian.Uint32(body[len(magic):]))
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[len(data)-4:]) || n > MaxBatch || uint64(head)+n+4 > uint64(len(body)) {
			return nil, bad
		}
		batch, rest := body[head:uint64(head)+n], body[uint64(head)+n:]
		if b, err := ParseBatch(batch); err != nil || b.Node != node || b.Sequence != sequence {
			return nil, bad
		}
		if rest = rest[4:]; len(rest)%size != 0 {
			return nil, bad
		}
		for ; len(rest) > 0; rest = rest[size:] {
			m := olderMark{binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:]), binary.LittleEndian.Uint32(rest[8:])}
			marks[m] = max(marks[m], binary.LittleEndian.Uint64(rest[12:]))
		}
		if err := to.write(sequence, batch, nil); err != nil {
			return nil, err
		}
		to.node.set(wordSequence, max(to.node.word(wordSequence), sequence))
	}
	return marks, nil
}

// left is what was counted and is in no batch. After a loss of power the table may be
// older than the spool.
func left(count, sent, marked uint64) uint64 {
	sent, count = max(sent, marked), max(count, marked)
	return count - min(sent, count)
}

// olderKeys puts what is left of a table of keys into batches. A slot was the key, the
// account, the endpoint and five counts, and behind all slots stood what of each was sent.
func (f *freeze) olderKeys(number uint32, t *olderFile, marks map[olderMark]uint64) error {
	const slot, classCount = 64, uint32(customer.NumClasses)
	for i := range t.n {
		at := t.body[slot*i:]
		id, endpoint := binary.LittleEndian.Uint64(at), binary.LittleEndian.Uint64(at[16:])
		if id == 0 || endpoint >= uint64(customer.NumEndpoints) {
			continue
		}
		var deltas classes
		any := false
		for c := range classCount {
			sent := binary.LittleEndian.Uint64(t.body[slot*t.n+40*i+8*int(c):])
			deltas[c] = left(binary.LittleEndian.Uint64(at[24+8*c:]), sent, marks[olderMark{number, uint32(i), c}])
			any = any || deltas[c] != 0
		}
		if !any {
			continue
		}
		if err := f.entry(sectionKeys, 0); err != nil {
			return err
		}
		f.l.w.key(binary.LittleEndian.Uint64(at[8:]), id, endpoint, &deltas)
	}
	return nil
}

// olderFlat does it for a table of clients or referers, which is as it was but for the
// marks before it.
func (f *freeze) olderFlat(t *olderFile, marks map[olderMark]uint64) error {
	day, section, number := t.word(wordDay), byte(sectionClts), uint32(tableClients)
	if day == 0 {
		return nil // it was being emptied
	}
	if t.kind == kindReferers {
		section, number = sectionRefs, tableReferers
	}
	number |= uint32(day)
	for i := range t.n {
		key := binary.LittleEndian.Uint64(t.body[16*i:])
		sent := binary.LittleEndian.Uint64(t.body[16*t.n+8*i:])
		n := left(binary.LittleEndian.Uint64(t.body[16*i+8:]), sent, marks[olderMark{table: number, slot: uint32(i)}])
		if key == 0 || n == 0 {
			continue
		}
		if err := f.entry(section, day); err != nil {
			return err
		}
		switch {
		case section == sectionClts:
			f.l.w.client(key, n)
		case key == Other:
			f.l.w.referer("", n)
		default:
			name := t.body[24*t.n+nameSize*i:][:nameSize]
			f.l.w.referer(string(name[1:1+min(int(name[0]), nameSize-1)]), n)
		}
	}
	return nil
}

// olderFile is a file of version 1.
type olderFile struct {
	kind kind
	node uint64
	n    int
	head []byte
	body []byte // the slots and what is behind them
}

func (f *olderFile) word(i int) uint64 { return binary.LittleEndian.Uint64(f.head[64+8*i:]) }

var errNotOlder = errors.New("it is not of an older version")

// readOlder reads a file of version 1. A node of 0 is any.
func readOlder(path string, k kind, node uint64) (*olderFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(data) < headerSize || string(data[:8]) != magic || crc32.Checksum(data[:32], castagnoli) != binary.LittleEndian.Uint32(data[32:]) ||
		binary.LittleEndian.Uint32(data[8:]) != older || kind(binary.LittleEndian.Uint32(data[12:])) != k {
		return nil, fmt.Errorf("%s: %w", path, errNotOlder)
	}
	f := &olderFile{kind: k, node: binary.LittleEndian.Uint64(data[16:]), head: data[:headerSize]}
	slots := binary.LittleEndian.Uint64(data[24:])
	if slots > maxSlots || node != 0 && f.node != node || f.node == 0 {
		return nil, fmt.Errorf("%s: its header is damaged", path)
	}
	f.n = int(slots)
	f.body = data[headerSize:]
	if k == kindNode {
		return f, nil
	}
	dirt := ((f.n+63)/64*4 + 63) &^ 63
	want := map[kind]int{kindKeys: 64 + 40, kindClients: 16 + 8, kindReferers: 16 + 8 + nameSize}[k] * f.n
	if len(f.body) < dirt+want {
		return nil, fmt.Errorf("%s: it is cut off: %d bytes of %d", path, len(data), headerSize+dirt+want)
	}
	f.body = f.body[dirt:]
	return f, nil
}
