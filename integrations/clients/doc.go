// Package clients points other vendors' own clients, unmodified, at ipwarden.
package clients
