PYTHON ?= python3
# Empty unless somebody gives it: then the --config file, $WINE_QUALITY_MLFLOW or the default says.
MLFLOW ?=
PORT ?=
MLFLOW_PORT ?=
ARGS ?=
VERSIONS ?= 3
ON ?=
# Files of tests that run at the same time: much of their time is waiting for servers to start.
JOBS ?= 3
SIDE_BY_SIDE = $(if $(filter-out 1,$(JOBS)),-n $(JOBS) --dist loadfile --no-loadscope-reorder)
# A path, with ::test behind it or not; else part of a name.
PICKED_TESTS = $(if $(wildcard $(firstword $(subst ::, ,$(T)))),$(T),-k "$(T)")
ROOT := $(or $(WINE_QUALITY_ENVIRONMENTS),.venvs)
BIN := "$(ROOT)/mlflow-3/bin"
# The platform in containers: ON=compose, and ARGS="--project NAME" where that is not dh.
WHERE = $(if $(ON),--on $(ON))
PICKED = $(if $(MLFLOW),--mlflow $(MLFLOW))
# The version that will run, as far as make knows; a command builds what its file names.
BUILT = $(or $(MLFLOW),$(WINE_QUALITY_MLFLOW),3)
BUILD := $(PYTHON) -m wine_quality.environments build
# PySpark is 400 MB, and nothing without Java.
JAVA = $(shell command -v java)

# Which targets take which variable. Any other on make's command line would be dropped in silence:
# `make up ARGS="--port 5005"` once started the UI on another port than the one asked for.
ARGS_FOR = run sweep promote rollback predict deploy serve image trust metrics compare forget retention gc up stack \
  backup restore upgrade renew move test quick chaos attack containers bench bench-scale fuzz \
  example
MLFLOW_FOR = env run sweep promote rollback predict deploy serve image trust metrics retention up spark \
  example
VERSION_FOR = promote rollback predict serve deploy image trust add-mlflow
VERSIONS_FOR = stack
PORT_FOR = up serve
MLFLOW_PORT_FOR = up
DO_FOR = metrics
FILE_FOR = forget predict
FROM_FOR = restore upgrade move
ON_FOR = retention gc backup restore renew
TO_FOR = backup upgrade renew move
WHAT_FOR = renew
WITH_FOR = renew
T_FOR = test
RUNS_FOR = compare
OUT_FOR = compare predict
CELLS_FOR = faults
MINUTES_FOR = chaos
JOBS_FOR = test quick
EXAMPLE_FOR = example
JOB_FOR = example
PARTITION_FOR = example
GIVEN = $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
NOT_TAKEN = $(filter-out $(value $(1)_FOR),$(or $(MAKECMDGOALS),help))
HINT = $(if $(filter $(1),$(ARGS_FOR)),Options of its command go into ARGS="--…",`make` lists the targets)
REFUSE = $(error `make $(1)` takes no $(2). $(call HINT,$(1)))
ifeq ($(MAKELEVEL),0)
$(foreach name,$(filter-out PYTHON JAVA WINE_QUALITY_%,$(GIVEN)),$(foreach target,\
  $(firstword $(call NOT_TAKEN,$(name))),$(call REFUSE,$(target),$(name))))
endif

.DEFAULT_GOAL := help
.PHONY: help env envs devenvs run sweep promote rollback predict deploy serve image trust metrics compare forget retention gc backup restore upgrade renew move up spark stack stack-down stack-env versions add-mlflow test quick lint audit sbom bench bench-scale fuzz reference docs docs-serve file-matrix attack containers faults kills orders chaos screenshots browser clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

env: ## build the environment of MLFLOW=1.26, 2.1.1 or 3; `make run` builds that of its --config file itself
	@$(BUILD) $(sort 3 $(BUILT))

envs: ## build the environments of all MLflow versions
	@$(BUILD) all

run: env ## run the main job with MLFLOW=… (ARGS="--alpha 0.1" passes options on)
	@$(BIN)/python -m wine_quality run $(PICKED) $(ARGS)

sweep: env ## cross-validate a grid, offer the best (ARGS="--alphas 0.01,0.1 --l1-ratios 0.5")
	@$(BIN)/python -m wine_quality sweep $(PICKED) $(ARGS)

