# SPDX-License-Identifier: MIT
# A thin front over meson.  `make help` lists the targets; `./run TARGET` installs what TARGET needs first.
BUILD = build
MESON = meson
SETUP =
PREFIX =
DESTDIR =
DURATION = 60
SPIN =

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	$(MESON) setup $(SETUP) $(BUILD)

check: all
	$(MESON) test -C $(BUILD) --no-rebuild --print-errorlogs --no-suite more --no-suite long

more: all
	BUILD=$(BUILD) DURATION=$(DURATION) tools/more

long: all
	$(MESON) test -C $(BUILD) --no-rebuild --print-errorlogs --suite long
	$(BUILD)/tests/stress/steals 1e9
	$(BUILD)/tests/stress/chaos 1800

# What peers have come since the build folder was made?
bench: $(BUILD)/build.ninja
	$(MESON) setup --reconfigure $(BUILD) >/dev/null
	ninja -C $(BUILD)
	BUILD=$(BUILD) SPIN=$(SPIN) bench/run

chaos: all
	$(BUILD)/tests/stress/chaos $(DURATION)

demo: $(BUILD)/build.ninja
	BUILD=$(BUILD) tools/demo

examples: all
	$(MESON) test -C $(BUILD) --no-rebuild --print-errorlogs --suite examples

format:
	find include src cmd examples tests bench -name '*.[ch]' -o -name '*.cpp' 2>/dev/null | xargs clang-format -i

install: all
	$(if $(PREFIX),$(MESON) configure $(BUILD) -Dprefix=$(PREFIX))
	DESTDIR=$(DESTDIR) $(MESON) install -C $(BUILD)

clean:
	rm -rf $(BUILD)

help:
	@echo 'make            build the library, the examples and the tests into $$(BUILD), "build"'
	@echo 'make demo       the main job on real data'
	@echo 'make examples   run the examples against their expected output'
	@echo 'make check      unit and black-box tests, examples, the laws: under a minute'
	@echo 'make more       sanitizers, clang, clang-tidy, models, install test, chaos, steals: under 15 minutes'
	@echo 'make long       torture, by hand'
	@echo 'make chaos      DURATION=60: kill workers at random under load, lose nothing'
	@echo 'make bench      SPIN=1: measure against the peers; table and $$(BUILD)/bench.json'
	@echo 'make install    PREFIX=/usr/local DESTDIR='
	@echo 'make format     clang-format over every C file'
	@echo 'make clean'
	@echo './run TARGET    the same, after installing the Debian packages that TARGET needs'

.PHONY: all check more long bench chaos demo examples format install clean help
