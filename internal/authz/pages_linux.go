package authz

import "golang.org/x/sys/unix"

// collapse makes huge pages of memory that is in use, as far as the system does
// (madvise(2)): what it does not is as it was.
func collapse(at, n uintptr) {
	for _, advice := range [...]int{unix.MADV_HUGEPAGE, unix.MADV_COLLAPSE} {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, at, n, uintptr(advice))
	}
}
