# Everything that a developer types. Go, git and make are enough; the targets for
# containers need Docker, and generate needs protoc.

MODULES   := . deploy/test bench/rivals bench/report docs/examples/websocket docs/examples/postfix internal/doortest/clients
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
IMAGE     ?= bucketring:dev
FUZZTIME  ?= 5s
COUNT     ?= 5
SOAK      ?= 20m
N         ?= 5

BIN      := bin/bucketring
MAX_SIZE := 25000000
BUILDER  ?= docker build
COMPOSE  ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
UP        = BUCKETRING_IMAGE=$(IMAGE) $(COMPOSE) $(if $(OBSERVE),--env-file deploy/prometheus/observe.env) up -d --no-build
# The race detector needs a C compiler; go env says 0 where there is none.
RACE      = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
TOOL      = go tool -modfile=$(CURDIR)/.ci/tools.mod

.PHONY: help build test race programs fuzz gubernator-client ratelimit-server bench bench-once report instructions chaos soak lint generate check-generated demo image up down scale ci

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the static, stripped binary and show its size
	CGO_ENABLED=0 go build -trimpath -tags timetzdata -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/bucketring
	@size=$$(wc -c <$(BIN)); echo "$(BIN) $(VERSION): $$size bytes, at most $(MAX_SIZE)"; test $$size -le $(MAX_SIZE)

test: programs ## Run all tests, with the race detector where there is a C compiler
	@$(if $(RACE),,echo "no C compiler: the race detector stays off")
	go test $(RACE) -timeout 20m ./...
	go test -count=1 ./internal/proctest -processes
	go test -count=1 ./internal/doortest -programs
	go -C internal/doortest/clients test -count=1 ./...
	go -C docs/examples/websocket test $(RACE) ./...
	go -C docs/examples/postfix test $(RACE) ./...
	go -C deploy/test test -count=1 -v ./...

race: programs ## Run all tests anew, in random order, and insist on the race detector
	go test -race -count=1 -shuffle=on -timeout 20m ./... # all share the machine, which may be slow
	go test -count=1 -run TestModel ./ring/handover # all seeds: the detector allows for few
	go test -count=1 ./internal/proctest -processes # alone: the nodes need the machine
	go test -count=1 ./internal/doortest -programs  # likewise
	go -C internal/doortest/clients test -count=1 ./...
	go -C docs/examples/websocket test -race -count=1 ./...
	go -C docs/examples/postfix test -race -count=1 ./...
	go -C deploy/test test -race -count=1 -v ./...

programs: ## Install the programs that tests of doors start, as root on Debian: nginx, Caddy, PHP and others
	@.ci/programs.sh

fuzz: ## Run every fuzz target for FUZZTIME, 5s if not given
	@.ci/fuzz.sh $(FUZZTIME)

bench: ## Measure everything COUNT times for BENCHTIME (5, 1s) and write bench/results/VERSION.txt
	bench/record.sh bench/results/$(VERSION).txt $(COUNT) $(or $(BENCHTIME),1s)

report: ## Make a page of tables and plots of all bench/results: bench/results/report.html
	go -C bench/report run . $(abspath $(wildcard bench/results/*.txt)) >bench/results/report.html
	@echo bench/results/report.html

bench-once: ## Run every benchmark once for BENCHTIME, 10ms if not given: do they still work
	go test -vet=off -run '^$$' -bench . -benchmem -benchtime $(or $(BENCHTIME),10ms) $$(.ci/packages.sh Benchmark)

instructions: ## Compare the instructions of a take with bench/instructions.txt; needs valgrind
	@.ci/instructions.sh

gubernator-client: ## Ask a real node with Gubernator's own client, which takes minutes to compile
	go -C internal/doortest/clients/gubernator test -count=1 -v ./...

ratelimit-server: ## Have envoyproxy/ratelimit count in real nodes, which takes a minute to compile
	go -C internal/doortest/clients test -count=1 -v -run TestRatelimitServer -ratelimit .

chaos: ## Break real clusters in every way, five times, for about 15 minutes; as root also their networks
	go test -count=1 -run TestModel ./ring/handover -seeds=200000 -timeout 10m
	go test -count=1 -v -timeout 60m ./internal/proctest -processes -strict -net -runs 5

soak: ## Change a cluster every 15 s for SOAK, 20m if not given
	go test -count=1 -v -timeout 24h ./internal/proctest -processes -run TestSoak -soak $(SOAK)

lint: ## Check format, vet, staticcheck, go fix, modules and the house rules
	@bad=$$(gofmt -l .); test -z "$$bad" || { echo "run gofmt -w on:" $$bad; exit 1; }
	@for m in $(MODULES); do .ci/lint.sh $$m || exit 1; done
	go test -count=1 ./internal/house

generate: ## Make the generated code anew; needs protoc
	go generate ./...

check-generated: ## Fail if the generated code is not what make generate makes
	@.ci/generated.sh

demo: ## Show a cluster on this machine keep its promises; needs no Docker
	go run ./cmd/bucketring demo

image: export GOOS := linux
image: build ## Build the container image from scratch
	$(BUILDER) -f deploy/Dockerfile -t $(IMAGE) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) .

up: image ## Start three nodes in containers; OBSERVE=1 adds Prometheus
	$(UP)
	@$(COMPOSE) ps

scale: ## Change the number of nodes that up started: make scale N=5
	$(UP) --no-recreate --scale node=$(N)
	@$(COMPOSE) ps

down: ## Stop the containers and keep the key file
	$(COMPOSE) --profile observe down

ci: ## Run all that must pass before a merge, and show how long each step took
	@.ci/steps.sh lint check-generated build race fuzz bench-once instructions
