# Contract suites on real hosts. `make check` runs the same suites over the fakes; stories of the lab run these programs.
CONTRACT_SRC := $(sort $(wildcard tests/contract/contract_*.c))
CONTRACT     := $(CONTRACT_SRC:%.c=$B/%)

$(CONTRACT): $B/%: $B/%.o $(UNIT_HELP:%.c=$B/%.o) $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS) -lcmocka
lab lab-full: $(CONTRACT)
-include $(CONTRACT_SRC:%.c=$B/%.d)
