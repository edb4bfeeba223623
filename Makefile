# What a contributor and .ci/run need. CONTRIBUTING.md explains the test hosts.

export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin:/sbin

# program:package, for those that the tests run
PROGRAMS = cc:build-essential git:git sshd:openssh-server ssh:openssh-client strace:strace rsync:rsync haproxy:haproxy \
	ip:iproute2 python3:python3-venv systemd-nspawn:systemd-container debootstrap:debootstrap busybox:busybox-static
LEFT_OUT = $(CURDIR)/target/left-out
PYTHON = $(CURDIR)/target/python
HOSTS = $(or $(BATOU_TEST_CACHE),/var/tmp/batou-tests)

# Many tests wait rather than compute, so a half more than there are processors run at a time.
export NEXTEST_TEST_THREADS ?= $(shell echo $$(($$(nproc) * 3 / 2)))

.PHONY: build release test quick attack model measures tools python fmt clippy doc book deny bench hosts-down

build:
	cargo build --workspace

# The static binary, with the agents that it carries: target/<triple>/release/batou
release:
	cargo build --release

# All tests. What cannot run here is named at the end; tests/common/left_out.rs has the only reasons there may be. With
# BATOU_TEST_COMPLETE in the environment nothing may be left out.
test: tools
	@mkdir -p $(dir $(LEFT_OUT)) && rm -f $(LEFT_OUT)
	@$(MAKE) --no-print-directory python || echo "without batou 2 and Jinja2 some tests are left out"
	@export BATOU_TEST_LEFT_OUT=$(LEFT_OUT) status=0; \
	if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --workspace && cargo test --workspace --doc || status=$$?; \
	else \
		cargo test --workspace || status=$$?; \
	fi; \
	if tests/hosts check >/dev/null; then $(MAKE) --no-print-directory hosts-down; fi; \
	if [ -e $(LEFT_OUT) ]; then sort -u $(LEFT_OUT); fi; \
	exit $$status

# What tells most within three minutes: unit tests, evaluation, releases to this machine and over loopback ssh
quick:
	cargo nextest run --workspace --profile quick

# All attacks, of which `make test` tries a sample: some hours on 2 cores
attack:
	BATOU_TEST_ATTACK=all cargo nextest run --profile attack -p batou -p batou-agent -E 'test(/^(attack|crash|tests::tampering)::/)'

# Histories of the release protocol that nobody has seen yet, for so many seconds on all processors
SECONDS = 3600
model:
	cargo test -p batou --lib --no-run
	@first=$$(date +%s)000000; others=; \
	for place in $$(seq $$(nproc)); do \
		BATOU_MODEL_SECONDS=$(SECONDS) BATOU_MODEL_SEED=$${place}$$first cargo test -q -p batou --lib -- \
			--ignored --exact --nocapture model::tests::seeds_for_a_while & others="$$others $$!"; \
	done; \
	for other in $$others; do wait $$other || failed=1; done; exit $${failed:-0}

# How large the crates are, and what in them is at the limits of the style
measures:
	cargo test --test main style::measures -- --ignored --nocapture

# Installs what is missing, as root on a Debian; else says what that is.
tools:
	@missing=; for pair in $(PROGRAMS); do \
		command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair#*:}"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; \
	else \
		echo "not installed, and tests may need them:$$missing"; \
	fi

# What tests compare with, batou 2 and Jinja2, in a virtual environment; needs a network the first time
python: $(PYTHON)/complete

$(PYTHON)/complete: tests/requirements.txt
	rm -rf $(PYTHON)
	python3 -m venv $(PYTHON)
	$(PYTHON)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

fmt:
	cargo fmt --all

clippy:
	cargo clippy --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

# https://rust-lang.github.io/mdBook/
book:
	mdbook build docs

# https://embarkstudios.github.io/cargo-deny/
deny:
	cargo deny check

# Measures against other tools and prints tables; benches/fleet needs root.
bench: release
	benches/build
	benches/evaluation
	benches/fleet

# Ends the booted hosts, unless tests of another checkout use them just now
hosts-down:
	@mkdir -p $(HOSTS) && flock --nonblock --conflict-exit-code 0 $(HOSTS)/tests.lock tests/hosts down
