# TARGET lab          stories on real libvirt/QEMU hosts made on this machine; needs root
# TARGET lab-full     the same in full, the GPU host among them: sarangd killed at every step of every task, each in a run of its own
# Each in a lab of its own, some beside each other as they mostly wait: the longest begin first.
LAB_JOBS    ?= 3
LAB_STORIES := $(addprefix tests/lab/,story_kill.py story_power.py story_faults.py story_contract.py story_guest.py \
                 story_session.py story_move.py story_provision.py story_place.py story_behind.py story_ready.py story_enrol.py selftest)
LAB_GPU_STORIES := $(addprefix tests/lab/gpu/,story_brain.py story)
GPU_HOST := build/gpuhost/built

.PHONY: lab-full lab-screen lab-clean
lab: all
	@MODE=$(MODE) tests/run -j $(LAB_JOBS) lab $(LAB_STORIES)
lab-full: all web demo-image $(GPU_HOST) $B/tests/contract/contract_gpu
	@MODE=$(MODE) LAB_FULL=1 tests/run -j $(LAB_JOBS) lab-full $(LAB_GPU_STORIES) tests/lab/gpu/story_kill.py tests/lab/story_screen.py $(LAB_STORIES)

# TARGET lab-screen   a desktop of the demo's image whose picture comes from a VNC server in it, in Chromium: build/screen/; part of lab-full
lab-screen: all web demo-image
	@MODE=$(MODE) tests/run lab-screen tests/lab/story_screen.py

# a lab that is still up holds processes and mounts that only its records in build/ know of
clean: lab-clean
lab-clean:
	@for mark in build/lab*/.sarang-lab; do [ ! -e "$$mark" ] || LAB_DIR=$(CURDIR)/$${mark%/*} tests/lab/down --wipe; done

# TARGET lab-gpu      the GPU host (built once, about 90 s, kept in build/gpuhost) and its stories: real mediated devices under emulation
$(GPU_HOST): $(shell find tests/lab/gpu -type f ! -name 'story*' ! -name '*.py' ! -name tiny.xml)
	@nice -n 5 tests/lab/gpu/build
.PHONY: lab-gpu lab-gpu-built
lab-gpu-built: $(GPU_HOST) $B/tests/contract/contract_gpu $(BINS)
# the host's guest installs its packages on one core while the other compiles
lab-gpu:
	@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j2) lab-gpu-built
	@MODE=$(MODE) tests/run -j 2 lab-gpu $(LAB_GPU_STORIES)

# TARGET lab-xen      the Xen host (built once, about 90 s, kept in build/xenhost) and its stories: a card handed out by a real dom0
XEN_HOST := build/xenhost/built
$(XEN_HOST): $(shell find tests/lab/xen -type f ! -name 'story*' ! -name tiny.xml) tests/lab/guest/micro.S
	@nice -n 5 tests/lab/xen/build
.PHONY: lab-xen
lab-xen: $(XEN_HOST) $B/tests/contract/contract_xen $(BINS)
	@MODE=$(MODE) tests/run lab-xen tests/lab/xen/story tests/lab/xen/story_brain.py
