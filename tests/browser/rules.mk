# TARGET web          the page with noVNC, as the gateway serves it, in build/web/
# TARGET browser      the page in real Chromium
.PHONY: web
build/npm/.stamp: web/package.json web/package-lock.json build/packages.stamp
	@mkdir -p build/npm && cp web/package.json web/package-lock.json build/npm/
	@cd build/npm && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
build/web/.stamp: build/npm/.stamp $(wildcard web/*)
	@rm -rf build/web && mkdir -p build/web/novnc
	@cp web/*.html web/*.js web/*.css web/*.svg build/web/
	@cp -r build/npm/node_modules/@novnc/novnc/core build/npm/node_modules/@novnc/novnc/vendor build/npm/node_modules/@novnc/novnc/LICENSE.txt build/web/novnc/
	@touch $@
web: build/web/.stamp
