# Stories told to the shipped binaries; each prints its own sum.
SCENARIOS   := $(sort $(wildcard tests/scenario/gateway_*.py tests/scenario/cli_*.py tests/scenario/sarangd_*.py))
CHECK_DEPS  += $B/sarang-gateway $B/sarangd $B/sarang
CHECK_STEPS += $(SCENARIOS)
