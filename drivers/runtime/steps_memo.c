#include "drivers/runtime/steps_parts.h"

enum { MEMO_MOST = 4096 };

struct StepMemo {
  GMutex lock;
  GHashTable *keys;  /* under lock */
};

StepMemo *step_memo_new(void)
{
  StepMemo *memo = g_new0(StepMemo, 1);
  g_mutex_init(&memo->lock);
  memo->keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  return memo;
}

void step_memo_free(StepMemo *memo)
{
  if (!memo)
    return;
  g_hash_table_unref(memo->keys);
  g_mutex_clear(&memo->lock);
  g_free(memo);
}

bool step_memo_has(StepMemo *memo, const char *key)
{
  if (!memo)
    return false;
  g_mutex_lock(&memo->lock);
  bool has = g_hash_table_contains(memo->keys, key);
  g_mutex_unlock(&memo->lock);
  return has;
}

void step_memo_add(StepMemo *memo, const char *key)
{
  if (!memo)
    return;
  g_mutex_lock(&memo->lock);
  if (g_hash_table_size(memo->keys) >= MEMO_MOST)
    g_hash_table_remove_all(memo->keys); /* old pools and versions: hosts look once more */
  g_hash_table_add(memo->keys, g_strdup(key));
  g_mutex_unlock(&memo->lock);
}
