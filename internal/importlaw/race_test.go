//go:build race

package importlaw

const raced = true
