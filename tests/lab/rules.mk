# TARGET lab          stories on real libvirt/QEMU hosts made on this machine; needs root
# TARGET lab-full     every story there is, with sarangd killed at every step of every verb
# Stories that hold; one that does not yet hold is told by lab-full alone, until it does.
LAB_STORIES := tests/lab/selftest tests/lab/story_enrol.py tests/lab/story_guest.py tests/lab/story_provision.py
LAB_ALL     := tests/lab/selftest $(sort $(wildcard tests/lab/story_*.py))

.PHONY: lab-full lab-clean
lab: $(if $(wildcard cli/sarangd.c),all)
	@MODE=$(MODE) tests/run lab $(LAB_STORIES)
lab-full: $(if $(wildcard cli/sarangd.c),all)
	@MODE=$(MODE) LAB_FULL=1 tests/run lab-full $(LAB_ALL)

# a lab that is still up holds processes and mounts that only its records in build/ know of
clean: lab-clean
lab-clean:
	@for mark in build/lab*/.sarang-lab; do [ ! -e "$$mark" ] || LAB_DIR=$(CURDIR)/$${mark%/*} tests/lab/down --wipe; done
