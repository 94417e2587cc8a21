# Programs of the volume room that need more than this machine's own files; the lab runs them.
VOLUME_CONTRACT := $B/tests/volume/contract_libvirt
$(VOLUME_CONTRACT): $B/tests/volume/contract_libvirt.o $(UNIT_HELP:%.c=$B/%.o) $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS) -lcmocka
-include $B/tests/volume/contract_libvirt.d
lab lab-full: $(VOLUME_CONTRACT)
