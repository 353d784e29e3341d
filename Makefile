# The commands of this project; `make` alone lists them.
PYTHON ?= python3
COLOR ?= yellow
YEAR ?= 2021
MONTHS ?= 1
POSTGRES_PORT ?= 5434

BIN := .venv/bin
COMPOSE := $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
UV := $(BIN)/uv
# Three workers, a file of tests each, keep two cores busy while some tests wait.
PARALLEL := --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 10
# The secrets scan stays offline (-n); passwords and users in URLs of tests and pages are invented.
FILES := git ls-files -z --cached --others --exclude-standard --
SCAN := $(BIN)/detect-secrets-hook -n
INVENTED := --disable-plugin KeywordDetector --disable-plugin BasicAuthDetector
DOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
export UV_COMPILE_BYTECODE := 1
export UV_LINK_MODE := copy
export UV_PYTHON_DOWNLOADS := never
export PREFECT_SERVER_ANALYTICS_ENABLED ?= false
export DO_NOT_TRACK ?= 1
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS ?= 90

.DEFAULT_GOAL := help
.PHONY: help install demo demo-gcp emulators emulators-stop postgres postgres-stop doctor run \
        deploy up-local down-local image up down test test-all test-docker coverage check audit \
        fix pins bench docs docs-output clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

install: .venv/installed  ## make the environment in .venv

.venv/installed: docker-requirements.txt pyproject.toml
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); \
	case "$$version" in \
	  3.1[1-9]|3.[2-9][0-9]) ;; \
	  '') echo "error: $(PYTHON) does not run here; install Python 3.11 or newer, or name one that runs:" \
	    "make PYTHON=python3.12 install (with pyenv select it first: pyenv shell 3.12)" >&2; exit 1 ;; \
	  *) echo "error: Python 3.11 or newer is needed, and $(PYTHON) is $$version;" \
	    "try: make PYTHON=python3.12 install" >&2; exit 1 ;; \
	esac
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==0.13.8
	$(UV) pip install --quiet --python $(BIN)/python --editable . --group dev
	@mkdir -p -m 700 .prefect # Prefect's database, which holds the blocks' secrets
	@touch $@

demo: install  ## months from a mirror of the TLC's site into a lake and a warehouse
	@$(BIN)/python -m synthetic_tlc demo data/demo

demo-gcp: install  ## the same through emulators of GCS and BigQuery, with no account
	@$(BIN)/python -m local_services demo data/demo-gcp

emulators: install  ## start the emulators of GCS and BigQuery
	@$(BIN)/python -m local_services up

emulators-stop: install  ## stop them
	@$(BIN)/python -m local_services down

doctor: install  ## check what the settings name: source, lake, warehouse
	@$(BIN)/python -m nyc_taxi.doctor

run: install  ## months from the TLC's own site: make run COLOR=green YEAR=2021 MONTHS=1,2
	$(BIN)/python flows/etl_web_to_bq.py --color $(COLOR) --year $(YEAR) --months $(MONTHS)

postgres: install  ## a PostgreSQL on 127.0.0.1:5434, its data in data/postgres, and its block
	@$(BIN)/python -m local_services.postgres up --port $(POSTGRES_PORT)
	@POSTGRES_URL=$$($(BIN)/python -m local_services.postgres url --port $(POSTGRES_PORT)) \
	  $(BIN)/python blocks/make_postgres_block.py

postgres-stop: install  ## stop it; its data stays
	@$(BIN)/python -m local_services.postgres down

deploy: install  ## every deployment of prefect.yaml, to the server at PREFECT_API_URL
	$(BIN)/python blocks/make_process_pool.py
	$(BIN)/prefect --no-prompt deploy --all

up-local: install  ## server, UI, worker and deployments without Docker, in the background
	@./local.sh up

down-local:  ## stop them
	@./local.sh down

image:  ## build the image nyc-taxi:latest
	docker build --tag nyc-taxi:latest .

up:  ## the whole system in Docker: Postgres, server, UI, workers, deployments
	@$(PYTHON) docker/make_env.py
	@$(COMPOSE) up --build --detach || { echo "error: Docker Compose failed, see above; where a port is \
	taken, set POSTGRES_PORT or PREFECT_PORT in .env, or run make down-local" >&2; exit 1; }
	@echo "the UI: http://$$($(COMPOSE) port server 4200); its password is PREFECT_AUTH_STRING in .env"

down:  ## stop it; its volumes stay
	@$(PYTHON) docker/make_env.py
	$(COMPOSE) --profile emulators down

test: install  ## test each behavior once, in a few minutes
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

test-all: install  ## the slow tests too: every kill point, 200 flows, whole deployments
	$(BIN)/python -m pytest $(PARALLEL)

test-docker: install  ## test what needs a Docker engine
	$(BIN)/python -m pytest tests/e2e

coverage: install  ## test-all, measured: writes docs/coverage.txt, fails below the floor
	rm -rf .coverage
	$(BIN)/python -m coverage run -m pytest $(PARALLEL)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under 0 --format total > docs/coverage.txt
	$(BIN)/python -m coverage report

check: install  ## lint, formatting, types, secrets, and that every flow runs where only its code is
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(DOCS)
	$(BIN)/zizmor --offline --no-progress --pedantic --strict-collection .github
	git ls-files --error-unmatch Makefile >/dev/null # else nothing would be scanned
	$(FILES) ':!tests' ':!*/tests.py' ':!conftest.py' ':!*.md' | xargs -0 $(SCAN) --baseline .secrets.baseline
	$(FILES) tests '*/tests.py' conftest.py '*.md' | xargs -0 $(SCAN) $(INVENTED)
	$(BIN)/python scripts/prefect_build/build.py --verify

audit: install  ## look for known vulnerabilities of the pinned packages (needs the network)
	$(BIN)/pip-audit --strict --progress-spinner off --disable-pip --no-deps -r docker-requirements.txt

fix: install  ## mend what lint and formatting can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pins: install  ## renew docker-requirements.txt from requirements.in
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-header \
	  --output-file docker-requirements.txt requirements.in

bench: install  ## the figures of docs/benchmarks.md
	$(BIN)/python -m bench

docs: install  ## build the documentation into site/
	$(DOCS)
	@echo "open site/index.html"

docs-output: install  ## renew what the documentation generates and records
	$(BIN)/python -m docs.tools --record

clean:  ## remove the environment, caches and the demo's files; downloads and data stay
	rm -rf .venv .venv-bigquery data/demo data/demo-gcp .mypy_cache .pytest_cache .ruff_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
