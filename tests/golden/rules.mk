# What the corpus says of libvirt's schema. The corpus itself is read by tests/unit/test_template_domain.c.
CHECK_STEPS += tests/golden/coverage.py
