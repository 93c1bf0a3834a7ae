module github.com/ipwarden/ipwarden

go 1.26.0
