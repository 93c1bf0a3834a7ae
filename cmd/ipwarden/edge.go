package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/ipwarden/ipwarden/internal/edge"
)

// edgeCmd groups what is about edge platforms.
type edgeCmd struct {
	Build edgeBuildCmd `cmd:"" help:"Write what an edge platform runs: a policy, its engine and as much of the dataset as it reads." example:"ipwarden edge build --policy policy.yaml --out edge"`

	Function edgeFunctionCmd `cmd:"" help:"Write the code of a CloudFront Function: lists of networks and countries, and clearances." example:"ipwarden edge function --block 203.0.113.0/24"`
}

type edgeBuildCmd struct {
	Policy      string   `required:"" placeholder:"FILE" help:"The policy."`
	Platform    string   `enum:"cloudflare,node,vercel,lambda-edge" default:"cloudflare" help:"${enum}. Default ${default}."`
	Plan        string   `placeholder:"PLAN" help:"How much the platform takes: free or paid of cloudflare, hobby, pro or enterprise of vercel, viewer or origin of lambda-edge. Default free, pro, origin."`
	Out         string   `default:"edge" placeholder:"DIR" help:"Where it goes. Default ${default}."`
	Worker      string   `default:"ipwarden" placeholder:"NAME" help:"Of the Worker. Default ${default}."`
	Remote      bool     `help:"Ask a gate about what the policy lets in: limits are counted there. Without it each isolate counts by itself."`
	KV          bool     `name:"kv" help:"Put the dataset into the key-value store though it would fit beside the engine: new data needs no new Worker then."`
	KVNamespace string   `name:"kv-namespace" placeholder:"ID" help:"The store, as wrangler kv namespace create prints it."`
	Tell        []string `placeholder:"WHAT" help:"What the application is told of an address though the policy does not read it: country, asn, traits, risk."`
	dataFlags
}

// Help is the long help.
func (edgeBuildCmd) Help() string {
	return `Writes a project that decides at the edge without asking anybody: engine.wasm,
the policy as bytes, as much of the dataset as the policy reads, and the platform's
own files. The same policy and dataset give the same bytes.

A policy that asks for what is not known there is refused, with the line; so is a
project that is larger than the platform takes, with its size.

Examples:
  ipwarden edge build --policy policy.yaml --out edge
  ipwarden edge build --policy policy.yaml --platform node --out edge`
}

// Run builds a project.
func (c *edgeBuildCmd) Run(e *env) error {
	p, err := readPolicy(c.Policy, policyOptions(&c.dirFlag, e))
	if err != nil {
		return err
	}
	ds, name, err := c.named(e, "")
	if err != nil {
		return err
	}
	info := ds.Info()
	before, err := readOld(filepath.Join(c.Out, "kv.json"), maxOld)
	if err != nil {
		return err
	}
	built, err := edge.Build(edge.Config{
		Policy: p, Name: c.Policy, Dataset: ds, Platform: c.Platform, Plan: c.Plan, Worker: c.Worker, Remote: c.Remote, KV: c.KV,
		KVNamespace: c.KVNamespace, Tell: c.Tell, Manifest: before, Notice: licenceText(&info),
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return err
	}
	files, kept, err := besides(c.Out, built.Files)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := writeWhole(filepath.Join(c.Out, f.Name), func(to *os.File) error { _, err := to.Write(f.Data); return err }); err != nil {
			return err
		}
	}
	stale, err := removeStale(c.Out, built.Files)
	if err != nil {
		return err
	}
	s := &built.Sizes
	where := "beside the engine"
	if s.KV {
		where = "in kv.json, for the key-value store"
	}
	fmt.Fprintf(e.stdout, "%s: %s decides at the edge, with data of %s (%s)\n", c.Out, c.Policy, day(built.Date), name)
	fmt.Fprintf(e.stdout, "  engine   %9d bytes\n  policy   %9d bytes\n  dataset  %9d bytes, %d ranges with %d answers, %s\n", s.Engine, s.Program, s.Dataset, s.Ranges, s.Answers, where)
	fmt.Fprintf(e.stdout, "  gzipped  %9d bytes", s.Script)
	if s.Limit > 0 {
		fmt.Fprintf(e.stdout, " of %d that %s takes", s.Limit, c.Platform)
	}
	fmt.Fprintln(e.stdout)
	for _, n := range built.Notes {
		fmt.Fprintf(e.stdout, "note: %s\n", n)
	}
	if kept {
		fmt.Fprintf(e.stdout, "kept: %s is as it was; what this build would have there is in %s\n", filepath.Join(c.Out, wranglerFile), wranglerNew)
	}
	for _, name := range stale {
		fmt.Fprintf(e.stdout, "removed: %s, of the build before\n", filepath.Join(c.Out, name))
	}
	fmt.Fprintf(e.stdout, "next: %s\n", filepath.Join(c.Out, "README.md"))
	return nil
}

// What a person writes into: the routes of the site, the id of the store.
const (
	wranglerFile = "wrangler.toml"
	wranglerNew  = "wrangler.new.toml"
)

// besides says what of a project is written into a folder that has files already. Texts
// that another hand has written are in nobody's way: the build is refused. A wrangler.toml
// stays, and the new one goes beside it.
func besides(dir string, files []edge.File) (all []edge.File, kept bool, err error) {
	var errs []error
	for _, f := range files {
		old, err := readOld(filepath.Join(dir, f.Name), maxOld)
		if err != nil {
			return nil, false, err
		}
		switch {
		case old == nil || bytes.Equal(old, f.Data):
		case f.Name == wranglerFile:
			f.Name, kept = wranglerNew, true
		case bytes.Contains(f.Data[:min(len(f.Data), 200)], writtenBy) && !bytes.Contains(old[:min(len(old), 200)], writtenBy):
			errs = append(errs, fmt.Errorf("%s was not written by 'ipwarden edge build', and would be lost; give another folder, such as --out %s", filepath.Join(dir, f.Name), filepath.Join(dir, "edge")))
		}
		all = append(all, f)
	}
	return all, kept, errors.Join(errs...)
}

// writtenBy is in the first lines of what a build writes for people.
var writtenBy = []byte("ritten by 'ipwarden edge build'")

// removeStale takes away what a build before has written and this one has not: the dataset
// that is elsewhere now, the module of another platform. What another hand has written stays.
func removeStale(dir string, files []edge.File) (gone []string, err error) {
	for name, mark := range map[string][]byte{
		"dataset.bin": []byte("IPWE"), "kv.json": []byte("ipwarden/"),
		"worker.js": writtenBy, "gate.js": writtenBy, "data.js": writtenBy,
	} {
		if slices.ContainsFunc(files, func(f edge.File) bool { return f.Name == name }) {
			continue
		}
		path := filepath.Join(dir, name)
		old, err := readOld(path, 200)
		if err != nil {
			return gone, err
		}
		if !bytes.Contains(old, mark) {
			continue
		}
		if err := os.Remove(path); err != nil {
			return gone, err
		}
		gone = append(gone, name)
	}
	slices.Sort(gone)
	return gone, nil
}

// maxOld bounds the kv.json of the build before.
const maxOld = 256 << 20

// readOld reads so much of what a build before has written; nil where there is none.
func readOld(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}
