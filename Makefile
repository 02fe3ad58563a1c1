# `make help` lists the targets. Everything works on a fresh Debian 12 with only Go, git and make.
# One shell per recipe, so that a trap or a variable lasts to its end.
.ONESHELL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# A bare environment (cron, a CI runner, sudo) may lack HOME, and the PATH to Go, HAProxy and dockerd.
ifeq ($(strip $(HOME)),)
export HOME := $(shell getent passwd "$$(id -u)" | cut -d: -f6)
endif
export PATH := $(or $(PATH),/usr/local/bin:/usr/bin:/bin):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin

VERSION ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
PKGS ?= ./...
LINT := internal/tools/golangci-lint.sh
LINTFLAGS := -c internal/tools/golangci.yml
TEST := internal/tools/test.sh -race -shuffle=on -timeout 20m

# The part of CI that looks for faults (docs/reliability.md, "In CI"). The simulator is one goroutine, so the race
# detector would find nothing in it, at twenty times the cost. Hours of virtual time are seconds, but for the race detector.
RACED_FAULTS := ./chaos/... ./internal/e2e ./internal/fleettest
PLAIN_FAULTS := ./internal/sim/...
HOURS := ^Test(LongRolloutOfALargeFleet|DeadlineOverFailovers|ControlLost|ReturningHost)$$

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: ## install what is missing to run, test and develop (Debian packages), start Docker if none answers
	deploy/setup.sh

.PHONY: build
build: ## bin/serin, bin/serin-coordinator, bin/serin-agent: static, reproducible
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: dist
dist: ## deb, rpm and tar.gz for amd64 and arm64, the same to the byte each time, and SHA256SUMS: in dist/
	deploy/packages/build.sh --out dist $(ARGS)

.PHONY: demo
demo: runtime build ## a whole fleet on this machine: a good rollout, then a bad one (ARGS='--report out.json --keep')
	bin/serin demo $(ARGS)

.PHONY: runtime
runtime:
	deploy/setup.sh --runtime

.PHONY: demo-check
demo-check: runtime build ## the demo, and what its report must say
	report=$$(mktemp); trap 'rm -f "$$report"' EXIT
	bin/serin demo --report "$$report" $(ARGS)
	go run -buildvcs=false ./internal/tools/checkreport "$$report"

.PHONY: demo-verdicts
demo-verdicts: runtime build ## 20 good rollouts, a version with errors, a slow one and one that leaks, each judged as it must be: a quarter of an hour
	report=$$(mktemp); trap 'rm -f "$$report"' EXIT
	bin/serin demo --scenario good,bad,slow,leak --repeat 20 --report "$$report" $(ARGS)
	cat "$$report"
	go run -buildvcs=false ./internal/tools/checkreport -scenario good,bad,slow,leak -repeat 20 -max-rollback-ms 1000 -min-canary-requests 90 -max-canary-requests 1030 "$$report"

.PHONY: test
test: setup ## all tests, with the race detector, real Docker and real HAProxy (TESTFLAGS='-run TestX -v', PKGS=./agent/...)
	$(TEST) $(TESTFLAGS) $(PKGS)

.PHONY: faults
faults: setup ## of all tests those that break whole fleets, and the simulator: what CI has for finding faults, below ten minutes
	$(TEST) $(RACED_FAULTS)
	make -j2 --output-sync=target faults-hours faults-simulated

.PHONY: faults-hours
faults-hours:
	go test -count=1 -timeout 20m -v -run '$(HOURS)' ./internal/fleettest

.PHONY: faults-simulated
faults-simulated: # a million steps are some seconds of one core; of the planted faults every tenth is looked for
	go test -count=1 $(PLAIN_FAULTS)
	make sim ARGS='-steps 3000000'
	make mutants ARGS='-every 10'

.PHONY: test-rest
test-rest: setup ## all tests that are not among `make faults`
	$(TEST) $$(comm -23 <(go list ./... | sort) <(go list $(RACED_FAULTS) $(PLAIN_FAULTS) | sort))

.PHONY: test-console
test-console: setup ## the web console in a headless Chromium; pictures of every page, light and dark, in .screenshots/
	SERIN_SCREENSHOTS=$(CURDIR)/.screenshots go test -race -count=1 -v -run '^Test(Page|Login|Console)' ./coordinator/console ./internal/consoletest

.PHONY: bench
bench: ## all benchmarks (PKGS=./internal/analysis)
	go test -run '^$$' -bench . -benchmem $(TESTFLAGS) $(PKGS)

.PHONY: statistics
statistics: ## the numbers of docs/statistics.md, anew: about two hours of one core (ARGS='-only cost', '-cores 2')
	go run ./internal/analysis/tables -write docs/statistics.md $(ARGS)

.PHONY: sim
sim: ## whole fleets from a seed, a million steps (ARGS='-seed 4711' tells the story of one)
	go run -buildvcs=false ./chaos/sim $(or $(ARGS),-steps 1000000)

.PHONY: mutants
mutants: ## faults planted in the core, each of which the simulator has to see: some minutes (ARGS='-write docs/reliability.md')
	go run -buildvcs=false ./chaos/mutants $(ARGS)

.PHONY: chaos
chaos: runtime ## a fleet of real processes, used and broken for ten minutes (ARGS='-nemesis leader-cut -for 2m', see chaos/README.md)
	go run -buildvcs=false ./chaos -for 10m $(ARGS)

.PHONY: check
check: ## format, vet, lint, generated code, go.mod: changes nothing
	$(LINT) fmt $(LINTFLAGS) --diff
	go vet ./...
	$(LINT) run $(LINTFLAGS)
	internal/tools/generate.sh --check
	go mod tidy -diff

.PHONY: fmt
fmt: ## format all Go code
	$(LINT) fmt $(LINTFLAGS)

.PHONY: generate
generate: ## Go code from proto/, the references in docs/
	internal/tools/generate.sh

.PHONY: clean
clean: ## remove what make made in this tree
	rm -rf bin .bin dist .screenshots
