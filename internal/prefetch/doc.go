// Package prefetch asks the processor for memory before it is needed. Who knows early
// which line of memory comes next, and has other work until then, waits less; a plain
// read would hold up that work too, because a processor looks only some hundred
// instructions beyond what it waits for.
//
// The call most people want:
//
//	prefetch.Line(unsafe.Pointer(&table[i]))
//
// It refuses nothing: it changes no result, and where a processor has no such
// instruction it does nothing.
package prefetch
