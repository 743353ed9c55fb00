# One place for every command. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SHARED ?= ../shared
CONSTRAINTS := requirements/constraints.txt
# The tests wait for servers most of the time: more processes than cores, a file of tests in one of them, the long ones first.
TEST_PROCESSES ?= 3
TESTS ?= tests
SIDE_BY_SIDE := -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
# Into one of the environments, by its Python; with uv, or with pip where there is no uv.
INSTALL := $(BIN)/python requirements/install.py
# Some containers set it: each of the hundreds of processes that the tests start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: chaos chart manifests monitoring fleet-test cluster-test cluster-up cluster-down help setup setup-online setup-system demo test test-unit check format bench demo-weights nuclei-weights street-data constraints docs site sbom audit clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

# The stamp of each environment changes with what it is made from.
$(VENV)/.online: pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) $(BIN)/python -c $(CONSTRAINTS) -e '.[cpu,stack,view]'
	touch $@

$(VENV)/.all: $(VENV)/.online | $(VENV)/.kernels
	$(INSTALL) $(BIN)/python -c $(CONSTRAINTS) -e '.[cpu,train,dev]'
	touch $@

# What workers compute with is compiled once, here, rather than by each process that comes first.
KERNELS := segmentation/kernel_cache.py $(shell grep -rl --include='*.py' 'kernel_cache import' segmentation tracking)
$(VENV)/.kernels: $(KERNELS) $(VENV)/.online
	@echo "compiling what workers compute with, for this processor: half a minute, once"
	@$(BIN)/python -m workers.compile_kernels artifacts/street/1 && touch $@ || echo "NOT COMPILED AHEAD, see above: the first worker will do it" >&2

setup-online: $(VENV)/.kernels  ## Install what runs online (no torch) into .venv

# A scanner of manifests, in an environment of its own since it pins much of what we pin otherwise.
$(VENV)/.policy: requirements/policy.txt $(VENV)/.all
	test -x $(VENV)/policy/bin/python || $(PYTHON) -m venv --without-pip $(VENV)/policy
	$(INSTALL) $(VENV)/policy/bin/python -r requirements/policy.txt
	touch $@

# The builder of the site, likewise.
$(VENV)/.docs: requirements/docs.txt $(VENV)/.online
	test -x $(VENV)/docs/bin/python || $(PYTHON) -m venv --without-pip $(VENV)/docs
	$(INSTALL) $(VENV)/docs/bin/python -r requirements/docs.txt
	touch $@

# What writes bills of materials and asks for known vulnerabilities, likewise.
$(VENV)/.supply: requirements/supply.txt $(VENV)/.online
	test -x $(VENV)/supply/bin/python || $(PYTHON) -m venv --without-pip $(VENV)/supply
	$(INSTALL) $(VENV)/supply/bin/python -r requirements/supply.txt
	touch $@

# ONNX Runtime with OpenVINO is the same module as without: in a folder that only its test looks into.
$(VENV)/.openvino: requirements/openvino.txt $(VENV)/.online
	rm -rf $(VENV)/openvino
	$(INSTALL) $(BIN)/python --no-deps --target $(VENV)/openvino -r requirements/openvino.txt
	touch $@

# The evaluator of tracks wants another build of OpenCV than ours: alone, in a folder that only its process looks into.
$(VENV)/.trackeval: requirements/trackeval.txt $(VENV)/.online
	rm -rf $(VENV)/trackeval
	$(INSTALL) $(BIN)/python --no-deps --target $(VENV)/trackeval -r requirements/trackeval.txt
	touch $@

# The checker of the live page's modules; without npm they go unchecked, which is said.
$(VENV)/.node: package.json $(VENV)/.online
	@if command -v npm >/dev/null; then \
	  mkdir -p $(VENV)/node && cp package.json $(VENV)/node/ && \
	  npm install --prefix $(VENV)/node --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel error && \
	  touch $@; \
	else echo "no npm here: the live page's modules will not be checked" >&2; fi

setup: $(VENV)/.all $(VENV)/.kernels $(VENV)/.node $(VENV)/.policy $(VENV)/.docs $(VENV)/.supply $(VENV)/.openvino $(VENV)/.trackeval  ## Install everything, with torch and the tools, into .venv

setup-system:  ## Install Debian's parts of the tests (Java, Maven, RTSP server); needs root
	bash .ci/system-packages

demo: setup-online  ## Run the whole path on real video for 60 s: Kafka, Redis, producer, worker
	$(BIN)/seedstream demo $(DEMO)

test: setup  ## Run the whole test suite (TESTS="tests/unit": a part); as root, first install what it needs of Debian
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then bash .ci/system-packages; fi
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --ignore=tests/cluster --ignore=tests/fleet $(TESTS) $(PYTEST)

# Servers and workers in network namespaces of their own, a small disk, a false clock: as root it does all of it.
chaos: setup  ## Run the whole fault suite, half an hour, into benchmarks/results/chaos.md (CHAOS=SEED)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then bash .ci/system-packages chaos; fi
	SEEDSTREAM_CHAOS=$(CHAOS) $(BIN)/python -m pytest tests/chaos $(PYTEST)

test-unit: setup  ## Run the unit tests (seconds)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/unit $(PYTEST)

manifests: setup  ## Check manifests, rules and dashboards: schemas, policy, drift (no cluster needed)
	$(BIN)/python -m pytest tests/deploy

monitoring: setup  ## Write the dashboard and the Prometheus operator's rules anew
	$(BIN)/python deploy/monitoring/prometheusrule.py
	$(BIN)/python deploy/monitoring/dashboard.py

