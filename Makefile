# Everything a developer runs. The environment is .venv, made from uv.lock; nothing is installed outside it,
# except by `make test` with CI=true or LAUNCH_JOBS_SETUP_SYSTEM=1 (see scripts/test).
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-kubernetes down test check fmt bench torture fidelity cluster faults faults-real
BIN := .venv/bin
STAMP := .venv/.launch-jobs-setup

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(STAMP) ## make .venv, with the `launch` command in it

$(STAMP): uv.lock pyproject.toml scripts/setup
	@scripts/setup
	@touch $@

demo: $(STAMP) ## capture a training script, put it on queues, run it, show the results
	@$(BIN)/python examples/demo.py

demo-kubernetes: $(STAMP) ## on the cluster: a GPU queue, a two-node job, a preempted job that comes back
	@examples/kubernetes/run

down: $(STAMP) ## stop what the demo or `launch up` started
	@$(BIN)/launch down

test: $(STAMP) ## run the tests, with coverage; says what could not run
	@scripts/test

check: $(STAMP) ## lint, formatting, types, imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

fmt: $(STAMP) ## format, and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## measure
	@if [ -d benchmarks ]; then $(BIN)/python -m benchmarks; else echo "There is no benchmark yet."; fi

torture: $(STAMP) ## every kind of source of RELIABILITY 4.1, a line each
	@scripts/torture

fidelity: $(STAMP) ## real programs, captured here and launched elsewhere: do they do the same?
	@scripts/fidelity

cluster: $(STAMP) ## a Kubernetes cluster of two nodes, for tests; the first time builds it
	@scripts/cluster start

faults: $(STAMP) ## break servers, agents, engines and stores while runs go on; count broken promises
	@scripts/faults --runs 500

faults-real: $(STAMP) ## outages of ten minutes, unscaled
	@scripts/faults --real
