#include "core/reftext.h"

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct {
  gint refs; /* atomic; gets to 0 and away from 1 by interning only under the lock */
  char text[];
} RefText;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *texts; /* set of RefText.text; under lock */

static RefText *head_of(char *interned)
{
  return (RefText *)(interned - offsetof(RefText, text));
}

static char *text_add(const char *text)
{
  size_t size = strlen(text) + 1;
  RefText *fresh = g_malloc(sizeof *fresh + size);
  fresh->refs = 1;
  memcpy(fresh->text, text, size);
  g_hash_table_add(texts, fresh->text);
  return fresh->text;
}

char *reftext_intern(const char *text)
{
  pthread_mutex_lock(&lock);
  if (!texts)
    texts = g_hash_table_new(g_str_hash, g_str_equal);
  char *found = g_hash_table_lookup(texts, text);
  found = found ? reftext_share(found) : text_add(text);
  pthread_mutex_unlock(&lock);
  return found;
}

char *reftext_share(char *interned)
{
  g_atomic_int_inc(&head_of(interned)->refs);
  return interned;
}

static void drop_last(RefText *text)
{
  pthread_mutex_lock(&lock);
  bool ended = g_atomic_int_dec_and_test(&text->refs);
  if (ended)
    g_hash_table_remove(texts, text->text);
  pthread_mutex_unlock(&lock);
  if (ended)
    g_free(text);
}

void reftext_drop(char *interned)
{
  RefText *text = head_of(interned);
  for (gint refs = g_atomic_int_get(&text->refs); refs > 1; refs = g_atomic_int_get(&text->refs))
    if (g_atomic_int_compare_and_exchange(&text->refs, refs, refs - 1))
      return;
  drop_last(text);
}
