# tests/cli/test_NAME.c is one cmocka program each, with what the command line is made of.
CLI_TESTS    := $(sort $(wildcard tests/cli/test_*.c))
CLI_PROGRAMS := $(CLI_TESTS:%.c=$B/%)

$(CLI_PROGRAMS): $B/tests/cli/test_%: $B/tests/cli/test_%.o $(CLIENT_SRC:%.c=$B/%.o) $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS) -lcmocka

CHECK_DEPS  += $(CLI_PROGRAMS)
CHECK_STEPS += $(CLI_PROGRAMS)
-include $(CLI_TESTS:%.c=$B/%.d)
