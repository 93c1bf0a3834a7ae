// Package edge tests the npm package in this folder, @ipwarden/edge, on the runtimes
// that it is for, with a real ipwarden behind it.
package edge
