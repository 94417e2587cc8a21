#include "drivers/http/taken.h"

struct Taken {
  GHashTable *sums;      /* a host's name → TakenSum */
  GPtrArray *desktops;   /* which hold those names */
  GPtrArray *templates;  /* those whose desktops are in huge pages */
};

static bool is_huge(const Object *object, void *unused)
{
  return ((const TemplateVersion *)object)->huge_pages;
}

static bool in_huge_pages(const Taken *taken, const Desktop *d)
{
  for (guint i = 0; i < taken->templates->len; i++)
    if (!g_strcmp0(((const Object *)taken->templates->pdata[i])->name, d->template))
      return true;
  return false;
}

static bool is_of(const Object *object, void *host)
{
  return !g_strcmp0(((const Desktop *)object)->host, host);
}

static void add(Taken *taken, const Desktop *d)
{
  TakenSum *sum = g_hash_table_lookup(taken->sums, d->host);
  if (!sum)
    g_hash_table_insert(taken->sums, d->host, sum = g_new0(TakenSum, 1));
  sum->desktops++;
  sum->vcpus += d->vcpus;
  *(in_huge_pages(taken, d) ? &sum->huge_mib : &sum->memory_mib) += d->memory_mib;
}

Taken *taken_new(Published *published, const char *host)
{
  Taken *taken = g_new0(Taken, 1);
  taken->sums = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
  taken->templates = published_list(published, NOUN_TEMPLATE, NULL, 0, is_huge, NULL);
  taken->desktops = published_list(published, NOUN_DESKTOP, NULL, 0, host ? is_of : NULL, (void *)host);
  for (guint i = 0; i < taken->desktops->len; i++) {
    const Desktop *d = taken->desktops->pdata[i];
    if (d->host)
      add(taken, d);
  }
  return taken;
}

void taken_free(Taken *taken)
{
  g_hash_table_unref(taken->sums);
  g_ptr_array_unref(taken->desktops);
  g_ptr_array_unref(taken->templates);
  g_free(taken);
}

TakenSum taken_of(const Taken *taken, const char *host)
{
  const TakenSum *sum = g_hash_table_lookup(taken->sums, host);
  return sum ? *sum : (TakenSum){ 0 };
}

void taken_append(const Taken *taken, const Host *host, GString *out)
{
  TakenSum sum = taken_of(taken, host->head.name);
  g_string_truncate(out, out->len - 1); /* its brace */
  g_string_append_printf(out, ",\"desktops\":%" G_GINT64_FORMAT ",\"vcpus_used\":%" G_GINT64_FORMAT ",\"vcpus_total\":%" G_GINT64_FORMAT,
                         sum.desktops, sum.vcpus, host_offer_vcpus(host));
  g_string_append_printf(out, ",\"memory_used_mib\":%" G_GINT64_FORMAT ",\"memory_total_mib\":%" G_GINT64_FORMAT, sum.memory_mib,
                         host_offer_mib(host));
  g_string_append_printf(out, ",\"huge_used_mib\":%" G_GINT64_FORMAT ",\"huge_free_mib\":%" G_GINT64_FORMAT "}", sum.huge_mib,
                         MAX(0, host->huge_mib - sum.huge_mib));
}
