package update

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip" // a third faster than the standard one, on 150 MB of feeds
)

// A Folder holds feeds as they were published, each at the path that the
// catalogue gives it, plain or gzipped with ".gz" added. Several directories
// may lie over each other: the first that has a file wins.
type Folder struct {
	dirs  []string
	dates map[string]time.Time // from SOURCES.md, by path
}

// OpenFolder opens the directories; the first ones lie on top. One that does
// not exist is an error.
func OpenFolder(dirs ...string) (*Folder, error) {
	f := &Folder{dirs: dirs, dates: map[string]time.Time{}}
	for i := len(dirs) - 1; i >= 0; i-- {
		info, err := os.Stat(dirs[i])
		if err != nil {
			return nil, fmt.Errorf("the folder of feeds: %w", err)
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("the folder of feeds: %s is a file, name the folder that holds the feeds", dirs[i])
		}
		if err := readSources(filepath.Join(dirs[i], "SOURCES.md"), f.dates); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// find returns where the feed's file lies: under its own name, or gzipped. A
// path may have a * for the date that an operator's own file has in its name;
// then it is the last one in the order of names. The error is fs.ErrNotExist
// when it is nowhere.
func (f *Folder) find(path string) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(path)) {
		return "", fmt.Errorf("path %q leaves the folder of feeds", path)
	}
	for _, dir := range f.dirs {
		name := filepath.Join(dir, filepath.FromSlash(path))
		names := []string{name, name + ".gz"}
		if strings.Contains(path, "*") {
			plain, _ := filepath.Glob(name)
			packed, _ := filepath.Glob(name + ".gz")
			names = append(plain, packed...)
			slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
		}
		for _, n := range names {
			if info, err := os.Stat(n); err == nil && info.Mode().IsRegular() {
				return n, nil
			}
		}
	}
	return "", fmt.Errorf("%s: %w", path, fs.ErrNotExist)
}

// dateOf returns the date of a file's data as far as it is known without
// reading it: what the updater noted, the folder's own table, or the time the
// file was last written. meta is its Meta when that is still true of it.
func (f *Folder) dateOf(path, name, sum string) (date time.Time, meta *Meta, err error) {
	if m := readMeta(name); m != nil && m.SHA256 == sum {
		meta = m
		if !m.Date.IsZero() {
			return m.Date, meta, nil
		}
	}
	for _, dir := range f.dirs { // the name it has, where the path has a *
		if rel, err := filepath.Rel(dir, name); err == nil && strings.Contains(path, "*") && filepath.IsLocal(rel) {
			path = strings.TrimSuffix(filepath.ToSlash(rel), ".gz")
		}
	}
	if d, ok := f.dates[path]; ok {
		return d, meta, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return time.Time{}, nil, err
	}
	return info.ModTime().UTC().Truncate(24 * time.Hour), meta, nil
}

// unpacked reads a file, through gzip when it is packed.
type unpacked struct {
	file *os.File
	r    io.Reader
	left int64
	all  int64
}

func openUnpacked(name string, limit int64) (*unpacked, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	u := &unpacked{file: file, left: limit, all: limit}
	br := bufio.NewReaderSize(file, 64<<10)
	// The first two bytes decide, not the name: publishers pack as they like.
	if magic, err := br.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		zr, err := gzip.NewReader(br)
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		u.r = zr
	} else {
		u.r = br
	}
	return u, nil
}

// errTooLarge is wrapped when a file is larger than its bound.
var errTooLarge = errors.New("is larger than its bound")

// Read reads at most the bound; more is an error, not an end, so that a
// cut-off list never passes for a whole one.
func (u *unpacked) Read(p []byte) (int, error) {
	if u.left <= 0 {
		var one [1]byte
		if n, err := io.ReadFull(u.r, one[:]); n == 0 {
			return 0, err
		}
		return 0, fmt.Errorf("the file %w of %d bytes", errTooLarge, u.all)
	}
	if int64(len(p)) > u.left {
		p = p[:u.left]
	}
	n, err := u.r.Read(p)
	u.left -= int64(n)
	return n, err
}

// Close closes the file.
func (u *unpacked) Close() error { return u.file.Close() }

// hashFile returns the SHA-256 of a file as it lies there.
func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Open opens a feed's file by the path that the catalogue gives it, through
// gzip when it is packed. More than limit bytes of it are an error.
func (f *Folder) Open(path string, limit int64) (io.ReadCloser, error) {
	name, err := f.find(path)
	if err != nil {
		return nil, err
	}
	return openUnpacked(name, limit)
}
