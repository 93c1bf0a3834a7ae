//go:build !linux

package embedded

// Unload does nothing here.
func Unload() {}
