/* What a GPU class accepts: types by name, or any type with so much framebuffer. */
#include "core/accepts.h"

#include <string.h>

#include "core/ledger.h"
#include "core/text.h"

int64_t accepts_mib(const char *entry)
{
  int64_t mib = 0;
  return g_str_has_prefix(entry, ACCEPTS_MIB) && number_parse(entry + strlen(ACCEPTS_MIB), 1, ACCEPTS_MIB_MOST, &mib) ? mib : 0;
}

bool accepts_type(const char *const *accepts, const char *type, int64_t framebuffer_mib)
{
  for (; accepts && *accepts; accepts++) {
    int64_t mib = accepts_mib(*accepts);
    if (mib ? framebuffer_mib >= mib : !strcmp(*accepts, type))
      return true;
  }
  return false;
}

typedef struct {
  const char *type;
  int64_t mib;
} Sized;

/* The smallest first; those of one size in an order that no card's place in a list changes. */
static int compare_sized(const void *a, const void *b)
{
  const Sized *x = a, *y = b;
  if (x->mib != y->mib)
    return x->mib < y->mib ? -1 : 1;
  return strcmp(x->type, y->type);
}

static bool is_listed(const GPtrArray *types, const char *type)
{
  for (guint i = 0; i < types->len; i++)
    if (!strcmp(types->pdata[i], type))
      return true;
  return false;
}

static void sized_add(GPtrArray *types, const GPtrArray *shapes, int64_t mib)
{
  g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(Sized));
  for (guint i = 0; i < shapes->len; i++) {
    const CardShape *s = shapes->pdata[i];
    for (int p = 0; p < s->n; p++) {
      Sized one = { s->profiles[p].name, s->profiles[p].framebuffer_mib };
      if (one.mib >= mib)
        g_array_append_val(found, one);
    }
  }
  g_array_sort(found, compare_sized);
  for (guint i = 0; i < found->len; i++) {
    const char *type = g_array_index(found, Sized, i).type;
    if (!is_listed(types, type))
      g_ptr_array_add(types, (char *)type);
  }
}

GPtrArray *accepts_types(Brain *b, const char *const *accepts)
{
  GPtrArray *types = g_ptr_array_new();
  for (const char *const *entry = accepts; entry && *entry; entry++) {
    int64_t mib = accepts_mib(*entry);
    guint before = types->len;
    if (mib)
      sized_add(types, ledger_shapes(b), mib);
    if ((!mib || (types->len == before && !before && !entry[1])) && !is_listed(types, *entry))
      g_ptr_array_add(types, (char *)*entry); /* where no card has as much, the entry stands for itself: a refusal names it */
  }
  return types;
}
