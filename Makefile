# For a machine without ROS 2; on one with it, use rosdep and colcon. `make help` lists it all.

PYTHON ?= python3
python := $(CURDIR)/.venv/bin/python3
# Ubuntu 24.04 has Python 3.12, so its versions are tried with that, where there is one.
NOBLE_PYTHON ?= $(firstword $(foreach one,python3.12 $(shell pyenv prefix 3.12 2>&-)/bin/python3, \
  $(shell $(one) -c 'import sys; sys.version_info[:2] == (3, 12) and print("$(one)")' 2>&-)) \
  $(PYTHON))
noble := $(CURDIR)/.venv-noble/bin/python3
# Most of the tests' time is waiting for processes that they start.
JOBS ?= 2

# A sourced ROS environment must not reach into .venv, which carries its own.
ifdef AMENT_PREFIX_PATH
unexport LD_LIBRARY_PATH
endif
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
unexport ROS_DISTRO _ROS_WHEELS_BOOTSTRAP_COMPLETE
export RMW_IMPLEMENTATION := rmw_fastrtps_cpp

# Topics stay on this machine, and those of two users of it stay apart.
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
ROS_DOMAIN_ID ?= $(shell expr 1 + $$$$ % 100)
export ROS_DOMAIN_ID := $(ROS_DOMAIN_ID)

# What may be said on make's command line. A name that is nearly one of them is a slip; any other
# goes to the programs' environment, as make has it, but not without a word.
variables := ARGS CAMERA CONSOLE DRIFT HEADLESS HOURS JOBS NOBLE_PYTHON PYTHON RECORD SECONDS \
  ROS_DOMAIN_ID ROS_AUTOMATIC_DISCOVERY_RANGE RMW_IMPLEMENTATION
given := $(foreach name,$(.VARIABLES),$(if $(filter command line,$(origin $(name))),$(name)))
ifneq ($(filter-out $(variables),$(given)),)
told := $(shell $(PYTHON) -I -S tools/nearest.py '$(filter-out $(variables),$(given))' $(variables))
$(if $(filter 1,$(.SHELLSTATUS)),$(error $(told)),$(info $(told)))
endif

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-noble lint docs bench bench-drift bench-replay \
  bench-start bench-teach soak pins clean

help:
	@echo 'make demo      start camera, recognizer and a live table; Ctrl-C ends it'
	@echo '                 CAMERA=SOURCE  a folder of images, a video, /dev/videoN, a bag, bench or line'
	@echo '                 SECONDS=N      end after N seconds'
	@echo '                 HEADLESS=1     no live table, only the summary'
	@echo "                 DRIFT=N        dim the drawn bench's light after N seconds, for an alarm"
	@echo '                 RECORD=DIR     record it as a bag, for replay'
	@echo "                 CONSOLE=PORT   port of the operator's page; 0: none"
	@echo '                 ARGS="..."     any other options of the demo'
	@echo 'make test      ruff, mypy and all tests; ARGS="-k monitor" goes to pytest'
	@echo '                 JOBS=N         files of tests at a time: 2 by default; 0: in one process'
	@echo 'make test-noble  all tests with the versions that Ubuntu 24.04 has'
	@echo 'make lint      ruff and mypy only'
	@echo 'make docs      build the pages of docs/ as docs/site, and check their links'
	@echo 'make bench     measure each stage, and end to end beside a floor and peers, 5 minutes'
	@echo '                 ARGS="--json FILE"     keep the figures'
	@echo '                 ARGS="--compare FILE"  say what became slower since they were kept'
	@echo 'make bench-drift  measure the drift test beside those of river and frouros, 10 minutes'
	@echo 'make bench-replay  measure a replay beside decoding and the network alone'
	@echo 'make bench-start  measure a start on a large journal, and a confirmation'
	@echo 'make bench-teach  measure a training at the page Teach, and the live latency meanwhile'
	@echo 'make soak      run everything for long, and see whether anything grows'
	@echo '                 HOURS=N        1 by default; 0.1 is six minutes; or SECONDS=N'
	@echo '                 ARGS="--json FILE"  write the figures there, too'
	@echo 'make venv      only make .venv, which all of the above do by themselves'
	@echo 'make pins      choose the versions of the wheels anew, for this Python'
	@echo 'make clean     remove .venv, .venv-noble and the caches'
	@echo
	@echo 'PYTHON=python3.12 names the Python that .venv is made with (3.10 to 3.13).'

# Isolated and without site: neither PYTHONPATH nor a .venv left half made can disturb it.
venv:
	@$(PYTHON) -I -S tools/setup_venv.py

demo: venv
	@exec $(python) -m tool_recognizer demo $(if $(SECONDS),--seconds '$(SECONDS)') \
	  $(if $(filter-out 0,$(HEADLESS)),--headless) $(if $(CAMERA),--camera '$(CAMERA)') \
	  $(if $(DRIFT),--drift '$(DRIFT)') $(if $(RECORD),--record '$(RECORD)') \
	  $(if $(CONSOLE),--console '$(CONSOLE)') $(ARGS)

test: lint
	@$(python) -m pytest --numprocesses $(JOBS) --dist loadfile $(ARGS)

test-noble:
	@$(NOBLE_PYTHON) -I -S tools/setup_venv.py noble
	@$(noble) -m pytest $(ARGS)

lint: venv
	@$(python) -m ruff check
	@# The last numpy for Python 3.10 has other type hints than those the code is checked with.
	@if $(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	  $(python) -m mypy; else echo 'mypy is left out: it needs Python 3.11 or newer'; fi

docs:
	@cmp -s requirements/docs.txt .venv/docs/made-of || { \
	  $(PYTHON) -I -m venv --clear .venv/docs && \
	  .venv/docs/bin/python3 -m pip install -qq --disable-pip-version-check --no-deps \
	    -r requirements/docs.txt && cp requirements/docs.txt .venv/docs/made-of; }
	@.venv/docs/bin/python3 -m sphinx -W --keep-going -q docs docs/site
	@.venv/docs/bin/hadolint deploy/Dockerfile
	@echo 'docs/site/index.html is ready'

bench: venv
	@$(python) -m benchmark $(ARGS)

bench-drift: venv
	@# Their old wheels stay apart from the project's; without them, ours is measured alone.
	@cmp -s requirements/bench.txt .venv/bench/made-of || { \
	  $(python) -I -m venv --clear .venv/bench && \
	  .venv/bench/bin/python3 -m pip install -qq --disable-pip-version-check \
	    -r requirements/bench.txt && cp requirements/bench.txt .venv/bench/made-of; }
	@.venv/bench/bin/python3 benchmark/bench_drift.py $(ARGS)

bench-replay: venv
	@$(python) -m benchmark.replay $(ARGS)

bench-start: venv
	@$(python) -m benchmark.start $(ARGS)

bench-teach: venv
	@$(python) -m benchmark.teach $(ARGS)

soak: venv
	@$(python) -m benchmark.soak $(if $(HOURS),--hours '$(HOURS)') \
	  $(if $(SECONDS),--seconds '$(SECONDS)') $(ARGS)

pins:
	@$(PYTHON) tools/pin_requirements.py

clean:
	rm -rf .venv .venv.lock .venv-noble .venv-noble.lock docs/site .mypy_cache .pytest_cache .ruff_cache .hypothesis build install log
