//go:build wasip1

// Command engine is the policy engine of the edge in WebAssembly, a reactor: the host
// calls _initialize once, puts a program and a dataset into its memory, and then asks
// for one verdict after the other. It does no I/O. What it exports:
//
//	reserve(n) → where n bytes may be written, for a program or a dataset
//	load(program, dataset) → 0, or the length of a text in the output that says why not
//	request() → where a request may be written, at most requestSize() bytes
//	decide(n) → the length of the verdict on the request of n bytes, in the output
//	output() → where the output is; ask again after each call
//	reads() → the length of the names of header fields in the output, by lines
package main

import (
	"strings"
	"time"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/edge/decide"
)

// maxRequest bounds a request, in bytes; the host leaves out what is longer.
const maxRequest = 128 << 10

var (
	parts  [][]byte // what was reserved, in order
	engine *decide.Engine
	asked  [maxRequest]byte
	out    []byte
)

func main() {}

//go:wasmexport reserve
func reserve(n uint32) unsafe.Pointer {
	if n == 0 || n > 64<<20 || len(parts) == 2 {
		return nil
	}
	b := make([]byte, n)
	parts = append(parts, b)
	return unsafe.Pointer(unsafe.SliceData(b))
}

//go:wasmexport load
func load(millis int64, seed0, seed1 int64) uint32 {
	if len(parts) != 2 || engine != nil {
		return say("engine: reserve a program and then a dataset, and load them once")
	}
	var seed [16]byte
	for i := range 8 {
		seed[i], seed[8+i] = byte(seed0>>(8*i)), byte(seed1>>(8*i))
	}
	e, err := decide.New(decide.Config{Program: parts[0], Dataset: parts[1], Seed: seed, Now: time.UnixMilli(millis)})
	parts = nil
	if err != nil {
		return say(err.Error())
	}
	engine = e
	return 0
}

//go:wasmexport request
func request() unsafe.Pointer { return unsafe.Pointer(&asked) }

//go:wasmexport requestSize
func requestSize() uint32 { return maxRequest }

//go:wasmexport decide
func decideOne(n uint32) uint32 {
	if engine == nil || n > maxRequest {
		return 0
	}
	out = engine.Decide(asked[:n])
	return uint32(len(out))
}

//go:wasmexport output
func output() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(out)) }

//go:wasmexport reads
func reads() uint32 {
	if engine == nil {
		return 0
	}
	return say(strings.Join(engine.Reads(), "\n"))
}

// date is that of the dataset, in seconds since 1970.
//
//go:wasmexport date
func date() int64 {
	if engine == nil {
		return 0
	}
	return engine.Date().Unix()
}

func say(text string) uint32 {
	out = []byte(text)
	return uint32(len(out))
}