promote: env ## make the challenger (or VERSION=…) the champion
	@$(BIN)/python -m wine_quality promote $(PICKED) $(if $(VERSION),--version $(VERSION)) $(ARGS)

rollback: env ## withdraw the champion for the one before (or VERSION=…)
	@$(BIN)/python -m wine_quality rollback $(PICKED) $(if $(VERSION),--version $(VERSION)) $(ARGS)

serve: env ## serve the champion over REST (8080) and gRPC (8081, ARGS="--grpc-port 9091"); PORT=9090; follows promotions
	@$(BIN)/python -m wine_quality serve $(PICKED) $(if $(VERSION),--version $(VERSION)) $(if $(PORT),--port $(PORT)) $(ARGS)

deploy: env ## write what serves the champion (or VERSION=…), with manifests; ARGS="--target local"
	@$(BIN)/python -m wine_quality deploy $(PICKED) $(if $(VERSION),--version $(VERSION)) $(ARGS)

image: env ## an image that serves VERSION=champion or a number (ARGS=--no-build: only its context)
	@$(BIN)/python -m wine_quality image $(PICKED) --version $(or $(VERSION),champion) $(ARGS)

trust: env ## sign versions from before versions were signed: VERSION=champion, a number or all (ARGS=--yes)
	@$(BIN)/python -m wine_quality trust $(PICKED) --version $(or $(VERSION),champion) $(ARGS)

predict: env ## score FILE (or folder/, s3://…) with the champion (or VERSION=…) into OUT=file.parquet
	@$(BIN)/python -m wine_quality predict $(PICKED) $(if $(FILE),"$(FILE)") $(if $(OUT),--out "$(OUT)") $(if $(VERSION),--version $(VERSION)) $(ARGS)

metrics: env ## the metrics history: DO=status, upgrade, policies or backfill (MLFLOW=… names the registry)
	@$(BIN)/python -m wine_quality metrics $(or $(DO),status) $(PICKED) $(ARGS)

compare: env ## runs of several MLflow versions side by side, and as a page (RUNS="…", OUT=compare.html)
	@$(BIN)/python -m wine_quality compare $(if $(RUNS),"$(RUNS)") $(if $(OUT),--out "$(OUT)") $(ARGS)

forget: env ## list the files that runs may train on, or forget FILE=… (key, name or URL)
	@$(BIN)/python -m wine_quality forget $(if $(FILE),"$(FILE)") $(ARGS)

retention: env ## show runs and unpromoted versions older than 90 days (ARGS="--days 30 --delete"; ON=compose)
	@$(BIN)/python -m wine_quality retention $(PICKED) $(WHERE) $(ARGS)

gc: env ## show, or remove, files of deleted runs and files without a run (ARGS="--days 30 --delete"; ON=compose)
	@$(BIN)/python -m wine_quality gc $(WHERE) $(ARGS)

EXAMPLE ?= churn
EXAMPLE_HOME = $(or $(WINE_QUALITY_HOME),$(CURDIR)/.wine_quality/examples/$(EXAMPLE))
JOB ?= $(EXAMPLE)
PARTITION ?= $(if $(filter segments,$(EXAMPLE)),Bern)
.PHONY: example
example: env ## run the JOB of EXAMPLE=churn in examples/ with MLFLOW=… (PARTITION=…; ARGS="-c FILE" adds run config)
	@mkdir -p "$(EXAMPLE_HOME)/dagster"
	@WINE_QUALITY_HOME="$(EXAMPLE_HOME)" DAGSTER_HOME="$(EXAMPLE_HOME)/dagster" $(BIN)/dagster job execute -f examples/$(EXAMPLE)/definitions.py -d examples/$(EXAMPLE) -j $(JOB) -c examples/$(EXAMPLE)/mlflow-$(BUILT).yaml $(if $(PARTITION),--tags '{"dagster/partition": "$(PARTITION)"}') $(ARGS)

