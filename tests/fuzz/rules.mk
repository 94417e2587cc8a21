# tests/fuzz/fuzz_NAME.c is one libFuzzer target each, its inputs in tests/fuzz/corpus/NAME/. `make fuzz` looks for new ones;
# `make check` replays the corpus with the ordinary compiler, so an input once found stays a test.
FUZZ_SRC    := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_REPLAY := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$B/tests/fuzz/replay_%)
FUZZERS     := $(FUZZ_SRC:tests/fuzz/%.c=build/fuzz/tests/fuzz/%)
SECONDS     ?= 60

$(FUZZ_REPLAY): $B/tests/fuzz/replay_%: $B/tests/fuzz/fuzz_%.o $B/tests/fuzz/replay.o $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS)
$B/tests/fuzz/replay_client build/fuzz/tests/fuzz/fuzz_client: $(CLIENT_SRC:%.c=$B/%.o)
ifeq ($(MODE),fuzz)
$(FUZZERS): build/fuzz/tests/fuzz/%: build/fuzz/tests/fuzz/%.o $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS)
fuzzers: $(FUZZERS)
endif
.PHONY: fuzzers
fuzz:
	@$(MAKE) --no-print-directory MODE=fuzz fuzzers
	@tests/fuzz/run $(SECONDS) $(FUZZERS)

CHECK_DEPS  += $(FUZZ_REPLAY)
CHECK_STEPS += $(FUZZ_REPLAY)
-include $(FUZZ_SRC:%.c=$B/%.d) $B/tests/fuzz/replay.d

# TARGET fuzz         look for new inputs that break a parser, SECONDS=60 each; what breaks stays in build/fuzz/broken/
