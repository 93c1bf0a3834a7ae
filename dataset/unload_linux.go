package dataset

import "syscall"

// unload lets go of the pages that checking a mapped file has read. They are the
// file's, so whoever reads them again gets them again; most, the evidence above
// all, nobody does.
func unload(data []byte) { _ = syscall.Madvise(data, syscall.MADV_DONTNEED) }
