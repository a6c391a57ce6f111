# The two commands are `make run` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.PHONY: help run test chaos check build packages-build packages-run packages-test rust bench dist fuzz

help:
	@echo "make run    the whole job on this machine, for a look: both sides in one browser window"
	@echo "make test   every check and test"
	@echo "make chaos  sessions through everything that a network does to them; CHAOS=quick in two minutes"
	@echo "make dist   the folder that a vendor ships, in dist/"
	@echo "make bench  the figures of docs/performance.md"

rust:
	@command -v cargo >/dev/null || { echo "Rust is missing: install it with rustup (https://rustup.rs), then try again." >&2; exit 1; }

packages-build packages-run packages-test: packages-%:
	@scripts/packages $*

run: rust packages-run
	@scripts/run

test: rust packages-test
	@scripts/test

chaos: rust packages-test
	@scripts/chaos

dist: rust packages-build
	@scripts/dist

bench: rust packages-test
	@scripts/bench

fuzz: rust
	@fuzz/run 600
