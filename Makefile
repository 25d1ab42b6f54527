# What people do with this repository. `make` alone lists it.
#
# Everything is built in target/ (and fuzz/target/), with the release profile only, and programs with the features that
# tests have (which is what --examples brings about): wasmtime is compiled once.

SHELL := /bin/sh
.DEFAULT_GOAL := help
# What `--version` says. From an archive without .git: nothing.
export CLOISTERDEV_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
BUILD = cargo build --release --workspace --bins --examples --locked

.PHONY: help build dist demo test test-k8s bench bench-k8s fuzz lint doc clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the programs, in target/release
	$(BUILD)

dist: ## packages for Linux on x86-64 and aarch64 in target/dist: .deb, archives, SHA256SUMS. ARGS="--arch here": for this machine only; ARGS=--python: Python ready to run; ARGS=--clients: clients for Linux, Windows, macOS
	@scripts/dist.sh $(ARGS)

demo: ## build, start a service, publish a dataset, compute on it in Rust and pandas, see a hostile one fail (no root)
	@scripts/demo.sh

test: ## everything that is tested: installs what it needs, builds, tests, fuzzes for a moment
	@scripts/test.sh

test-k8s: ## the tests that need Kubernetes: on the cluster in KUBECONFIG, otherwise on one that is started here (root)
	@scripts/test-k8s.sh

bench: ## measure the sandbox and the service against bare ones; ARGS="--quick" and the like are passed on
	$(BUILD)
	target/release/cloister-bench $(ARGS)

bench-k8s: ## measure an installation on a cluster that is started here: latency, writes, memory, ended and many jobs (root)
	@scripts/bench-k8s.sh $(ARGS)

TARGET ?= admission
SECONDS ?= 60
fuzz: ## fuzz one target: make fuzz TARGET=admission SECONDS=600
	fuzz/run.sh $(TARGET) $(SECONDS)

lint: ## formatting, clippy, documentation, repository hygiene: what CI looks at before it tests
	@scripts/lint.sh

doc: ## the documentation of all crates, in target/doc
	cargo doc --release --workspace --no-deps --locked

clean: ## remove everything that was built or installed here
	rm -rf target fuzz/target
