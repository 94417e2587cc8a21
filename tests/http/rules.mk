# tests/http/test_NAME.c is one cmocka program each: the server as it ships, on real sockets, with a runtime of the tests' own.
HTTP_TESTS   := $(sort $(wildcard tests/http/test_*.c))
HTTP_HELP    := $(filter-out $(HTTP_TESTS),$(sort $(wildcard tests/http/*.c)))
HTTP_PROGRAMS := $(HTTP_TESTS:%.c=$B/%)

$(HTTP_PROGRAMS): $B/tests/http/test_%: $B/tests/http/test_%.o $(HTTP_HELP:%.c=$B/%.o) $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS) -lcmocka

CHECK_DEPS  += $(HTTP_PROGRAMS)
CHECK_STEPS += $(HTTP_PROGRAMS)
-include $(HTTP_TESTS:%.c=$B/%.d) $(HTTP_HELP:%.c=$B/%.d)
