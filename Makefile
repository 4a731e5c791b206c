# What a developer runs. Needs cargo, go, a C compiler and cmake; the control plane and cargo-deny are
# built on the first use, into a folder of the user's that all clones share.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

export TIMBR_IDENTITY_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/timbr-identity
# Compiled code is kept in the cache too, and outlives a clone: a folder for each path. Clones never share
# one, as what was compiled in another knows that one's path and may be of its sources. (cargo before 1.91
# knows no such folder, ignores this, and compiles everything in the clone.)
ifndef CARGO_TARGET_DIR
export CARGO_BUILD_BUILD_DIR ?= $(TIMBR_IDENTITY_CACHE)/build/{workspace-path-hash}
endif

CARGO := cargo
PACKAGE := --package timbr-identity
BIN := $(or $(CARGO_TARGET_DIR),target)/debug

.PHONY: help
help: ## Lists these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Builds the operator and the demo
	$(CARGO) build --locked --workspace --bins

.PHONY: test
test: control-plane fmt clippy docs rooms tests crds-check rbac-check chart-check examples-check demo-check ## Runs everything that needs only cargo and go
	@echo "make test: all passed"

.PHONY: test-full
test-full: ## Runs `test` and everything heavier; says loudly what it could not run
	hack/test-full

.PHONY: mutants
mutants: ## Breaks the engine in every way that cargo-mutants knows; its tests have to notice (takes hours)
	hack/mutants -j2

.PHONY: demo
demo: control-plane build ## Starts a cluster with the operator and single sign-on, to look at; Ctrl-C ends it
	keycloak=$$(ls -d $(TIMBR_IDENTITY_CACHE)/tools/keycloak-* 2>/dev/null | tail -n 1); \
	  if [[ -n $$keycloak ]] && java -version 2>/dev/null; then export KEYCLOAK_HOME=$$keycloak; fi; $(BIN)/demo

.PHONY: demo-check
demo-check: control-plane build ## Compares the demo with its transcript in README.md
	hack/demo-transcript check $(BIN)/demo

.PHONY: demo-write
demo-write: control-plane build ## Writes the demo's transcript into README.md
	hack/demo-transcript write $(BIN)/demo

.PHONY: control-plane
control-plane: ## Builds the control plane of tests and demo, unless it is there
	@control-plane/build

.PHONY: fmt
fmt: ## Checks the format (cargo fmt corrects it)
	$(CARGO) fmt --all --check

.PHONY: clippy
clippy: ## Checks the code, with each set of features
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked $(PACKAGE) --lib --no-default-features -- -D warnings
	$(CARGO) clippy --locked $(PACKAGE) --lib --no-default-features --features offline -- -D warnings

.PHONY: docs
docs: ## Checks the documentation of the code
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

.PHONY: rooms
rooms: ## Checks that no room knows what it must not
	hack/rooms

.PHONY: tests
tests: control-plane ## Runs the tests
	$(CARGO) test --locked --workspace --no-fail-fast

.PHONY: crds
crds: build ## Writes the CustomResourceDefinitions to crds/
	$(BIN)/timbr-identity crds >crds/identity.timbr.ai.yaml

.PHONY: crds-check
crds-check: build ## Checks that crds/ is what the binary prints
	@diff -u crds/identity.timbr.ai.yaml <($(BIN)/timbr-identity crds) || { echo "crds/ is out of date: run make crds" >&2; exit 1; }
	@echo "crds/ is up to date"

# Makes the manifest of the rights: for the namespaces that are named, else cluster-wide.
RBAC := $(CARGO) run --quiet --locked $(PACKAGE) --example rbac --

.PHONY: rbac
rbac: ## Writes the manifests of the operator's rights and its webhook to deploy/
	$(RBAC) >deploy/rbac.yaml
	$(RBAC) timbr >deploy/namespaced/rbac.yaml
	$(RBAC) webhook >deploy/webhook.yaml
	$(RBAC) webhook timbr >deploy/namespaced/webhook.yaml

