package update

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden/dataset"
)

// Names inside a data directory.
const (
	datasetsDir = "datasets" // DATE-HASH.ipw
	currentName = "current"  // a link to one of them
	suffix      = ".ipw"
)

// FeedsDir is where a data directory keeps its feeds.
func FeedsDir(dataDir string) string { return filepath.Join(dataDir, "feeds") }

// Current returns the file that a data directory answers from. The error is
// fs.ErrNotExist when it has none.
func Current(dataDir string) (string, error) {
	link := filepath.Join(dataDir, currentName)
	info, err := os.Lstat(link)
	if err != nil {
		return "", err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(link)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(dataDir, target)
		}
		if _, err := os.Stat(target); err != nil {
			return "", fmt.Errorf("%s leads to a dataset that is gone: %w", link, err)
		}
		return target, nil
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is neither a link nor a file", link)
	}
	return link, nil // a dataset that was copied there
}

// Switch makes name, a file below the data directory, the current dataset. A
// reader sees the old one or the new one, at any moment.
func Switch(dataDir, name string) error {
	target, err := filepath.Rel(dataDir, name)
	if err != nil {
		return err
	}
	// A link cannot be changed, only replaced by another one.
	temp := filepath.Join(dataDir, "."+currentName+".part")
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temp); err != nil {
		return err
	}
	return replace(temp, filepath.Join(dataDir, currentName))
}

// A Candidate is a dataset that was built and not yet let in.
type Candidate struct {
	dir  string // the data directory
	file *os.File
}

// NewCandidate makes the file that a build writes to; the data directory is
// made when it is not there.
func NewCandidate(dataDir string) (*Candidate, error) {
	dir := filepath.Join(dataDir, datasetsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory: %w", err)
	}
	if err := sweep(dir); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, ".dataset.*.part")
	if err != nil {
		return nil, fmt.Errorf("the data directory: %w", err)
	}
	return &Candidate{dir: dataDir, file: f}, nil
}

// Write is how a build fills the file.
func (c *Candidate) Write(p []byte) (int, error) { return c.file.Write(p) }

// Open closes the file for writing and opens it as a dataset.
func (c *Candidate) Open() (*dataset.Dataset, error) {
	if err := errors.Join(c.file.Sync(), c.file.Close()); err != nil {
		return nil, err
	}
	return dataset.Open(c.file.Name())
}

// Discard removes what was not installed.
func (c *Candidate) Discard() {
	c.file.Close()
	os.Remove(c.file.Name()) // gone already when it was installed
}

// Install gives the candidate its name, DATE-HASH.ipw, makes it the current
// dataset, and removes all but the newest keep datasets.
func (c *Candidate) Install(ds *dataset.Dataset, keep int) (string, error) {
	info := ds.Info()
	if len(info.Hash) < 16 {
		return "", errors.New("the dataset does not say its hash")
	}
	name := filepath.Join(c.dir, datasetsDir, info.Date.UTC().Format("2006-01-02")+"-"+info.Hash[:16]+suffix)
	if err := replace(c.file.Name(), name); err != nil {
		return "", err
	}
	if err := Switch(c.dir, name); err != nil {
		return "", err
	}
	return name, prune(c.dir, name, keep)
}

// prune removes datasets that are older than the newest keep ones; current is
// never one of them. Age is when a file was written: its name tells the date
// of the data, which a rebuild does not move.
func prune(dataDir, current string, keep int) error {
	dir := filepath.Join(dataDir, datasetsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), suffix) || filepath.Join(dir, e.Name()) == current {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		files = append(files, info)
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	var errs []error
	for _, f := range files[min(max(keep-1, 0), len(files)):] {
		errs = append(errs, os.Remove(filepath.Join(dir, f.Name())))
	}
	return errors.Join(errs...)
}

// MoveTo puts the candidate where somebody asked for it instead.
func (c *Candidate) MoveTo(name string) error {
	if err := os.Chmod(c.file.Name(), 0o644); err != nil {
		return err
	}
	err := os.Rename(c.file.Name(), name)
	if err == nil {
		return nil
	}
	// Another file system: copy, then rename there.
	in, openErr := os.Open(c.file.Name())
	if openErr != nil {
		return errors.Join(err, openErr)
	}
	defer in.Close()
	out, createErr := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.part")
	if createErr != nil {
		return createErr
	}
	defer os.Remove(out.Name()) // gone already when it was renamed
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o644), out.Sync(), out.Close()); err != nil {
		return err
	}
	return replace(out.Name(), name)
}
