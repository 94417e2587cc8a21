# Sarang: one Makefile, no recursion into rooms. A new file needs no edit here.
#   make            builds the three programs into build/release/
#   make help       lists the targets
MODE   ?= release
B      := build/$(MODE)
PREFIX ?= /usr/local
PROGRAMS := $(patsubst cli/%.c,%,$(wildcard cli/sarangd.c cli/sarang-gateway.c cli/sarang.c))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all deps demo check lab lab-full asan tsan fuzz sim sim-planted bench lint browser install clean help

# ── what the machine must have ──────────────────────────────────────────────
# Building wants least, the demo more, tests all of it; dpkg's status file changes with every package, so looking costs
# one look after a change and nothing else.
GOALS    := $(or $(MAKECMDGOALS),all)
NEED     := $(if $(filter-out all install web clean help demo demo-image,$(GOALS)),tests,$(if $(filter demo%,$(GOALS)),demo,build))
PACKAGES := build/packages-$(NEED).stamp
$(PACKAGES): .ci/packages.txt .ci/install-packages /var/lib/dpkg/status
	@mkdir -p build
	@.ci/install-packages $(NEED)
	@touch $@
deps: $(PACKAGES)

LIBS := glib-2.0 gio-unix-2.0 libvirt libvirt-qemu libxml-2.0 libssh2 sqlite3 jansson libmicrohttpd gnutls libcurl \
        libsodium libcrypt yaml-0.1 smartcols
# written anew only when it differs: what was compiled for one goal is good for another
build/flags.mk: $(PACKAGES) Makefile
	@{ echo "PKG_CFLAGS := $$(pkg-config --cflags $(LIBS))"; echo "PKG_LIBS := $$(pkg-config --libs $(LIBS))"; } > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
ifneq ($(filter-out clean help,$(GOALS)),)
include build/flags.mk
endif

# ── how it is compiled ──────────────────────────────────────────────────────
WARN := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
        -Wold-style-definition -Wformat=2 -Wno-unused-parameter -Wno-missing-field-initializers
# clang, which builds the fuzzers, warns of other things
ifneq ($(and $(CI),$(filter-out fuzz,$(MODE))),)
WARN += -Werror
endif
HARDEN := -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2
FLAGS_release := -O2 -g $(HARDEN)
FLAGS_asan    := -O1 -g -Wno-maybe-uninitialized -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
FLAGS_tsan    := -O1 -g -Wno-maybe-uninitialized -fno-omit-frame-pointer -fsanitize=thread
FLAGS_fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined
LINK_release  := -pie -Wl,-z,relro,-z,now
LINK_asan     := -fsanitize=address,undefined
LINK_tsan     := -fsanitize=thread
LINK_fuzz     := -fsanitize=address,undefined
CC_fuzz       := clang
ifeq ($(origin CC),default)
CC := $(or $(CC_$(MODE)),gcc)
endif
ALL_CFLAGS = -std=gnu17 -MMD -MP -I. $(PKG_CFLAGS) -DGLIB_VERSION_MIN_REQUIRED=GLIB_VERSION_2_74 \
             -DGLIB_VERSION_MAX_ALLOWED=GLIB_VERSION_2_74 -D_GNU_SOURCE $(WARN) $(FLAGS_$(MODE)) $(CFLAGS)
ALL_LDFLAGS = $(LINK_$(MODE)) $(LDFLAGS)

# core and drivers are one library that daemon, gateway, client and tests link: tests run what ships
LIB_SRC  := $(sort $(shell find core drivers -name '*.c' 2>/dev/null)) $(if $(filter tsan,$(MODE)),tests/tsan/glib.c)
LIB      := $B/libsarang.a
CLI_SRC  := $(sort $(wildcard cli/*.c))
MAIN_SRC := cli/sarangd.c cli/sarang-gateway.c cli/sarang.c
# cli/NOUN.c and its helpers belong to the client alone
CLIENT_SRC := $(filter-out $(MAIN_SRC),$(CLI_SRC))
BINS     := $(PROGRAMS:%=$B/%)

$B/%.o: %.c build/flags.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<
$(LIB): $(LIB_SRC:%.c=$B/%.o)
	@rm -f $@
	$(Q)ar rcs $@ $^
$B/sarang: $(CLIENT_SRC:%.c=$B/%.o)
# what one of the daemon's threads makes another frees: jemalloc does that with less waiting than libc. Sanitizers bring their own
MALLOC_release := -ljemalloc
$B/sarangd: MALLOC = $(MALLOC_$(MODE))
$(BINS): $B/%: $B/cli/%.o $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS) $(MALLOC)
ifndef V
Q = @echo "  $(if $(filter %.o,$@),cc,$(if $(filter %.a,$@),ar,ld))  $@";
endif

all: $(BINS)

# ── tests ───────────────────────────────────────────────────────────────────
# tests/unit/test_NAME.c is one cmocka program each; tests/unit/*.c without that prefix are shared by all of them
UNIT_SRC  := $(sort $(wildcard tests/unit/test_*.c))
UNIT_HELP := $(filter-out $(UNIT_SRC),$(sort $(wildcard tests/unit/*.c)))
UNIT      := $(UNIT_SRC:%.c=$B/%)
$(UNIT): $B/tests/unit/test_%: $B/tests/unit/test_%.o $(UNIT_HELP:%.c=$B/%.o) $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS) -lcmocka

-include tests/*/rules.mk

# half of them mostly wait, so two are run beside each other; who needs quiet says TEST_JOBS=1
TEST_JOBS ?= 2
check: all $(UNIT) $(CHECK_DEPS)
	@MODE=$(MODE) B=$B tests/run -j $(TEST_JOBS) check $(UNIT) $(CHECK_STEPS)
asan:
	@$(MAKE) --no-print-directory MODE=asan check
tsan:
	@G_SLICE=always-malloc $(MAKE) --no-print-directory MODE=tsan check
lint: $(PACKAGES)
	@tests/lint/run

# ── the rest ────────────────────────────────────────────────────────────────
install: all web
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/sarang/templates
	install -m 755 $B/sarang $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $B/sarangd $B/sarang-gateway $(DESTDIR)$(PREFIX)/sbin/
	install -m 644 templates/*.xml $(DESTDIR)$(PREFIX)/share/sarang/templates/
	cp -r build/web $(DESTDIR)$(PREFIX)/share/sarang/
clean:
	rm -rf build
help:
	@sed -n 's/^# TARGET //p' Makefile tests/*/rules.mk examples/*/rules.mk 2>/dev/null
-include examples/*/rules.mk
-include $(LIB_SRC:%.c=$B/%.d) $(CLI_SRC:%.c=$B/%.d) $(UNIT_SRC:%.c=$B/%.d) $(UNIT_HELP:%.c=$B/%.d)

# TARGET all          build sarangd, sarang-gateway and sarang into build/release/
# TARGET check        everything that needs no hypervisor host: unit, golden, contract, simulator, scenario, fuzz corpus
# TARGET asan, tsan   the same under AddressSanitizer + UBSan, under ThreadSanitizer
# TARGET lint         shape of the code: lengths, nesting, rooms, warnings
# TARGET install      into DESTDIR, PREFIX (default /usr/local)
# TARGET clean        remove build/
