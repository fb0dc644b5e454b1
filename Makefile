# Commands of development. `make help` lists them; each installs its tools on its first run.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# The Worker's bundle is rebuilt when one of these is newer. Folders are listed too, because a
# deleted file changes only its folder. Files of the native host alone are left out.
bundle_sources := $(shell find shared worker/src worker/engine worker/translate -path worker/src/host/native -prune -o \
	-path worker/src/bin -prune -o -print) \
	Cargo.toml Cargo.lock worker/Cargo.toml worker/package-lock.json docs/openapi.json .ci/bundle.sh .ci/esbuild.sh

cargo_deny := "$$(.ci/cargo-tool.sh cargo-deny 0.20.2)/cargo-deny" --locked --log-level error

# Crates without I/O, clock or randomness; their tests take seconds.
pure_crates := pool-shared pool-translate pool-engine
# One README test may not take longer; pytest prints every stack and ends.
pytest_deadline := -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true

# `make run PROFILE=dev` builds faster and runs slower.
PROFILE ?= release
# `make simulate SEED=7` repeats a run.
SEED ?= 1
# Duration of `make fuzz` for each target.
SECONDS_EACH ?= 60
# `make bench ONLY="native growth"` measures some groups of cases; `SHORT=1` is a smoke test.
ONLY ?=
SHORT ?=

.PHONY: help run demo worker bundle check test test-native test-workerd test-clients test-web-ui test-readme \
	test-nightly bench bench-quick bench-cli simulate fuzz lint advisories install clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS=$$'\t' read -r name what; do \
		printf 'make %-13s %s\n' "$$name" "$$what"; done

run: ## Start the service on 127.0.0.1:8787 with its data in ./data (PORT, HOST, DATA_DIR, GEMINI_BASE_URL)
	@cargo run --profile $(PROFILE) --locked -p pool-worker --bin pool-server

demo: ## Show everything against a fake Gemini: needs no account and no network
	@cargo build --quiet --profile $(PROFILE) --locked -p poolctl
	@cargo run --quiet --profile $(PROFILE) --locked -p pool-worker --example demo

worker: bundle ## Start the service as a Worker in workerd, with a local D1 database (PORT, GEMINI_BASE_URL)
	@.ci/worker.sh

bundle: worker/build/index.js ## Build the Worker into worker/build

worker/build/index.js: $(bundle_sources)
	@.ci/bundle.sh

check: ## The inner loop: formatting, clippy and unit tests of the pure crates, in less than a minute
	cargo fmt --all --check
	cargo clippy --locked $(pure_crates:%=-p %) --all-targets -- -D warnings
	cargo clippy --locked -p poolctl --bins -- -D warnings
	cargo test --quiet --locked $(pure_crates:%=-p %)

test: ## Run every test: unit, contract suites on both hosts, client SDKs, web UI, README, benchmark counts
	@.ci/python.sh >/dev/null
	@.ci/python.sh openapi >/dev/null
	@.ci/chromium.sh >/dev/null
	@# The bundle is linked and optimised by one processor; the native tests use the others.
	$(MAKE) --no-print-directory --jobs=2 bundle test-native
	.ci/test.py contract-workerd clients web-ui
	@$(MAKE) --no-print-directory bench-quick
	@$(MAKE) --no-print-directory test-readme

# The suites, as the jobs of the workflow run them. .config/tests.toml says how each runs.
test-native:
	.ci/test.py unit contract-native process

test-workerd: bundle
	.ci/test.py contract-workerd

test-clients: bundle
	@.ci/python.sh >/dev/null
	@.ci/python.sh openapi >/dev/null
	.ci/test.py clients

test-web-ui:
	@.ci/chromium.sh >/dev/null
	@.ci/npm.sh
	.ci/test.py web-ui

test-readme: bundle
	@# The documents' commands build these programs. A build may take longer than a test's deadline.
	cargo build --quiet --locked -p poolctl
	cargo build --quiet --locked -p pool-worker --bin pool-server --example demo --example fake_gemini
	$$(.ci/python.sh) -B -m pytest -q -p no:cacheprovider $(pytest_deadline) worker/tests/readme

test-nightly: bundle ## Run what is too slow for every change: the web UI on the Workers hosts, long fuzzing
	@.ci/chromium.sh >/dev/null
	.ci/test.py --ignored web-ui
	@.ci/fuzz.sh $(SECONDS_EACH)

bench: bundle worker/build/uncounted/index.js ## Measure the service and its baselines (ONLY, SHORT): docs/benchmarks.md
	@.ci/bench-tools.sh wrk
	cargo build --release --locked -p pool-worker -p pool-bench --bin pool-server --bin forwarder --example fake_gemini
	cargo build --profile quick --locked -p pool-bench --bin quick-counts
	@python3 -B bench/run.py $(if $(SHORT),--short) $(ONLY)

# Baseline for the cost of counting.
worker/build/uncounted/index.js: worker/build/index.js
	@.ci/bundle.sh build/uncounted uncounted

bench-quick: ## Count calls, allocations, instructions and bytes; fail if they grew (UPDATE_BENCH=1 accepts them)
	@.ci/bench-tools.sh valgrind
	cargo build --profile quick --locked -p pool-bench --bin quick-work --bin quick-counts
	@python3 -B bench/quick.py

bench-cli: ## Measure poolctl: startup, an import of 10,000 keys, the dashboard with 5,000
	@cargo bench --locked -p poolctl --bench cli

simulate: ## Run the pool engine under load in simulated time (SEED)
	@cargo run --quiet --profile $(PROFILE) --locked -p pool-worker --example simulate -- --seed $(SEED)

fuzz: ## Fuzz the parsers and the translation, one minute per target (SECONDS_EACH)
	@.ci/fuzz.sh $(SECONDS_EACH)

lint: ## Check formatting, clippy, documentation, and the licences and sources of dependencies
	cargo fmt --all --check
	cargo fmt --manifest-path worker/fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	@.ci/lint-worker.sh
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps --document-private-items
	@$(cargo_deny) check licenses bans sources

advisories: ## Check the dependencies for known vulnerabilities (needs access to github.com)
	@$(cargo_deny) check advisories

install: ## Install poolctl with cargo
	cargo install --profile $(PROFILE) --locked --path cli

clean: ## Remove build output (installed tools stay)
	cargo clean
	rm -rf worker/build
