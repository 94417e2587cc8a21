#include "cli/interrupt.h"

#include <stddef.h>

static volatile sig_atomic_t flag;

static void on_signal(int number)
{
  flag = 1;
}

volatile sig_atomic_t *interrupt_flag(void)
{
  /* no SA_RESTART: a read that waits ends; a second one ends the process */
  struct sigaction act = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
  sigaction(SIGINT, &act, NULL);
  sigaction(SIGTERM, &act, NULL);
  return &flag;
}
