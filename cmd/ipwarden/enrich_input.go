package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds what a zstd file may make its reader keep: the most that
// zstd --ultra uses.
const maxWindow = 128 << 20

// input is a file to read, unpacked.
type input struct {
	io.Reader
	file   *os.File // nil: standard input
	packed bool
	closes []func() error
}

// openInput opens a file, or stdin for "-". read is told how many bytes were read of the
// file as it lies there.
func openInput(name string, stdin io.Reader, read func(int)) (*input, error) {
	in := &input{}
	var raw io.Reader = stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		in.file, raw = f, f
		in.closes = append(in.closes, f.Close)
	}
	buffered := bufio.NewReaderSize(&tellingReader{raw, read}, 128<<10)
	in.Reader = buffered
	magic, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, in.Close())
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, errors.Join(err, in.Close())
		}
		in.Reader, in.packed = z, true
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, errors.Join(err, in.Close())
		}
		in.Reader, in.packed = z, true
		in.closes = append(in.closes, func() error { z.Close(); return nil })
	}
	return in, nil
}

// Close closes what was opened.
func (in *input) Close() error {
	var errs []error
	for _, c := range in.closes {
		errs = append(errs, c())
	}
	in.closes = nil
	return errors.Join(errs...)
}

// skip passes over n bytes, which were answered before.
func (in *input) skip(n int64) error {
	if n == 0 {
		return nil
	}
	if in.file != nil && !in.packed {
		if _, err := in.file.Seek(n-1, io.SeekStart); err != nil {
			return err
		}
		in.Reader = bufio.NewReaderSize(in.file, 128<<10)
	} else if _, err := io.CopyN(io.Discard, in.Reader, n-1); err != nil {
		return fmt.Errorf("it is shorter than the checkpoint says: %w", err)
	}
	var last [1]byte
	if _, err := io.ReadFull(in.Reader, last[:]); err != nil {
		return fmt.Errorf("it is shorter than the checkpoint says: %w", err)
	}
	if last[0] == '\n' {
		return nil
	}
	rest := bufio.NewReaderSize(in.Reader, 128<<10)
	in.Reader = rest
	if _, err := rest.Peek(1); err == nil {
		return errors.New("its last row was answered before it was complete; remove the checkpoint and the output to begin anew")
	}
	return nil
}

// headSize is how much of a file tells whether it is still the same.
const headSize = 4096

// head names the first n bytes of the file as it lies there, at most headSize.
func (in *input) head(n int64) (sum string, size int64, err error) {
	info, err := in.file.Stat()
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, errors.New("it is no regular file, which --checkpoint needs")
	}
	b := make([]byte, min(n, headSize, info.Size()))
	if _, err := in.file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", 0, err
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:]), int64(len(b)), nil
}

// tellingReader tells how much was read.
type tellingReader struct {
	r    io.Reader
	tell func(int)
}

// Read is part of io.Reader.
func (t *tellingReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.tell(n)
	return n, err
}
