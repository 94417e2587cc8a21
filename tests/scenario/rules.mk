# Stories told to the shipped binaries; each prints its own sum.
SCENARIOS   := $(sort $(wildcard tests/scenario/gateway_*.py))
CHECK_DEPS  += $B/sarang-gateway
CHECK_STEPS += $(SCENARIOS)
