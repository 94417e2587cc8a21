# What `make install` brings beside the programs: manual pages, told by the programs themselves (cli/man/generate), units for systemd, completion for
# shells, and files of all settings.
MAN := $(foreach lang,en ko,$(addprefix $B/man/$(lang)/,sarang.1 sarangd.8 sarang-gateway.8 sarangd.conf.5 sarang-gateway.conf.5))
$(MAN): $B/man/%: cli/man/generate $(BINS)
	@mkdir -p $(@D)
	$(Q)cli/man/generate $B $(@F) $(patsubst %/,%,$(dir $*)) | scdoc > $@

INSTALL_MAN := $(DESTDIR)$(PREFIX)/share/man
.PHONY: man install-beside
man: $(MAN)
install: install-beside
install-beside: all man
	@for page in $(MAN:$B/man/%=%); do lang=ko/; case $$page in en/*) lang=;; esac; \
	   install -D -m 644 $B/man/$$page $(INSTALL_MAN)/$${lang}man$${page##*.}/$${page##*/}; done
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d
	@for unit in sarangd.service sarang-gateway.service; do \
	   sed 's,/usr/local/sbin/,$(PREFIX)/sbin/,' examples/systemd/$$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit; done
	install -m 644 examples/systemd/sarang.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/sarang.conf
	install -d $(DESTDIR)$(PREFIX)/share/doc/sarang/examples
	$B/sarangd --dump-config > $(DESTDIR)$(PREFIX)/share/doc/sarang/examples/sarangd.conf
	$B/sarang-gateway --static $(PREFIX)/share/sarang/web --dump-config > $(DESTDIR)$(PREFIX)/share/doc/sarang/examples/gateway.conf
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	$B/sarang completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sarang
	$B/sarang completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_sarang

# TARGET man          manual pages, English and Korean, into build/release/man/
