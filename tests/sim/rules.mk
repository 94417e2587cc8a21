# The simulator: the real core under virtual time, one seed for every chance.
SIM_SRC := $(sort $(wildcard tests/sim/*.c))
SIM     := $B/tests/sim/sim
SEEDS   ?= 1000
SEED0   ?= 1
$(SIM): $(SIM_SRC:%.c=$B/%.o) $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(SIM_SRC:%.c=$B/%.o) $(LIB) $(PKG_LIBS)
sim: $(SIM)
	@$(SIM) $(SEEDS) $(SEED0) $(if $(STORY),1,0)

# desktops with parts of graphics cards in every pool; the operations on cards stand in the sum
sim-gpu: $(SIM)
	@SIM_GPU=$(if $(STORM),storm,1) $(SIM) $(SEEDS) $(SEED0) $(if $(STORY),1,0)

# each planted defect: the one file of core it changes, built again and put before the library
sim-planted: $(SIM)
	@CC="$(CC)" FLAGS="$(ALL_CFLAGS)" LINK="$(ALL_LDFLAGS)" OBJECTS="$(SIM_SRC:%.c=$B/%.o)" LIBS="$(LIB) $(PKG_LIBS)" tests/sim/run-planted

CHECK_DEPS  += $(SIM)
CHECK_STEPS += $(SIM)
-include $(SIM_SRC:%.c=$B/%.d)

# TARGET sim-planted  each defect of tests/sim/planted/ in a copy of core: the simulator must find it within SEEDS_PLANTED=400 seeds
# TARGET sim-gpu      the same with graphics cards everywhere; STORM=1: everything that befalls claims, many times as often
# TARGET sim          seeds of the simulator: SEEDS=1000 SEED0=1, STORY=1 tells all of it
