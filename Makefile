# Holdline on one machine. `make` alone lists the commands.
# Only what GNU make 3.81 knows. The last command of a recipe is run with exec, so that signals reach it.

PYTHON ?= python3
BIN := .venv/bin
HTMX := 4.0.1
EVENT_CALENDAR := 5.10.1
RUN := exec env STOP_WITH_PARENT=1 $(BIN)/python -m sandbox

.PHONY: help setup demo up psql test check audit bench lock vendor clean
.DEFAULT_GOAL := help

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

setup: ## install into .venv what the lock file names, if it changed
	@wanted=`cksum < requirements-dev.txt`; \
	if $(BIN)/python -c '' 2>/dev/null && [ "$$wanted" = "`cat .venv/installed 2>/dev/null`" ]; then exit 0; fi; \
	if ! command -v $(PYTHON) >/dev/null 2>&1; then \
	  echo "There is no $(PYTHON); install Python 3.11 or newer, or name yours: make setup PYTHON=python3.12" >&2; exit 1; fi; \
	if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "Holdline needs Python 3.11 or newer and $(PYTHON) is `$(PYTHON) -V 2>&1 | tail -n 1`; name another: make setup PYTHON=python3.12" >&2; exit 1; fi; \
	if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then $(PYTHON) -m venv --clear .venv || exit 1; fi; \
	echo "installing the locked packages into .venv (the first time it takes a minute)"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt || exit 1; \
	echo "$$wanted" > .venv/installed

demo: setup ## start everything and play one phone call; ONCE=1 stops after it
	@$(RUN) demo $(if $(filter-out 0,$(ONCE)),--once)

up: setup ## start everything and keep it running until Ctrl-C
	@$(RUN) up

psql: setup ## an SQL session on the running database; reads standard input too
	@$(RUN) psql

# Four workers keep two cores busy, for many tests wait. Each has servers of its own to start, so that a part of the
# tests is run soonest by one process; WORKERS=4 beside ARGS has it run by four. Hundreds of processes are started
# that import the same modules: they keep the bytecode, also where the environment says that nobody shall.
WORKERS ?= $(if $(ARGS),0,4)
test: setup ## run the tests, four at once; ARGS="tests/models -k otp" goes to pytest and runs a part of them
	@exec env PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n $(WORKERS) $(ARGS)

check: setup ## lint, format, types, architecture: what CI runs before the tests
	@echo "ruff check";          $(BIN)/ruff check --quiet
	@echo "ruff format --check"; $(BIN)/ruff format --check --quiet
	@echo "mypy";                $(BIN)/mypy
	@echo "lint-imports";        $(BIN)/lint-imports

# pip-audit fails alike when it finds something and when it cannot ask; only what it finds is on its standard output.
# --strict: a package that it could not look up is no package without a weakness.
audit: setup ## look up the locked packages in the list of known weaknesses; asks the index that has it
	@for lock in requirements.txt requirements-dev.txt; do \
	  echo "pip-audit $$lock"; \
	  if ! found=`$(BIN)/pip-audit --require-hashes --disable-pip --strict --progress-spinner off --timeout 10 -r $$lock 2>/dev/null`; then \
	    if [ -n "$$found" ]; then echo "$$found"; exit 1; fi; \
	    echo "The list of known weaknesses could not be asked, so nothing is known; is the package index within reach?" >&2; exit 1; fi; \
	done

bench: setup ## the measurements
	@exec $(BIN)/python -m bench

lock: setup ## write the two lock files anew from pyproject.toml
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  -q pyproject.toml -o requirements.txt --custom-compile-command "make lock"
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  -q pyproject.toml --extra dev -c requirements.txt -o requirements-dev.txt --custom-compile-command "make lock"

vendor: ## fetch the files of webapp/static/vendor anew, from npm
	@work=`mktemp -d`; trap 'rm -rf "$$work"' EXIT; \
	npm pack --silent --pack-destination "$$work" htmx.org@$(HTMX) >/dev/null && tar xzf "$$work"/htmx.org-*.tgz -C "$$work" && \
	cp "$$work"/package/dist/htmx.min.js "$$work"/package/dist/ext/hx-sse.min.js webapp/static/vendor/ && \
	cp "$$work"/package/LICENSE webapp/static/vendor/htmx.LICENSE && \
	npm pack --silent --pack-destination "$$work" @event-calendar/build@$(EVENT_CALENDAR) >/dev/null && \
	tar xzf "$$work"/event-calendar-build-*.tgz -C "$$work" && \
	grep -v sourceMappingURL "$$work"/package/dist/event-calendar.min.js > webapp/static/vendor/event-calendar.min.js && \
	cp "$$work"/package/dist/event-calendar.min.css webapp/static/vendor/

clean: ## remove caches and the local database
	@if $(BIN)/python -m sandbox urls >/dev/null 2>&1; then echo "Holdline is running; stop it first" >&2; exit 1; fi
	@rm -rf var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
