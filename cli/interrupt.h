/* Ctrl-C, SIGTERM: what waits or watches ends in good order, and what was begun goes on. */
#pragma once

#include <signal.h>

/* Set once the person wants to go; signals are taken from the first call on. */
volatile sig_atomic_t *interrupt_flag(void);
