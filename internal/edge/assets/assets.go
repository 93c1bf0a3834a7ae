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

//go:embed ipwarden.js
var bundle []byte

// Engine returns engine.wasm.
func Engine() ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(engine))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// Bundle returns ipwarden.js. It must not be changed.
func Bundle() []byte { return bundle }
