package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A file of the spool is a batch and what this node needs to take up again after it:
//
//	"IPWS" 2, length of the batch 4 bytes, the batch
//	for each table: its number 4 bytes, number of marks 4;
//	  of each: how far its slot is behind the one before << 3 | class, sum
//	CRC-32C of all before
//
// Numbers without a size are unsigned varints; the slots of a table ascend. A mark says
// up to which sum the counts of a slot are in this batch or an earlier one.
const (
	spoolMagic = "IPWS\x02"
	spoolEnd   = ".batch"
)

type mark struct {
	table       uint32 // see Ledger.table
	slot, class uint32
	sum         uint64
}

// errUnsynced is a batch that is in the spool under its name, though the disk did not say
// that the name is kept.
var errUnsynced = errors.New("the folder of the batches could not be synced")

// write puts a batch into the spool: when it returns the batch is on the disk under
// its name, whole. After an error it is not there, unless that is errUnsynced.
func (l *Ledger) write(sequence uint64, batch []byte, marks []mark) error {
	b := l.file[:0]
	b = append(b, spoolMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(batch)))
	b = append(b, batch...)
	b = appendMarks(b, marks)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	l.file = b
	name := l.spoolName(sequence)
	fresh := name + ".new"
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && !l.config.noSync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(fresh)
		return fmt.Errorf("a batch of usage could not be kept: %w", err)
	}
	if err := os.Rename(fresh, name); err != nil {
		return err
	}
	l.remember(sequence, batch)
	if err := l.syncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("%w: %w", errUnsynced, err)
	}
	return nil
}

// syncDir has the names in a folder on the disk when it returns.
func (l *Ledger) syncDir(dir string) error {
	switch {
	case l.config.syncDir != nil:
		return l.config.syncDir(dir)
	case l.config.noSync:
		return nil
	}
	return syncDir(dir)
}

// appendMarks writes marks, those of a table together and in the order of their slots.
func appendMarks(b []byte, marks []mark) []byte {
	for len(marks) > 0 {
		n := 1
		for n < len(marks) && marks[n].table == marks[0].table {
			n++
		}
		b = binary.LittleEndian.AppendUint32(b, marks[0].table)
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
		last := uint32(0)
		for _, m := range marks[:n] {
			b = binary.AppendUvarint(b, uint64(m.slot-last)<<3|uint64(m.class))
			b = binary.AppendUvarint(b, m.sum)
			last = m.slot
		}
		marks = marks[n:]
	}
	return b
}

// recent is how many batches are kept in memory until they are sent: they seldom wait
// for longer than it takes to make the next one.
const recent = 4

// remember keeps a batch, so that it need not be read from the disk to be sent.
func (l *Ledger) remember(sequence uint64, batch []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent[sequence%recent] = sealed{sequence, slices.Clone(batch)}
}

// sealed is a batch in memory.
type sealed struct {
	sequence uint64
	data     []byte
}

func (l *Ledger) spoolName(sequence uint64) string {
	return filepath.Join(l.dir, "spool", fmt.Sprintf("%020d%s", sequence, spoolEnd))
}

var errSpool = errors.New("it is damaged")

// parseSpool takes a file of the spool apart: the batch, and its marks as they are written.
func parseSpool(b []byte) (batch, marks []byte, err error) {
	head := len(spoolMagic) + 4
	if len(b) < head+4 || string(b[:len(spoolMagic)]) != spoolMagic {
		return nil, nil, errSpool
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, nil, errSpool
	}
	n := binary.LittleEndian.Uint32(body[len(spoolMagic):])
	if n > MaxBatch || head+int(n) > len(body) {
		return nil, nil, errSpool
	}
	return body[head : head+int(n)], body[head+int(n):], nil
}

// parseMarks reads what appendMarks wrote.
func parseMarks(b []byte) (marks []mark, err error) {
	for before := uint32(0); len(b) > 0; {
		if len(b) < 8 {
			return nil, errSpool
		}
		table, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if n == 0 || table == before && len(marks) > 0 {
			return nil, errSpool
		}
		before = table
		r := reader{b: b[8:]}
		for slot := uint64(0); n > 0 && !r.bad; n-- {
			step := r.number()
			if slot += step >> 3; slot >= maxSlots {
				return nil, errSpool
			}
			marks = append(marks, mark{table, uint32(slot), uint32(step & 7), r.number()})
		}
		if r.bad {
			return nil, errSpool
		}
		b = r.b
	}
	return marks, nil
}

// Waiting are the sequence numbers of the batches in the spool, in their order.
func (l *Ledger) Waiting() ([]uint64, error) {
	entries, err := os.ReadDir(filepath.Join(l.dir, "spool"))
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), spoolEnd)
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// Frozen is a batch of the spool. Nobody may change it.
func (l *Ledger) Frozen(sequence uint64) ([]byte, error) {
	l.mu.Lock()
	r := l.recent[sequence%recent]
	l.mu.Unlock()
	if r.data != nil && r.sequence == sequence {
		return r.data, nil
	}
	batch, _, err := l.spooled(sequence)
	return batch, err
}

// spooled reads a batch, and its marks as they are written.
func (l *Ledger) spooled(sequence uint64) (batch, marks []byte, err error) {
	name := l.spoolName(sequence)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	if batch, marks, err = parseSpool(b); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return batch, marks, nil
}

// Sent says that the stream has a batch. It is deleted once what it froze is on the
// disk in the tables too: see Flush.
func (l *Ledger) Sent(sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, sequence)
	if r := &l.recent[sequence%recent]; r.sequence == sequence {
		r.data = nil
	}
}

// Flush writes the tables to the disk and deletes the batches that were sent before.
// Until then they stay, so that a machine that loses its power finds in them what was
// frozen: it may lose the counts of the last seconds, and counts none twice.
func (l *Ledger) Flush() error {
	l.mu.Lock()
	acked := l.acked
	l.acked = nil
	files := l.files()
	l.mu.Unlock()
	for _, m := range files {
		if err := flush(m.data); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
	}
	for _, sequence := range acked {
		if err := os.Remove(l.spoolName(sequence)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
