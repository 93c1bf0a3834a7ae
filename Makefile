# make serve   builds and runs the server on 127.0.0.1:8080 (ADDR=… elsewhere)
# make test    installs what the tests need, then runs all of them
# make help    lists the rest

ADDR  ?= 127.0.0.1:8080
FEEDS ?=

.DEFAULT_GOAL := build
.PHONY: build serve test unit lint bench dataset clean help

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
	@cd bench && go run .

dataset: build ## the embedded dataset, from a folder of feeds: FEEDS=DIR
	@test -n "$(FEEDS)" || { echo "make dataset: say where the feeds are, such as make dataset FEEDS=/srv/feeds" >&2; exit 2; }
	@bin/ipwarden data build --from "$(FEEDS)" --embed-only -o embedded/dataset.ipw

clean: ## what was built
	@rm -rf bin

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18
