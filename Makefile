# make book   set up, run every notebook of the world edition, build the site
# make test   set up, run the tests, and run the executed notebooks once more
# make lab    open the notebooks in JupyterLab
# make zoo    train the world's networks again
# make bench  measure ratios side by side
# make pair   write the .ipynb beside each notebook's .py
# make check  look the code over with ruff
# make clean  delete runs/

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
RUN := $(BIN)/python -m sightglass
KERNEL := {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}

# two threads that wait for each other on a busy machine are slower than one
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= passive
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: book test lab zoo bench pair check clean

book: $(READY)
	$(RUN) run world
	$(RUN) build world

# the copies are run, so that a test never touches the book
test: $(READY)
	$(RUN) run world
	$(RUN) build world
	rm -rf runs/again && mkdir -p runs/again
	cd runs/world && find . -name '*.ipynb' -not -path './.*' -not -path './_html/*' | tar -cf - -T - | tar -xf - -C ../again
	PYTHONHASHSEED=0 $(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=600 tests runs/again

lab: $(READY)
	$(BIN)/python -m jupyterlab book

zoo: $(READY)
	$(BIN)/python -m sightglass.zoo.train
	$(BIN)/python -m sightglass.explain.milan_train
	$(BIN)/python -m sightglass.trace.activations
	$(BIN)/python -m sightglass.trace.cafe.sae_train
	$(RUN) invert train codec --fuse
	$(RUN) invert train base --codec codec --fuse --ship
	for model in resnet50 convnext_base swinv2_base; do for how in "" --pooled; do \
		$(RUN) invert train --model $$model $$how --fuse --ship || exit 1; done; done
	for tap in block3 block4; do \
		$(RUN) invert train --model resnet50 --tap $$tap --budget 4 --fuse --ship || exit 1; done

bench: $(READY)
	for file in tests/bench/*.py; do $(BIN)/python $$file || exit 1; done

pair: $(READY)
	cd book && ../$(BIN)/jupytext --quiet --update-metadata '$(KERNEL)' --to ipynb --update */*.py

check: $(READY)
	$(BIN)/python -m ruff check .

clean:
	rm -rf runs .pytest_cache .ruff_cache

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Sightglass needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@
