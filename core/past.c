/* What is over is kept for some time, and then goes: a little with a batch that is written anyway, and where nothing happens, some each hour. Nobody
 * decides by history: no live object says more than the name of what is in it. */
#include "core/brain_parts.h"

/* A minute's share is many times what the largest site writes in a minute, and some milliseconds of the store's time. */
enum { PRUNE_EVERY_S = 60, PRUNE_IDLE_S = 3600, PRUNE_ROWS = 2000 };

static bool keeps_for_ever(const Brain *b)
{
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    if (b->options.keep_us[noun])
      return false;
  return true;
}

void past_prune(Brain *b)
{
  int64_t since_us = b->now_us - b->pruned_us, pause_us = (state_changed(b->state) ? PRUNE_EVERY_S : PRUNE_IDLE_S) * SECOND_US;
  if (since_us < pause_us)
    return;
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    if (b->options.keep_us[noun])
      state_prune(b->state, &(Prune){ noun, b->now_us - b->options.keep_us[noun], PRUNE_ROWS });
  b->pruned_us = b->now_us;
}

int64_t past_wake_us(Brain *b)
{
  return keeps_for_ever(b) ? INT64_MAX : b->pruned_us + PRUNE_IDLE_S * SECOND_US;
}