chart: setup  ## Write the manifests' part of the Helm chart anew (needs kubectl)
	$(BIN)/python -m deploy.helm_chart

# No root, no images: the control plane that the cluster's tests build, with fake nodes. Prints a table.
fleet-test: setup  ## Try releases, drains and lost nodes of 40 producers and 160 workers (2 minutes; Go builds Kubernetes once)
	@if command -v go >/dev/null; then bash tests/cluster/build.sh; fi
	$(BIN)/python -m pytest tests/fleet $(PYTEST)

# Says when it was proved, and runs nothing, while all that the tests read is as it was then.
cluster-test: setup  ## Try the manifests on a real Kubernetes on this machine (root; CLUSTER_FORCE=1: even if proved)
	@$(BIN)/python -m tests.cluster.proof && exit; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then bash .ci/system-packages || exit; fi; \
	$(BIN)/python -m pytest tests/cluster $(PYTEST)

cluster-up: setup  ## Start that Kubernetes with KEDA and our images, and leave it running
	for step in packages build up images keda; do bash tests/cluster/$$step.sh || exit 1; done

cluster-down:  ## Stop it and remove what it left
	bash tests/cluster/down.sh

check: setup  ## Lint, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if [ -x $(VENV)/node/node_modules/.bin/tsc ]; then \
	  $(VENV)/node/node_modules/.bin/tsc -p viewer/web/tsconfig.json && node --test tests/page/*.test.js; \
	else echo "THE LIVE PAGE'S MODULES WERE NOT CHECKED: no npm here (nodejs 20 or newer has it)" >&2; fi

format: setup  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## Run the benchmarks as one table, half an hour (BENCH=--quick: to see that they run)
	$(BIN)/python -m benchmarks.bench_all $(BENCH)

nuclei-weights: setup  ## Train, measure and release the model `nuclei` from $(SHARED)/data (2 cores: about an hour)
	$(BIN)/seedstream train nuclei --data $(SHARED)/data/nuclei --out runs/nuclei
	$(BIN)/seedstream release runs/nuclei --store runs/artifacts --data $(SHARED)/data/nuclei \
	  --pictures $(SHARED)/data/nuclei

STREET := runs/street-data
LABEL := $(BIN)/seedstream label-from-motion
street-data: setup  ## Label the street clips of $(SHARED)/data by motion, into runs/street-data
	rm -rf $(STREET) && mkdir -p $(STREET)
	$(LABEL) $(SHARED)/data/video/opencv_vtest_576p_80s.avi \
	  --options model/recipes/street/vtest.toml --out $(STREET)/vtest
	$(LABEL) $(SHARED)/data/video/opencv4nodejs_traffic_360p_20s.mp4 \
	  --options model/recipes/street/traffic.toml --out $(STREET)/traffic
	$(LABEL) $(SHARED)/data/video/intel_car-detection_432p_30s.mp4 \
	  --options model/recipes/street/car-park.toml --out $(STREET)/car-park
	ln -s $(abspath $(SHARED)/data/coco128-seg) $(STREET)/coco128-seg

demo-weights: street-data  ## Train, measure and export the demo weights (2 cores: about an hour)
	$(BIN)/seedstream train street --data $(STREET) --out runs/street
	$(BIN)/seedstream export runs/street --name street --version 1 \
	  --out runs/artifacts --pictures assets/vtest_clip.mp4 --overwrite
	$(BIN)/seedstream evaluate --model runs/artifacts/street/1 --first 301 --last 400 \
	  --video $(SHARED)/data/video/opencv_vtest_576p_80s.avi \
	  --boxes $(SHARED)/data/pets/vtest_frames_1-400_boxes.csv --out runs/street/accuracy.json
	$(BIN)/seedstream export runs/street --name street --version 1 \
	  --out runs/artifacts --pictures assets/vtest_clip.mp4 --accuracy runs/street/accuracy.json --overwrite
	$(BIN)/seedstream quantize runs/artifacts/street/1 \
	  --pictures $(SHARED)/data/video/opencv_vtest_576p_80s.avi \
	  --pictures $(SHARED)/data/video/intel_car-detection_432p_30s.mp4 \
	  --pictures $(SHARED)/data/video/opencv4nodejs_traffic_360p_20s.mp4 \
	  --video $(SHARED)/data/video/opencv_vtest_576p_80s.avi --first 301 --last 400 \
	  --boxes $(SHARED)/data/pets/vtest_frames_1-400_boxes.csv

constraints: setup  ## Pin the versions that are installed now
	( echo "# Versions that the tests pass with (pip -c); written by \`make constraints\`."; \
	  $(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools --exclude uv \
	  | grep -E '^[A-Za-z0-9._-]+==' | LC_ALL=C sort -f ) > $(CONSTRAINTS)

docs: setup  ## Write anew what the pages repeat of the code: settings, metrics, help, keys, formats
	$(BIN)/python -m docs.write_reference

site: $(VENV)/.docs  ## Build the pages as a site: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --strict --quiet
	@echo "built $(CURDIR)/build/site/index.html"

IMAGES ?= producer viewer worker
sbom: setup  ## Write the bill of materials of each image to build/sbom (root; IMAGES="producer viewer worker worker-gpu trainer": all)
	bash tests/cluster/images.sh --sbom $(IMAGES)

audit: $(VENV)/.supply  ## Ask for known vulnerabilities of what is pinned; fails where nobody can be asked
	$(VENV)/supply/bin/python requirements/audit.py

clean:  ## Remove the environment and caches
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache demo-out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
