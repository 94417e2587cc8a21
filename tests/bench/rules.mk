# TARGET bench        figures as ratios against a floor or a peer in the same run, into build/bench.json; BENCH=name picks some
BENCH_SRC := $(sort $(wildcard tests/bench/*.c))
BENCHES   := $(BENCH_SRC:%.c=$B/%)
$(BENCHES): $B/tests/bench/%: $B/tests/bench/%.o $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS) -lpthread -lm
bench: all $(BENCHES) $B/tests/sim/sim
	@B=$B tests/bench/run $(BENCH)
# they are no tests, but have to compile
ifeq ($(MODE),release)
CHECK_DEPS += $(BENCHES)
endif
CHECK_STEPS += tests/bench/selftest
-include $(BENCH_SRC:%.c=$B/%.d)