up: env ## start the Dagster UI (PORT) and the MLflow UIs (MLFLOW_PORT and after it); Ctrl-C stops all
	@$(BIN)/python -m wine_quality up $(PICKED) $(if $(PORT),--port $(PORT)) $(if $(MLFLOW_PORT),--mlflow-port $(MLFLOW_PORT)) $(ARGS)

spark: env ## add PySpark to the environment of MLFLOW, for training_engine "spark"; it needs Java 17 or 21
	@$(BUILD) --spark $(BUILT)

stack: ## start the whole platform without containers (VERSIONS="3 2.1.1 1.26"; ARGS=--detach)
	@$(BUILD) --stack 3 $(VERSIONS)
	@$(BIN)/python -m wine_quality stack up --versions $(VERSIONS) $(ARGS)

stack-down: ## stop the platform that `make stack` started; its data is kept
	@$(BIN)/python -m wine_quality stack down

backup: $(if $(ON),env) ## back up the stack's databases and buckets to TO=folder, also while it runs (ON=compose)
	@$(BIN)/python -m wine_quality backup "$(TO)" $(WHERE) $(ARGS)

restore: ## restore a backup FROM=folder into a stopped, empty stack (ARGS=--overwrite: into any; ON=compose)
	@$(BUILD) $(if $(ON),,--stack) 3
	@$(BIN)/python -m wine_quality restore "$(FROM)" $(WHERE) $(ARGS)

upgrade: ## take a version's store over to a newer MLflow: FROM=1.26 TO=3, a dry run (ARGS=--apply)
	@$(BUILD) $(if $(findstring stack,$(ARGS)),--stack) $(sort 3 $(FROM) $(TO))
	@$(BIN)/python -m wine_quality upgrade $(or $(FROM),"") $(or $(TO),"") $(ARGS)

renew: ## WHAT=postgres, store, dagster or mlflow of the stack, after a backup TO=folder (WITH=…; ON=compose)
	@$(BUILD) $(if $(ON),,--stack) $(sort 3 $(if $(filter mlflow,$(WHAT)),$(WITH)))
	@$(BIN)/python -m wine_quality renew "$(WHAT)" "$(TO)" --with "$(WITH)" $(WHERE) $(ARGS)

move: ## copy what a server or store has to another one: FROM=1.26 TO=3, a dry run (ARGS="--to-uri URL --apply")
	@$(BUILD) $(sort 3 $(FROM) $(TO))
	@$(BIN)/python -m wine_quality move $(or $(FROM),"") $(or $(TO),"") $(ARGS)

stack-env: ## make deploy/docker-compose/.env with random secrets
	@$(BUILD) --stack 3
	@$(BIN)/python -m wine_quality stack env

devenvs: ## build all environments with what tests and lint need; `make test` and `make lint` do so themselves
	@$(BUILD) 3 --dev $(if $(JAVA),--spark)
	@$(if $(JAVA),,echo "There is no java on PATH: Spark's tests will be skipped.")
	@$(BUILD) all --dev --keep-going
	@$(BIN)/python -m wine_quality.serving.environment

versions: ## write the MLflow versions into the files in deploy/, from the table of versions
	@$(PYTHON) -m wine_quality.environments.deploy_files

add-mlflow: ## make another MLflow version selectable: its locks, its entry, its lines in deploy/ (VERSION=2.22.5)
	@$(PYTHON) -m wine_quality.environments add $(or $(VERSION),"")

test: devenvs ## pass all tests, those of all three MLflow versions included (T=file, folder or name: some)
	@$(BIN)/python -m pytest --durations 10 $(if $(T),$(PICKED_TESTS),$(SIDE_BY_SIDE)) $(ARGS)

quick: devenvs ## the tests that need no server: an answer in about two minutes
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow" $(ARGS)

faults: devenvs ## every cell of the fault matrix, into docs/fault-matrix.md (CELLS="S3 and hangs")
	@WINE_QUALITY_FAULTS=all WINE_QUALITY_FAULTS_RESULTS=docs \
	  $(BIN)/python -m pytest -v wine_quality_tests/faults/test_faults.py $(if $(CELLS),-k "$(CELLS)")

kills: devenvs ## kill a run at each event of its log in turn, into docs/kill-points.md (about two hours)
	@WINE_QUALITY_TABLES=docs $(BIN)/python -m pytest -v wine_quality_tests/faults/test_kill_points.py -k every

