package update

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Meta is what is kept beside a feed's file, as FILE.meta.json.
type Meta struct {
	URL          string    `json:"url,omitempty"`
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	Date         time.Time `json:"date,omitzero"`    // of the data
	SHA256       string    `json:"sha256"`           // of the file as it lies there
	Fetched      time.Time `json:"fetched,omitzero"` // when these bytes came
	Checked      time.Time `json:"checked,omitzero"` // when the publisher last said that they are current
	Rows         int       `json:"rows,omitempty"`   // good ones
	Bad          int       `json:"bad,omitempty"`    // skipped ones
}

const (
	metaSuffix = ".meta.json"
	maxMeta    = 64 << 10
)

// readMeta returns the Meta beside file, or nil when there is none that can be
// read: it only saves work, so a damaged one is a missing one.
func readMeta(file string) *Meta {
	f, err := os.Open(file + metaSuffix)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxMeta))
	if err != nil {
		return nil
	}
	m := &Meta{}
	if json.Unmarshal(data, m) != nil || len(m.SHA256) != 64 {
		return nil
	}
	return m
}

func writeMeta(file string, m *Meta) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeAtomically(file+metaSuffix, append(data, '\n'))
}

// writeAtomically writes a small file so that a reader, or a crash, sees the
// old content or the new.
func writeAtomically(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.part")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return replace(f.Name(), name)
}

// replace renames a finished file over name and makes the change durable.
func replace(temp, name string) error {
	if err := os.Rename(temp, name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes a rename survive a power cut. Some file systems cannot sync a
// folder; the rename itself is done by then.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
