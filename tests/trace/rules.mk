# Recorded demand through the product's own placement engine.
TRACE_SRC := tests/trace/trace.c
TRACE     := $B/tests/trace/trace
$(TRACE): $(TRACE_SRC:%.c=$B/%.o) $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(TRACE_SRC:%.c=$B/%.o) $(LIB) $(PKG_LIBS)
trace: $(TRACE)
	@$(TRACE) $(NODES) $(PODS) $(if $(filter command line environment,$(origin SEEDS)),$(SEEDS),10) $(OUT)
.PHONY: trace
-include $(TRACE_SRC:%.c=$B/%.d)

# TARGET trace        NODES=FILE PODS=FILE SEEDS=10 [OUT=FILE]: share of GPUs allocated and placements per CPU-second on such lists