.PHONY: rbac-check
rbac-check: ## Checks that deploy/ has the rights of src/rights.rs
	@diff -u deploy/rbac.yaml <($(RBAC)) || { echo "deploy/rbac.yaml is out of date: run make rbac" >&2; exit 1; }
	@diff -u deploy/namespaced/rbac.yaml <($(RBAC) timbr) || { echo "deploy/namespaced/rbac.yaml is out of date: run make rbac" >&2; exit 1; }
	@diff -u deploy/webhook.yaml <($(RBAC) webhook) || { echo "deploy/webhook.yaml is out of date: run make rbac" >&2; exit 1; }
	@diff -u deploy/namespaced/webhook.yaml <($(RBAC) webhook timbr) || { echo "deploy/namespaced/webhook.yaml is out of date: run make rbac" >&2; exit 1; }
	@echo "the manifests of the rights and the webhook are up to date"

CHART := charts/timbr-identity-operator
# The chart as it was at each version, to upgrade from: of the newest a copy, the others stay.
CHART_KEPT = tests/fixtures/charts/$$(awk '$$1 == "version:" { print $$2 }' $(CHART)/Chart.yaml)

.PHONY: chart
chart: ## Writes CRDs, rights and webhook to the Helm chart in charts/, and keeps a copy of the chart for tests
	for name in $$($(RBAC) chart); do $(RBAC) chart $$name >$(CHART)/templates/$$name; done
	rm -rf $(CHART_KEPT) && mkdir -p tests/fixtures/charts && cp -R $(CHART) $(CHART_KEPT)

.PHONY: chart-check
chart-check: ## Checks that charts/ says what the code says
	@for name in $$($(RBAC) chart); do diff -u $(CHART)/templates/$$name <($(RBAC) chart $$name) || \
	  { echo "$(CHART)/templates/$$name is out of date: run make chart" >&2; exit 1; }; done
	@diff -r $(CHART) $(CHART_KEPT) || { echo "$(CHART_KEPT) is out of date: run make chart" >&2; exit 1; }
	@echo "the chart is up to date"

.PHONY: examples-check
examples-check: build ## Checks that the examples are valid
	@for dir in examples/*/; do echo "$$dir"; $(BIN)/timbr-identity validate -f "$$dir"; done

.PHONY: deny
deny: ## Checks licences, banned crates and sources of the dependencies
	hack/deny

.PHONY: bench
bench: ## Runs the benchmarks
	$(CARGO) bench --locked $(PACKAGE) --bench '*'

.PHONY: bench-pace
bench-pace: control-plane ## Measures how fast a thousand installations are delivered, beside a bare client on the same server
	$(CARGO) build --release --locked $(PACKAGE) --bin timbr-identity
	$(CARGO) build --release --locked --package timbr-identity-testkit --bin pace
	$(or $(CARGO_TARGET_DIR),target)/release/pace

.PHONY: bench-checks
bench-checks: control-plane ## Measures how a thousand resources are tried out at one provider, and fails above 10 requests a second or 70 MB
	$(CARGO) build --release --locked $(PACKAGE) --bin timbr-identity
	$(CARGO) build --locked --package timbr-identity-testkit --bin checks
	TIMBR_IDENTITY_BIN=$(or $(CARGO_TARGET_DIR),target)/release/timbr-identity $(BIN)/checks

.PHONY: bench-webhook
bench-webhook: control-plane ## Measures how fast the webhook answers, and fails above twice an empty one's p99
	$(CARGO) build --release --locked $(PACKAGE) --bin timbr-identity
	$(CARGO) build --release --locked --package timbr-identity-testkit --bin webhook
	TIMBR_IDENTITY_BIN=$(or $(CARGO_TARGET_DIR),target)/release/timbr-identity $(or $(CARGO_TARGET_DIR),target)/release/webhook

.PHONY: bench-memory
bench-memory: control-plane ## Measures the operator's memory in a large cluster, and fails above 40 MB (80 MB with everything)
	$(CARGO) build --release --locked $(PACKAGE) --bin timbr-identity
	$(CARGO) build --locked --package timbr-identity-testkit --bin memory
	TIMBR_IDENTITY_BIN=$(or $(CARGO_TARGET_DIR),target)/release/timbr-identity $(BIN)/memory
	TIMBR_IDENTITY_BIN=$(or $(CARGO_TARGET_DIR),target)/release/timbr-identity $(BIN)/memory everything
