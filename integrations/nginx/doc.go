// Package nginx runs the configuration of this folder in a real nginx.
package nginx
