# TARGET demo         puts a desktop on the screen, in a browser; ONESHOT=1 stops by itself, URI=qemu:///system uses this machine's libvirt, GPU=1 a host with graphics cards
demo: $(PACKAGES)
	@$(if $(filter 0,$(shell id -u)),,sudo) env PYTHONDONTWRITEBYTECODE=1 B=$B ONESHOT=$(ONESHOT) URI=$(URI) GPU=$(GPU) examples/demo/demo

# TARGET demo-test    the same on a machine's own libvirtd, ended in every way: what is left of it; needs root
.PHONY: demo-test
demo-test: all web
	@MODE=$(MODE) tests/run demo-test examples/demo/selftest
