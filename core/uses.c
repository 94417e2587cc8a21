/* When tokens were used last: heard of at any time, and written for all of them together, once a minute at most. A crash
 * takes such a minute with it. */
#include "core/brain_parts.h"

enum { USES_EVERY_S = 60 };

void brain_token_used(Brain *b, const char *name, int64_t now_us)
{
  b->now_us = now_us;
  const Token *token = GET(b, Token, TOKEN, name);
  if (token && now_us - token->used >= USES_EVERY_S * SECOND_US)
    g_hash_table_insert(b->uses, g_strdup(name), g_memdup2(&now_us, sizeof now_us));
}

static gboolean use_write(void *name, void *used_us, void *brain)
{
  Brain *b = brain;
  if (GET(b, Token, TOKEN, name)) /* else it was revoked meanwhile */
    EDIT(b, Token, TOKEN, name)->used = *(int64_t *)used_us;
  return true;
}

void uses_write(Brain *b)
{
  if (b->now_us < uses_wake_us(b))
    return;
  b->uses_written_us = b->now_us;
  g_hash_table_foreach_remove(b->uses, use_write, b);
}

int64_t uses_wake_us(Brain *b)
{
  return g_hash_table_size(b->uses) ? b->uses_written_us + USES_EVERY_S * SECOND_US : INT64_MAX;
}
