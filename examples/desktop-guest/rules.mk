# TARGET demo-image   the graphical Linux guest, out of Debian packages into build/demo-image/; root or sudo
# TARGET demo-image-test   boots it twice and checks what it promises, without KVM
.PHONY: demo-image demo-image-test
demo-image: $(PACKAGES)
	@examples/desktop-guest/build
demo-image-test: demo-image
	@examples/desktop-guest/selftest

CHECK_STEPS += examples/desktop-guest/readertest
