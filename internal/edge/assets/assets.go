// Package assets holds what `make edge` builds: the engine in WebAssembly, and the npm
// package's part that a Worker needs, as one module.
package assets

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the files below
	"io"
)

//go:embed engine.wasm.gz
var engine []byte

var (
	//go:embed ipwarden.js
	bundle []byte
	//go:embed ipwarden-remote.js
	remoteBundle []byte
)

// Engine returns engine.wasm.
func Engine() ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(engine))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// Bundle returns ipwarden.js, of a project that asks a gate as well where remote says so.
// It must not be changed.
func Bundle(remote bool) []byte {
	if remote {
		return remoteBundle
	}
	return bundle
}
