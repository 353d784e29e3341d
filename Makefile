# Commands of this project; `make` lists them.
PYTHON ?= $(shell $(BIN)/python -Ec 'import sys; print(sys._base_executable)' 2>/dev/null || echo python3)
COLOR := yellow
YEAR := 2021
MONTHS := 1
POSTGRES_PORT ?= 5434

BIN := .venv/bin
COMPOSE := $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
UV := $(BIN)/uv
# Up to Python 3.12 the path of flows/ is read in the locale's encoding: relative, it is always ASCII.
RELATIVE := for path in .venv/lib/python3*/site-packages/__editable__.nyc_taxi_flows-*.pth; do \
	  rm "$$path" && echo ../../../../flows > "$$path"; done
# On two cores: each worker starts its own servers, and the slow tests wait more.
WORKERS := 3
test-slow: WORKERS := 4
PYTEST = -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder --durations 10
# The secrets scan stays offline (-n). Passwords and users in URLs of tests and pages are fake.
FILES := git ls-files -z --cached --others --exclude-standard --
SCAN := $(BIN)/detect-secrets-hook -n
IGNORE_FAKE := --disable-plugin KeywordDetector --disable-plugin BasicAuthDetector
DOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
export UV_COMPILE_BYTECODE := 1
export UV_PYTHON_DOWNLOADS := never
export PREFECT_SERVER_ANALYTICS_ENABLED ?= false
export DO_NOT_TRACK ?= 1
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS ?= 90
unexport PIP_PREFIX PIP_TARGET PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONSAFEPATH UV_SYSTEM_PYTHON
# Else the builds of packages cannot read a path with other letters than those of ASCII.
ifneq ($(filter C POSIX,$(LC_ALL)),)
export LC_ALL := C.UTF-8
endif
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifeq ($(UV_CACHE_DIR)$(shell [ -w "$${XDG_CACHE_HOME:-$$HOME}" ] && echo writable),)
export UV_CACHE_DIR := $(CURDIR)/.venv/cache
endif

.DEFAULT_GOAL := help
.PHONY: help install demo demo-gcp emulators emulators-stop postgres postgres-stop spark hadoop \
        hadoop-stop spark-local spark-local-stop doctor run deploy report up-local down-local image up \
        down test test-slow test-all test-docker test-minio test-cluster test-cluster-slow test-report coverage check \
        audit fix pins bench docs docs-output clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/installed  ## create the environment in .venv

VERSION := -Ec 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
ifneq ($(origin PYTHON),file)
ifneq ($(shell "$(PYTHON)" $(VERSION)),$(shell $(BIN)/python $(VERSION)))
.PHONY: .venv/installed
endif
endif

# The packages that count are those in .venv.
.venv/installed: export PYTHONPATH :=
.venv/installed: export PIP_USER := 0
.venv/installed: docker-requirements.txt pyproject.toml
	@version=$$("$(PYTHON)" $(VERSION)); \
	case "$$version" in \
	  3.11|3.12|3.13) "$(PYTHON)" -Ec 'import ensurepip' 2>/dev/null || { \
	    echo "error: $(PYTHON) cannot create environments;" \
	      "on Debian and Ubuntu: sudo apt-get install python$$version-venv" >&2; exit 1; } ;; \
	  '') echo "error: $(PYTHON) cannot be run; install Python 3.11 to 3.13, or choose one:" \
	    "make PYTHON=python3.13 install (with pyenv, first select it: pyenv shell 3.13)" >&2; exit 1 ;; \
	  *) echo "error: Python 3.11 to 3.13 is required, and $(PYTHON) is $$version;" \
	    "try: make PYTHON=python3.13 install" >&2; exit 1 ;; \
	esac; \
	[ "$$version" = "$$($(BIN)/python $(VERSION))" ] || rm -rf .venv
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet uv==0.13.8
	$(UV) pip install --quiet --python $(BIN)/python --editable '.[report]' --group dev
	@$(RELATIVE)
	@mkdir -p -m 700 .prefect # Prefect's database contains the secrets of the blocks
	@touch $@

demo: install  ## run the flows on synthetic data: local TLC site -> lake -> DuckDB
	@$(BIN)/python -m synthetic_tlc demo data/demo

demo-gcp: install  ## the same on emulators of GCS and BigQuery; needs no account
	@$(BIN)/python -m local_services demo data/demo-gcp

emulators: install  ## start the GCS and BigQuery emulators
	@$(BIN)/python -m local_services up

emulators-stop: install  ## stop the emulators
	@$(BIN)/python -m local_services down

spark: install  ## install Spark, Iceberg and JDBC drivers; needs Java 17 or 21, and Maven
	$(UV) pip install --quiet --python $(BIN)/python --editable '.[spark]'
	@$(RELATIVE)
	@mvn -v >/dev/null 2>&1 || { echo "error: Maven is not installed (the package maven)" >&2; exit 1; }
	mvn --quiet --batch-mode --file local_services/spark/pom.xml \
	  org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DexcludeTransitive=true \
	  -DoutputDirectory="$$($(BIN)/python -c 'import pyspark; print(pyspark.__path__[0])')/jars"

hadoop: spark  ## start HDFS, YARN and the Spark History Server on 127.0.0.1:21000 to 21020
	@$(BIN)/python -m local_services.hadoop up

hadoop-stop: install  ## stop them; their data is kept
	@$(BIN)/python -m local_services.hadoop down

spark-local: spark  ## start a standalone Spark master and two workers on 127.0.0.1:7077
	@$(BIN)/python -m local_services.spark up

spark-local-stop: install  ## stop them
	@$(BIN)/python -m local_services.spark down

doctor: install  ## check the server, source, lake and warehouse of the settings
	@$(BIN)/python -m nyc_taxi.doctor

