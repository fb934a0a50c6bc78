# Shortcuts; `make help` lists them. Everything runs in .venv, which ./beacon makes.
.DEFAULT_GOAL := help
.PHONY: help setup check format test demo up schema reference examples rules bench bench-quick chaos chaos-quick interleavings crash-points crash-points-quick model level styleguide image lock sbom wheel chart restore-drill upgrade-proof ha-drill

BIN := .venv/bin
SEED ?= 1

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv with everything that the tests need
	./beacon test --collect-only -q >/dev/null

check: setup ## lint, formatting, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put imports and layout in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: ## every test; ARGS="-k name" for some
	./beacon test $(ARGS)

demo: ## one job through a whole stack, then stop
	./beacon demo

up: ## the whole stack, until Ctrl-C
	./beacon up

schema: setup ## write sql/schema.sql from the migrations
	$(BIN)/python -m tests.schema

reference: setup ## write the generated parts of docs/reference.md
	$(BIN)/python -m tests.reference

examples: setup ## write the examples of the page that describes the API
	WRITE_EXAMPLES=1 $(BIN)/python -m pytest -q -n 0 tests/integration/test_contract_examples.py -k gives

rules: ## check the alerts and run their cases (needs promtool)
	promtool check rules ops/prometheus/alerts.yml
	promtool test rules ops/prometheus/alerts_test.yml

bench: setup ## every benchmark, with its peers; writes docs/benchmarks.md (long)
	$(BIN)/python -m bench

bench-quick: setup ## a short benchmark, one line of JSON at the end
	$(BIN)/python -m bench --quick

chaos: setup ## every fault, many times; writes docs/faults.md (long); ARGS="--fast --hours 1 --stacks 3"
	$(BIN)/python -m bench.chaos $(ARGS)

chaos-quick: setup ## a bounded, seeded run of faults; SEED=n TRACES=file
	$(BIN)/python -m bench.chaos --quick --seed $(SEED) $(if $(TRACES),--traces $(TRACES))

interleavings: setup ## every order of the statements of verbs that meet; writes its part of docs/crash-points.md
	$(BIN)/python -m bench.interleavings

crash-points: setup ## cut each message of each verb in each way; writes docs/crash-points.md (12 minutes)
	$(BIN)/python -m bench.crash --seed $(SEED)

crash-points-quick: setup ## a seeded tenth of the crash points; SEED=n
	$(BIN)/python -m bench.crash --share 0.1 --seed $(SEED)

model: setup ## explore the model of a region run's life completely, and find its mutants (needs spin, gcc)
	$(BIN)/python -m bench.model

upgrade-proof: setup ## processes of earlier releases beside this one's on one schema, under load; RELEASE=0.2.0 SEED=n
	$(BIN)/python -m bench.drill.upgrade --seed $(SEED) $(if $(RELEASE),--release $(RELEASE))

restore-drill: setup ## a dump under load, a crash, a restore with an empty Redis; counts what is asked and paid again; SEED=n
	$(BIN)/python -m bench.drill.restore --seed $(SEED)

level: setup ## false alarms and power of the comparison; writes its part of docs/comparison.md; ARGS="--seeds run"
	$(BIN)/python -m bench.level $(ARGS)

styleguide: setup ## take the screenshots of the components again, after a change that is meant; look at the difference
	RENEW_STYLEGUIDE=1 $(BIN)/python -m pytest -q -n 0 tests/acceptance/test_styleguide.py -k look_as_they_did

image: ## the container image
	docker build --tag beacon-runner .

# The lock names no registry: each machine has its own. It has the hashes of the wheels of every machine type.
COMPILE := $(BIN)/uv pip compile --quiet --no-config --python-platform linux --generate-hashes --only-binary :all: --no-annotate \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
  --python-version $$(sed -nE 's/^FROM python:([0-9]+\.[0-9]+).*/\1/p' Dockerfile | head -1)

lock: $(BIN)/uv ## pin the image's packages with the hashes of their wheels; writes ops/image
	$(COMPILE) --output-file ops/image/requirements.txt pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' \
	  | $(COMPILE) --output-file ops/image/build.txt -

sbom: $(BIN)/cyclonedx-py ## the image's bill of materials, dist/sbom.cdx.json
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application --output-reproducible \
	  --output-format JSON --output-file dist/sbom.cdx.json ops/image/requirements.txt

chart: $(BIN)/kubernetes-validate ## validate the Helm chart without a cluster (needs npm); ARGS=--write renews its rendered form
	$(BIN)/python -m tests.chart $(ARGS)

ha-drill: setup ## kill machines of ops/ha under load (4 minutes; needs patroni, etcd, haproxy, redis); ARGS="--only redis"
	$(BIN)/python -m bench.ha $(ARGS)

wheel: setup ## the wheel, dist/beacon_runner-VERSION-py3-none-any.whl
	rm -rf build # setuptools packs what it finds there, also what has been removed since
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

$(BIN)/uv $(BIN)/cyclonedx-py $(BIN)/kubernetes-validate: | setup
	$(BIN)/python -m pip install -q -e '.[ci]' || uv pip install -q --python $(BIN)/python -e '.[ci]'
