package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/internal/config"
	"github.com/ipwarden/ipwarden/internal/overlayfile"
	"github.com/ipwarden/ipwarden/internal/update"
	"github.com/ipwarden/ipwarden/overlay"
)

// dirFlag is the data directory, which most commands have.
type dirFlag struct {
	DataDir string `env:"IPWARDEN_DATA_DIR" placeholder:"DIR" help:"Where feeds, datasets and overlays are kept; default $STATE_DIRECTORY, $XDG_DATA_HOME/ipwarden."`
}

func (f *dirFlag) dir(e *env) (string, error) { return config.DataDir(f.DataDir, e.getenv) }

// dataFlags say what to answer from.
type dataFlags struct {
	dirFlag
	Dataset string   `env:"IPWARDEN_DATASET" placeholder:"FILE" help:"Answer from FILE; default the current dataset of the data directory, else the embedded one."`
	Overlay []string `env:"IPWARDEN_OVERLAY" placeholder:"FILE" help:"Put FILE on top, after overlays/*.yaml of the data directory; may be repeated."`
}

// datasetName is the file to answer from; "" is the embedded dataset.
func (f *dataFlags) datasetName(e *env) (string, error) {
	if f.Dataset != "" {
		return f.Dataset, nil
	}
	dir, err := f.dir(e)
	if err != nil {
		return "", nil //nolint:nilerr // without a data directory there is the embedded dataset
	}
	name, err := update.Current(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return name, err
}

// readDataset reads a file that somebody else looks after. It is not mapped: a
// program that writes into it, as cp does, would take the mapping away under the
// look-ups. (Those of the data directory are only ever replaced whole.)
func readDataset(name string) (*dataset.Dataset, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxDataset {
		return nil, fmt.Errorf("%s is no regular file of at most 4 GiB", name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	ds, err := dataset.OpenData(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return ds, nil
}

const maxDataset = 4 << 30

// openDataset opens a file, or the embedded dataset when name is "".
func openDataset(name string) (*dataset.Dataset, error) {
	if name != "" {
		return dataset.Open(name)
	}
	data := embeddedDataset()
	if len(data) == 0 {
		return nil, errors.New("this binary has no dataset in it, and the data directory none either; run 'ipwarden data update', or name one with --dataset world.ipw")
	}
	ds, err := dataset.OpenData(data)
	if err != nil {
		return nil, fmt.Errorf("the embedded dataset: %w", err)
	}
	unloadEmbedded()
	return ds, nil
}

// overlayNames are the overlays to read, the lowest first.
func (f *dataFlags) overlayNames(e *env) ([]string, error) {
	var names []string
	if dir, err := f.dir(e); err == nil {
		names, err = filepath.Glob(filepath.Join(dir, "overlays", "*.yaml"))
		if err != nil {
			return nil, err
		}
		slices.Sort(names)
	}
	return append(names, f.Overlay...), nil
}

// readOverlays reads every overlay, and reports the mistakes of all of them.
func readOverlays(names []string) ([]overlay.Entry, error) {
	var entries []overlay.Entry
	var errs []error
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		more, err := overlayfile.ReadOverlay(f, name)
		f.Close()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		entries = append(entries, more...)
	}
	return entries, errors.Join(errs...)
}

// open opens what the flags name, for one command.
func (f *dataFlags) open(e *env) (*data, error) { return (&loader{flags: f, env: e}).load() }
