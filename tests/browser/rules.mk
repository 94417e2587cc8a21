# TARGET web          the page with noVNC, as the gateway serves it, in build/web/
# TARGET browser      the page in real Chromium, with real guests behind it; needs root. Pictures in build/browser/
.PHONY: web
build/npm/.stamp: web/fetch web/package-lock.json $(PACKAGES)
	@rm -rf build/npm && web/fetch build/npm
	@touch $@
build/web/.stamp: build/npm/.stamp $(wildcard web/*)
	@rm -rf build/web && mkdir -p build/web/novnc
	@cp web/*.html web/*.js web/*.css web/*.svg build/web/
	@cp -r build/npm/node_modules/@novnc/novnc/core build/npm/node_modules/@novnc/novnc/vendor build/npm/node_modules/@novnc/novnc/LICENSE.txt build/web/novnc/
	@touch $@
web: build/web/.stamp

browser: all web
	@MODE=$(MODE) tests/run browser tests/browser/story_page.py
