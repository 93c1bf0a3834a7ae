//go:build !linux

package limit

// largePages leaves the pages to the system.
func largePages([]bucket) {}