run: install  ## ingest published months: make run COLOR=green YEAR=2021 MONTHS=1,2
	$(BIN)/python flows/etl_web_to_bq.py --color $(COLOR) --year $(YEAR) --months $(MONTHS)

report: install  ## write the page of what is in gold: data/report.html
	@$(BIN)/python -m lakehouse.report.flow

postgres: install  ## start a local PostgreSQL on 127.0.0.1:5434 and create its block
	@$(BIN)/python -m local_services.postgres up --port $(POSTGRES_PORT)
	@POSTGRES_URL=$$($(BIN)/python -m local_services.postgres url --port $(POSTGRES_PORT)) \
	  $(BIN)/python blocks/make_postgres_block.py

postgres-stop: install  ## stop the local PostgreSQL; its data is kept
	@$(BIN)/python -m local_services.postgres down

deploy: install  ## deploy all of prefect.yaml to the server at PREFECT_API_URL
	$(BIN)/python blocks/make_process_pool.py
	$(BIN)/prefect --no-prompt deploy --all

up-local: install  ## start server, UI and worker without Docker, and deploy all flows
	@./local.sh up

down-local:  ## stop the local server and worker
	@./local.sh down

image:  ## build the image nyc-taxi:latest
	docker build --tag nyc-taxi:latest .

up:  ## start the whole system in Docker: Postgres, server, UI, workers, deployments
	@"$(PYTHON)" docker/make_env.py
	@$(COMPOSE) up --build --detach || { echo "error: Docker Compose failed, see above; if a port is \
	in use, set POSTGRES_PORT or PREFECT_PORT in .env, or run make down-local" >&2; exit 1; }
	@echo "UI: http://$$($(COMPOSE) port server 4200); its password is PREFECT_AUTH_STRING in .env"

down:  ## stop the system in Docker; its volumes are kept
	@"$(PYTHON)" docker/make_env.py
	$(COMPOSE) --profile emulators down

test: install  ## test every behavior once on every lake and warehouse, in a few minutes
	$(BIN)/python $(MEASURE) $(PYTEST) -m "not slow and not cluster"

test-slow: install  ## run the slow tests: every kill point, 200 flows, deployments
	$(BIN)/python $(PYTEST) -m "slow and not cluster"

test-all: export NYC_TAXI_TEST_EXAMPLES ?= 200
test-all: install  ## run all of these tests, with more generated inputs
	$(BIN)/python $(PYTEST)

test-docker: install  ## run the tests that need a Docker engine
	$(UV) pip install --quiet --python $(BIN)/python --group browser
	$(BIN)/python -m pytest tests/e2e

test-minio: install  ## test the S3 lake on MinIO's gateway
	$(UV) pip install --quiet --python $(BIN)/python --group minio
	NYC_TAXI_TEST_SERVICES=minio $(BIN)/python -m pytest tests/contract/test_lakes.py -k minio

test-cluster: spark  ## run the tests that need HDFS, YARN and Spark; needs Java and Maven
	$(BIN)/python -m pytest -m "cluster and not slow" tests

test-report: install  ## test the page of make report in a browser (needs Chromium)
	$(UV) pip install --quiet --python $(BIN)/python --group browser
	$(BIN)/python -m pytest tests/browser

test-cluster-slow: spark  ## run the slow cluster tests: every kill point, backfills, restarts
	$(BIN)/python -m pytest -m "cluster and slow" tests

coverage: install  ## run make test with coverage; fails below the floor
	rm -rf .coverage
	@$(MAKE) --no-print-directory test MEASURE="-m coverage run"
	$(BIN)/python -m coverage combine --quiet || true # files of killed processes are unusable
	rm -f .coverage/data.* # of processes that were killed while writing
	$(BIN)/python -m coverage report --fail-under 0 --format total > docs/coverage.txt
	$(BIN)/python -m coverage report

check: install  ## lint, format, types, words, docs, secrets, and flow bundles
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_words.py
	$(DOCS)
	$(BIN)/zizmor --offline --no-progress --pedantic --strict-collection .github
	git ls-files --error-unmatch Makefile >/dev/null # outside a repository nothing is scanned
	$(FILES) ':!tests' ':!*/tests.py' ':!conftest.py' ':!*.md' | xargs -0 $(SCAN) --baseline .secrets.baseline
	$(FILES) tests '*/tests.py' conftest.py '*.md' | xargs -0 $(SCAN) $(IGNORE_FAKE)
	$(BIN)/python scripts/prefect_build/build.py --verify

audit: install  ## check the pinned packages for known vulnerabilities (needs network)
	$(BIN)/pip-audit --strict --progress-spinner off --disable-pip --no-deps -r docker-requirements.txt

fix: install  ## apply automatic lint and format fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pins: install  ## update docker-requirements.txt from requirements.in
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate --no-header \
	  --output-file docker-requirements.txt requirements.in

bench: install  ## run the benchmarks of docs/benchmarks.md
	$(UV) pip install --quiet --python $(BIN)/python --group browser
	$(BIN)/python -m bench

docs: install  ## build the documentation into site/
	$(DOCS)
	@NYC_TAXI_DBT_PATH=:memory: $(BIN)/dbt --quiet docs generate --static --empty-catalog \
	  --vars '{suffix: ""}' --project-dir dbt --profiles-dir dbt
	@cp dbt/target/static_index.html site/models.html
	@echo "open site/index.html"

docs-output: install  ## regenerate the tables and recorded outputs of the documentation
	$(BIN)/python -m docs.tools --record

clean:  ## remove the environment, caches and demo data; other data is kept
	rm -rf .venv .venv-bigquery data/demo data/demo-gcp .mypy_cache .pytest_cache .ruff_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
