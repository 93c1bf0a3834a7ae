package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ipwarden/ipwarden/dataset"
)

type buildCmd struct {
	From      string `required:"" placeholder:"DIR" help:"The folder of feeds."`
	Output    string `short:"o" required:"" placeholder:"FILE" help:"Where the dataset goes."`
	EmbedOnly bool   `help:"Only feeds whose licence lets them be passed on: what the embedded dataset is made of."`
	Date      string `placeholder:"2026-08-22" help:"Date of the dataset; default the one that a quarter of its feeds have reached."`
	Notice    string `placeholder:"FILE" help:"Write the licence and the credits that must go with the dataset to FILE."`
	catalogueFlag
}

// Help is the long help.
func (buildCmd) Help() string {
	return `The same feeds give the same bytes, on any machine. Nothing is fetched and no
data directory is touched. A feed that is broken or breaks a bound is named and
left out, and the exit status is 1.

Example:
  ipwarden data build --from /srv/feeds -o world.ipw`
}

// Run builds into a file beside the output and renames it when it is whole.
func (c *buildCmd) Run(e *env) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var date time.Time
	if c.Date != "" {
		var err error
		if date, err = time.Parse(time.DateOnly, c.Date); err != nil {
			return usagef("--date %q is no date; write 2026-08-22", clip(c.Date))
		}
	}
	cat, err := c.load()
	if err != nil {
		return err
	}
	leftOut := false
	err = writeWhole(c.Output, func(f *os.File) error {
		leftOut, err = buildFrom(ctx, e, f, []string{c.From}, cat.Feeds, c.EmbedOnly, date)
		return err
	})
	if err != nil {
		return err
	}
	if c.Notice != "" {
		ds, err := dataset.Open(c.Output)
		if err != nil {
			return err
		}
		info := ds.Info()
		if err := os.WriteFile(c.Notice, []byte(licenceText(&info)), 0o644); err != nil {
			return err
		}
	}
	if leftOut {
		return errReported
	}
	return nil
}

// writeWhole lets write fill a file that appears under its name only when it
// is complete.
func writeWhole(name string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.part")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when it was renamed
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	// What a person asks for is a file like others, not a private one.
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