orders: devenvs ## every order in which parts of two trainings can be made, into docs/part-orders.md
	@WINE_QUALITY_TABLES=docs $(BIN)/python -m pytest -v wine_quality_tests/faults/test_parts.py -k every

chaos: devenvs ## the job in a loop while services are killed, for MINUTES=5 (ARGS="--seed 7")
	@$(BIN)/python -m wine_quality_tests.faults.chaos --minutes $(or $(MINUTES),5) $(ARGS)

attack: devenvs ## attack `make up`, `make stack` and compose as a person who may launch runs; prints the results
	@WINE_QUALITY_ATTACKS=all $(BIN)/python -m pytest wine_quality_tests/attacks $(ARGS)

containers: devenvs ## the platform in containers (podman or Docker): the job, upkeep, backup and restore; prints a table
	@WINE_QUALITY_CONTAINERS=all $(BIN)/python -m pytest wine_quality_tests/containers $(ARGS)

lint: devenvs ## ruff, mypy, the layers (import-linter) and the layout
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy wine_quality
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -q -p no:cacheprovider wine_quality_tests/unit/test_layout.py

audit: devenvs ## known vulnerabilities of every lock file, less the accepted ones (asks the package index)
	@$(BIN)/python -m wine_quality.supply_chain.audit

sbom: env ## a bill of materials (CycloneDX) for each image, into build/sbom
	@$(BIN)/python -m wine_quality.supply_chain.sbom build/sbom

bench: devenvs ## against plain scripts, listings and `mlflow models serve`; the stack's start, memory and load
	@$(BIN)/python -m benchmarks.main_job $(ARGS)
	@$(BIN)/python -m benchmarks.launch
	@$(BIN)/python -m benchmarks.sweep
	@$(BIN)/python -m benchmarks.tick
	@$(BIN)/python -m benchmarks.serving
	@$(BIN)/python -m benchmarks.batch_scoring
	@$(BIN)/python -m benchmarks.stack
	@$(BIN)/python -m benchmarks.load
	@$(BIN)/python -m benchmarks.backfill
	@$(BIN)/python -m benchmarks.retention
	@$(BIN)/python -m benchmarks.scale

bench-scale: devenvs ## training on 1 M and 10 M wines (ARGS=--full: 100 M) against what others offer
	@$(BIN)/python -m benchmarks.scale $(ARGS)

fuzz: devenvs ## make up bad input and see what comes of it (ARGS="--minutes 60 --seed 7")
	@$(BIN)/python -W ignore -m wine_quality_tests.fuzz $(ARGS)

reference: devenvs ## write the pages of the documentation that are made from the code
	@$(BIN)/python -W ignore -m wine_quality_tests.support.reference_pages

docs: ## build the documentation into build/docs; a dead link fails it
	@$(PYTHON) -m wine_quality.environments tools docs
	@NO_MKDOCS_2_WARNING=1 $(ROOT)/docs/bin/mkdocs build --strict --site-dir build/docs
	@echo "build/docs/index.html"

docs-serve: ## show the documentation at http://localhost:8000, built anew when a page changes
	@$(PYTHON) -m wine_quality.environments tools docs
	@NO_MKDOCS_2_WARNING=1 $(ROOT)/docs/bin/mkdocs serve

file-matrix: devenvs ## what comes of each kind of file, into docs/file-matrix.md
	@$(BIN)/python -W ignore -m wine_quality_tests.support.file_matrix > docs/file-matrix.md.tmp
	@mv docs/file-matrix.md.tmp docs/file-matrix.md

screenshots: devenvs ## take the README's pictures in headless Chromium
	@mkdir -p docs/images
	@WINE_QUALITY_SCREENSHOTS=$(CURDIR)/docs/images $(BIN)/python -m pytest wine_quality_tests/ui

browser: ## see that Chromium is here; root installs it from Debian or Ubuntu
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  test "$$(id -u)" = 0 && apt-get update -q && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends chromium; }

clean: ## remove the environments; runs and models in .wine_quality stay
	rm -rf "$(ROOT)"
