# Every line is a plain command that also works by hand.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench lint types node clean

# -- what a user types ------------------------------------------------------------------------
demo: .venv/.demo
	$(BIN)/muybridge demo --out out/demo

test: .venv/.dev node lint types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

bench: .venv/.bench
	$(BIN)/python -m bench

# -- parts ------------------------------------------------------------------------------------
lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/mypy

# three.js and the glTF validator, for the export tests; they are skipped where npm is missing
node: tests/node/node_modules/.installed
tests/node/node_modules/.installed: tests/node/package.json
	@if command -v npm >/dev/null; then \
	  (cd tests/node && npm install --silent --no-audit --no-fund) && touch $@ || \
	  echo "npm failed: the three.js and glTF validator tests will be skipped"; \
	else echo "npm is missing: the three.js and glTF validator tests will be skipped"; fi

# -- installation -----------------------------------------------------------------------------
.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/.demo: .venv/bin/pip pyproject.toml constraints.txt
	$(BIN)/pip install -q -c constraints.txt -e ".[onnx,studio]"
	$(BIN)/pip install -q --no-deps pose2sim==0.6.1
	touch $@

.venv/.dev: .venv/bin/pip pyproject.toml constraints.txt
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	$(BIN)/pip install -q --no-deps pose2sim==0.6.1
	touch $@

.venv/.bench: .venv/.dev bench/requirements.txt
	$(BIN)/pip install -q -c constraints.txt -r bench/requirements.txt
	$(BIN)/pip install -q --no-deps aniposelib==0.8.0 fairmotion==0.0.4 human_body_prior==0.8.5.0
	touch $@

clean:
	rm -rf .venv out tests/node/node_modules
