/* Words as small numbers. */
#include "core/placement/intern.h"

void words_init(Words *words)
{
  words->ids = g_hash_table_new(g_str_hash, g_str_equal);
  words->words = g_ptr_array_new_with_free_func(g_free);
}

void words_done(Words *words)
{
  g_clear_pointer(&words->ids, g_hash_table_unref);
  g_clear_pointer(&words->words, g_ptr_array_unref);
}

uint32_t words_id(Words *words, const char *word)
{
  uint32_t known = GPOINTER_TO_UINT(g_hash_table_lookup(words->ids, word));
  if (known)
    return known - 1;
  char *copy = g_strdup(word);
  g_ptr_array_add(words->words, copy);
  g_hash_table_insert(words->ids, copy, GUINT_TO_POINTER(words->words->len));
  return words->words->len - 1;
}

const char *words_text(const Words *words, uint32_t id)
{
  return words->words->pdata[id];
}

static int compare_ids(const void *a, const void *b)
{
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

IdSet id_set_new(Words *words, const char *const *list)
{
  int n = list ? (int)g_strv_length((char **)list) : 0;
  IdSet set = { n ? g_new(uint32_t, n) : NULL, 0 };
  for (int i = 0; i < n; i++)
    set.ids[i] = words_id(words, list[i]);
  if (n)
    qsort(set.ids, n, sizeof *set.ids, compare_ids);
  for (int i = 0; i < n; i++)
    if (!set.n || set.ids[set.n - 1] != set.ids[i])
      set.ids[set.n++] = set.ids[i];
  return set;
}

void id_set_done(IdSet *set)
{
  g_clear_pointer(&set->ids, g_free);
  set->n = 0;
}

bool id_set_has(const IdSet *set, uint32_t id)
{
  return set->n && bsearch(&id, set->ids, set->n, sizeof id, compare_ids);
}

bool id_set_lacks(const IdSet *set, const IdSet *wanted, uint32_t *ret_id)
{
  for (int i = 0; i < wanted->n; i++)
    if (!id_set_has(set, wanted->ids[i])) {
      *ret_id = wanted->ids[i];
      return true;
    }
  return false;
}

uint64_t hash_text(const char *text)
{
  uint64_t h = 0x5a7a9a55u;
  for (; *text; text++)
    h = hash_mix(h, (unsigned char)*text);
  return h;
}
