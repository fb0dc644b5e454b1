# Everything a developer runs. `make help` lists it; each target installs what it needs, once.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# The Worker's bundle is rebuilt when one of these is newer. Folders are listed too: a deleted file
# changes only its folder. What only the native host uses does not count.
bundle_sources := $(shell find shared worker/src -path worker/src/host/native -prune -o \
	-path worker/src/bin -prune -o -print) \
	Cargo.toml Cargo.lock worker/Cargo.toml worker/package-lock.json docs/openapi.json .ci/bundle.sh .ci/esbuild.sh .ci/order-functions.mjs

cargo_deny := "$$(.ci/cargo-tool.sh cargo-deny 0.20.2)/cargo-deny" --locked --log-level error

# `make run PROFILE=dev` builds quicker and runs slower.
PROFILE ?= release
# `make simulate SEED=7` repeats a run.
SEED ?= 1
# How long `make fuzz` tries each target.
SECONDS_EACH ?= 60
# `make bench ONLY="native growth"` measures some groups of cases; `SHORT=1` only shows that everything works.
ONLY ?=
SHORT ?=

.PHONY: help run demo worker bundle test test-native bench bench-quick bench-cli simulate fuzz lint advisories install clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS=$$'\t' read -r name what; do \
		printf 'make %-11s %s\n' "$$name" "$$what"; done

run: ## Start the service on 127.0.0.1:8787, its data in ./data (PORT, HOST, DATA_DIR, GEMINI_BASE_URL)
	@cargo run --profile $(PROFILE) --locked -p pool-worker --bin pool-server

demo: ## Show the whole thing against a stand-in for Gemini: no account, no network
	@cargo build --quiet --profile $(PROFILE) --locked -p poolctl
	@cargo run --quiet --profile $(PROFILE) --locked -p pool-worker --example demo

worker: bundle ## Start the same service as a Worker, with a local D1 database (PORT, GEMINI_BASE_URL)
	@.ci/worker.sh

bundle: worker/build/index.js ## Build the Worker into worker/build

worker/build/index.js: $(bundle_sources)
	@.ci/bundle.sh

test: ## Run every test: units, contract suite on both hosts, clients that people use, the page, the README
	@.ci/python.sh >/dev/null
	@.ci/python.sh openapi >/dev/null
	@.ci/chromium.sh >/dev/null
	@# The Worker is built by one processor most of the time; the native tests have the others.
	$(MAKE) --no-print-directory --jobs=2 bundle test-native
	cargo test --locked --workspace --features pool-worker/workerd,pool-worker/sdk,pool-worker/page \
		--test contract_workerd --test contract_kv --test sdk --test schemathesis --test page
	@$(MAKE) --no-print-directory bench-quick
	$$(.ci/python.sh) -B -m pytest -q -p no:cacheprovider worker/tests/readme

test-native:
	cargo test --locked --workspace

bench: bundle worker/build/uncounted/index.js ## Measure the service against what it is compared with (ONLY, SHORT): docs/benchmarks.md
	@.ci/bench-tools.sh wrk
	cargo build --release --locked -p pool-worker -p pool-bench --bin pool-server --bin forwarder --example fake_gemini
	cargo build --profile quick --locked -p pool-bench --bin quick-counts
	@python3 -B bench/run.py $(if $(SHORT),--short) $(ONLY)

# What the cost of counting is measured against.
worker/build/uncounted/index.js: worker/build/index.js
	@.ci/bundle.sh build/uncounted uncounted

bench-quick: ## Count calls, allocations, instructions and bytes, and fail where they grew (UPDATE_BENCH=1 takes them over)
	@.ci/bench-tools.sh valgrind
	cargo build --profile quick --locked -p pool-bench --bin quick-work --bin quick-counts
	@python3 -B bench/quick.py

bench-cli: ## Measure poolctl: its start, an import of 10,000 keys, the dashboard with 5,000
	@cargo bench --locked -p poolctl --bench cli

simulate: ## Try the pool engine under storms in simulated time (SEED)
	@cargo run --quiet --profile $(PROFILE) --locked -p pool-worker --example simulate -- --seed $(SEED)

fuzz: ## Look for bytes that break the doors or the translation, a minute for each target (SECONDS_EACH)
	@.ci/fuzz.sh $(SECONDS_EACH)

lint: ## Check the formatting, clippy's lints, and the dependencies' licences and sources
	cargo fmt --all --check
	cargo fmt --manifest-path worker/fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	@.ci/lint-worker.sh
	@$(cargo_deny) check licenses bans sources

advisories: ## Check the dependencies against the database of known holes (needs the open internet)
	@$(cargo_deny) check advisories

install: ## Install poolctl into cargo's folder of programs
	cargo install --profile $(PROFILE) --locked --path cli

clean: ## Remove what was built (the tools that were installed stay)
	cargo clean
	rm -rf worker/build
