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
//	"IPWS" 1, length of the batch 4 bytes, the batch
//	number of marks 4 bytes; of each: table 4, slot 4, class 4, sum 8
//	CRC-32C of all before
//
// A mark says up to which sum the counts of a slot are in this batch or an earlier one.
const (
	spoolMagic = "IPWS\x01"
	markSize   = 20
	spoolEnd   = ".batch"
)

type mark struct {
	table       uint32 // see Ledger.table
	slot, class uint32
	sum         uint64
}

// write puts a batch into the spool: when it returns the batch is on the disk under
// its name, whole.
func (l *Ledger) write(sequence uint64, batch []byte, marks []mark) error {
	b := l.file[:0]
	b = append(b, spoolMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(batch)))
	b = append(b, batch...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(marks)))
	for _, m := range marks {
		b = binary.LittleEndian.AppendUint32(b, m.table)
		b = binary.LittleEndian.AppendUint32(b, m.slot)
		b = binary.LittleEndian.AppendUint32(b, m.class)
		b = binary.LittleEndian.AppendUint64(b, m.sum)
	}
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
	if l.config.noSync {
		return nil
	}
	return syncDir(filepath.Dir(name))
}

func (l *Ledger) spoolName(sequence uint64) string {
	return filepath.Join(l.dir, "spool", fmt.Sprintf("%020d%s", sequence, spoolEnd))
}

// parseSpool reads a file of the spool.
func parseSpool(b []byte) (batch []byte, marks []mark, err error) {
	bad := errors.New("it is damaged")
	head := len(spoolMagic) + 4
	if len(b) < head+8 || string(b[:len(spoolMagic)]) != spoolMagic {
		return nil, nil, bad
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, nil, bad
	}
	n := int(binary.LittleEndian.Uint32(body[len(spoolMagic):]))
	if n > MaxBatch || head+n+4 > len(body) {
		return nil, nil, bad
	}
	batch, body = body[head:head+n], body[head+n:]
	count := binary.LittleEndian.Uint32(body)
	body = body[4:]
	if uint64(len(body)) != uint64(count)*markSize {
		return nil, nil, bad
	}
	for ; len(body) > 0; body = body[markSize:] {
		marks = append(marks, mark{
			binary.LittleEndian.Uint32(body), binary.LittleEndian.Uint32(body[4:]),
			binary.LittleEndian.Uint32(body[8:]), binary.LittleEndian.Uint64(body[12:]),
		})
	}
	return batch, marks, nil
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

// Frozen reads a batch of the spool.
func (l *Ledger) Frozen(sequence uint64) ([]byte, error) {
	batch, _, err := l.spooled(sequence)
	return batch, err
}

func (l *Ledger) spooled(sequence uint64) ([]byte, []mark, error) {
	name := l.spoolName(sequence)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	batch, marks, err := parseSpool(b)
	if err != nil {
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
