# make serve   builds and runs the server on 127.0.0.1:8080 (ADDR=… elsewhere)
# make test    installs what the tests need, then runs all of them
# make help    lists the rest

ADDR  ?= 127.0.0.1:8080
FEEDS ?=

.DEFAULT_GOAL := build
.PHONY: build serve test unit lint bench dataset edge clean help

build: ## the command, into bin/ipwarden
	@go build -trimpath -o bin/ipwarden ./cmd/ipwarden

serve: build ## the server, with the dataset in the binary
	@exec bin/ipwarden serve --listen $(ADDR)

test: ## every test, the import law, the fuzz seeds, the linters
	@scripts/test

unit: ## the tests alone, without the race detector: seconds
	@go test ./...

lint: ## go vet, staticcheck, gofumpt
	@scripts/lint

bench: ## ipwarden beside its peers, as ratios (docs/benchmarks.md)
	@cd bench && go run $(if $(wildcard /usr/include/maxminddb.h),-tags libmaxminddb) . $(if $(FEEDS),-feeds "$(FEEDS)")

dataset: ## the embedded dataset and its NOTICE, from a folder of feeds: FEEDS=DIR
	@test -n "$(FEEDS)" || { echo "make dataset: say where the feeds are, such as make dataset FEEDS=/srv/feeds" >&2; exit 2; }
	@test -e embedded/dataset.ipw || : >embedded/dataset.ipw # the program embeds it, and can do without
	@go build -trimpath -o bin/ipwarden ./cmd/ipwarden
	@bin/ipwarden data build --from "$(FEEDS)" --embed-only --output embedded/dataset.ipw --notice embedded/NOTICE

edge: ## what 'ipwarden edge build' carries: the engine in WebAssembly and the Worker's module
	@scripts/edge

clean: ## what was built
	@rm -rf bin

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18
