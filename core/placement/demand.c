/* Demands and their classes. */
#include "core/placement/parts.h"

ENUM_DEFINE(GroupRule, group_rule, GROUP_RULES, N_GROUP_RULES)
ENUM_DEFINE(PolicyName, policy_name, POLICIES, N_POLICIES)

enum { VGPUS_MOST = 16, WEIGHT_MOST = 100 };

Policy policy_of(PolicyName name)
{
  static const Policy policies[N_POLICIES] = {
    [POLICY_FRAGMENTS] = { .fragments = 100, .keep_gpu = 100, .image = 10, .prefer = 50 },
    [POLICY_PACK] = { .fragments = 20, .pack = 100, .keep_gpu = 100, .image = 10, .prefer = 50 },
    [POLICY_SPREAD] = { .spread = 100, .keep_gpu = 100, .image = 10, .prefer = 50 },
  };
  return policies[name];
}

/* ── which part of a card ─────────────────────────────────────────────────── */

static bool profile_serves(const Profile *p, const GpuWish *w)
{
  if (w->profile)
    return !strcmp(p->name, w->profile);
  return w->framebuffer_mib ? p->framebuffer_mib >= w->framebuffer_mib : p->share >= w->share;
}

static bool whole_serves(const CardModel *m, const GpuWish *w)
{
  if (w->profile)
    return !strcmp(w->profile, "whole");
  return w->framebuffer_mib ? m->framebuffer_mib >= w->framebuffer_mib : w->share == CARD_WHOLE;
}

/* The smallest part of a card of model m that serves the wish; share 0 where none does. */
static Need need_of(const CardModel *m, const GpuWish *w)
{
  Need best = {};
  if (m->any_share && w->share && !w->profile && !w->framebuffer_mib)
    return (Need){ .share = (uint16_t)w->share };
  for (int i = 0; i < m->n_profiles; i++) {
    const Profile *p = &m->profiles[i];
    if (profile_serves(p, w) && (!best.share || p->share < best.share))
      best = (Need){ (uint16_t)p->share, m->same_type ? (uint16_t)(i + 1) : 0, (uint8_t)p->slots, p->starts };
  }
  if (!best.share && whole_serves(m, w))
    best = (Need){ .share = CARD_WHOLE };
  return best;
}

static void class_needs(DemandClass *c, const GpuWish *w)
{
  c->count = w->count;
  c->apart = w->apart;
  for (int m = 0; w->count && m < c->fleet->n_models; m++) {
    const CardModel *model = &c->fleet->models[m];
    if (w->models && !g_strv_contains(w->models, model->name))
      continue;
    c->need[m] = need_of(model, w);
    if (c->need[m].share)
      c->models |= UINT64_C(1) << m;
    if (c->need[m].share && (!c->need_milli || c->need[m].share * w->count < c->need_milli))
      c->need_milli = c->need[m].share * w->count;
  }
}

/* ── one class for equal demands ──────────────────────────────────────────── */

static bool number_ok(const char *field, int64_t value, int64_t most, GError **err)
{
  if (value >= 0 && value <= most)
    return true;
  g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value), *limit = g_strdup_printf("from 0 to %" G_GINT64_FORMAT, most);
  return error_false(err, REASON_BAD_VALUE, "field", field, "value", text, "limit", limit, NULL);
}

static bool licences_ok(const Demand *d, GError **err)
{
  bool ok = number_ok("licences", d->n_licences, LICENCES_MOST, err);
  for (int i = 0; ok && i < d->n_licences; i++)
    ok = number_ok(d->licences[i].name, d->licences[i].n, INT32_MAX, err);
  return ok;
}

static bool demand_ok(const Demand *d, GError **err)
{
  bool ok = number_ok("vcpus", d->vcpus, INT32_MAX, err) && number_ok("memory_mib", d->memory_mib, INT32_MAX, err) &&
            number_ok("disk_mib", d->disk_mib, INT32_MAX, err) && number_ok("page_kib", d->page_kib, INT32_MAX, err) &&
            number_ok("in_cell", d->in_cell, CELLS_MOST, err) && number_ok("gpu.count", d->gpu.count, VGPUS_MOST, err) &&
            number_ok("gpu.share", d->gpu.share, CARD_WHOLE, err) && licences_ok(d, err);
#define X(field, wire, help) ok = ok && number_ok("weight " wire, d->policy.field, WEIGHT_MOST, err);
  POLICY_WEIGHTS(X)
#undef X
  if (ok && d->gpu.count && !d->gpu.profile && !d->gpu.share && d->gpu.framebuffer_mib <= 0)
    return error_false(err, REASON_BAD_VALUE, "field", "gpu", "value", "", "limit", "a profile, a framebuffer or a share", NULL);
  return ok;
}

static void append_words(GString *text, const char *const *list)
{
  g_string_append(text, list ? "|[" : "|-");
  for (; list && *list; list++)
    g_string_append_printf(text, "\x1f%s", *list);
}

static char *demand_text(const Demand *d)
{
  const GpuWish *g = &d->gpu;
  GString *text = g_string_new(NULL);
  g_string_append_printf(text, "%" G_GINT64_FORMAT "|%" G_GINT64_FORMAT "|%d %" G_GINT64_FORMAT "|%" G_GINT64_FORMAT "|%s|%d%d%d|", d->vcpus,
                         d->memory_mib, d->huge, d->page_kib, d->disk_mib, d->disk_kind ? d->disk_kind : "", d->one_cell, d->near, d->in_cell);
  g_string_append_printf(text, "%d|%s|%" G_GINT64_FORMAT "|%d|%d", g->count, g->profile ? g->profile : "", g->framebuffer_mib, g->share, g->apart);
  const char *const *lists[] = { g->models, d->labels, d->prefers, d->features, d->hosts, d->stores };
  for (guint i = 0; i < G_N_ELEMENTS(lists); i++)
    append_words(text, lists[i]);
  g_string_append_printf(text, "|%d|%s|%s|%d", d->stays, d->image ? d->image : "", d->group ? d->group : "", d->group_rule);
  for (int i = 0; i < d->n_licences; i++)
    g_string_append_printf(text, "|%s=%d", d->licences[i].name, d->licences[i].n);
#define X(field, wire, help) g_string_append_printf(text, "|%d", d->policy.field);
  POLICY_WEIGHTS(X)
#undef X
  return g_string_free(text, FALSE);
}

static uint32_t word_or_0(Fleet *f, const char *word)
{
  return word && *word ? words_id(&f->words, word) + 1 : 0;
}

static int compare_hosts(const void *a, const void *b)
{
  return *(const int32_t *)a - *(const int32_t *)b;
}

static void class_hosts(DemandClass *c, const char *const *names)
{
  c->hosts = g_array_new(FALSE, FALSE, sizeof(int32_t));
  for (; *names; names++) {
    int32_t host = fleet_find_host(c->fleet, *names);
    if (host >= 0)
      g_array_append_val(c->hosts, host);
  }
  g_array_sort(c->hosts, compare_hosts);
}

static void class_numbers(DemandClass *c, const Demand *d)
{
  c->vcpus = (int32_t)d->vcpus;
  c->memory = d->huge ? 0 : (int32_t)d->memory_mib;
  c->huge = d->huge ? (int32_t)d->memory_mib : 0;
  c->page_kib = d->huge ? (int32_t)d->page_kib : 0;
  c->disk = (int32_t)d->disk_mib;
  c->one_cell = d->one_cell || d->near;
  c->near = d->near;
  c->in_cell = d->in_cell;
  c->any_store = d->stores != NULL;
  c->stays = d->stays;
  c->group_rule = d->group ? d->group_rule : GROUP_NONE;
  c->policy = d->policy;
}

static void class_words(DemandClass *c, const Demand *d)
{
  Fleet *f = c->fleet;
  c->disk_kind = d->disk_mib ? word_or_0(f, d->disk_kind) : 0;
  c->image = word_or_0(f, d->image);
  for (int i = 0; i < d->n_licences; i++)
    if (d->licences[i].n) {
      c->licences[c->n_licences].id = words_id(&f->words, d->licences[i].name);
      c->licences[c->n_licences++].n = d->licences[i].n;
    }
  c->group = word_or_0(f, d->group);
  c->labels = id_set_new(&f->words, d->labels);
  c->prefers = id_set_new(&f->words, d->prefers);
  c->features = id_set_new(&f->words, d->features);
  c->stores = id_set_new(&f->words, d->stores);
  if (d->hosts)
    class_hosts(c, d->hosts);
}

static DemandClass *class_new(Fleet *f, char *text)
{
  DemandClass *c = g_new0(DemandClass, 1);
  c->refs = 1;
  c->fleet = f;
  c->text = text;
  c->heap = g_array_new(FALSE, FALSE, sizeof(HeapEntry));
  c->kind_ok = g_array_new(FALSE, TRUE, sizeof(int8_t));
  c->cursor = -1;
  g_hash_table_insert(f->classes, c->text, c);
  g_ptr_array_add(f->class_list, c);
  return c;
}

DemandClass *demand_class(Fleet *f, const Demand *demand, GError **err)
{
  if (!demand_ok(demand, err))
    return NULL;
  g_autofree char *text = demand_text(demand);
  DemandClass *c = g_hash_table_lookup(f->classes, text);
  if (c)
    return demand_class_ref(c);
  c = class_new(f, g_steal_pointer(&text));
  class_numbers(c, demand);
  class_words(c, demand);
  class_needs(c, &demand->gpu);
  return c;
}

/* A fresh class of f that asks for what c asks for; text is eaten. */
static DemandClass *class_like(const DemandClass *c, Fleet *f, char *text)
{
  DemandClass *copy = class_new(f, text);
  DemandClass fresh = *copy;
  *copy = *c;
  copy->text = fresh.text;
  copy->refs = 1;
  copy->fleet = f;
  copy->heap = fresh.heap;
  copy->kind_ok = fresh.kind_ok;
  copy->cursor = -1;
  copy->not_host = 0;
  copy->hosts = c->hosts ? g_array_copy(c->hosts) : NULL;
  IdSet *sets[] = { &copy->labels, &copy->prefers, &copy->features, &copy->stores };
  for (guint i = 0; i < G_N_ELEMENTS(sets); i++)
    sets[i]->ids = g_memdup2(sets[i]->ids, sets[i]->n * sizeof(uint32_t));
  return copy;
}

DemandClass *class_dup(const DemandClass *c, Fleet *f)
{
  DemandClass *known = g_hash_table_lookup(f->classes, c->text);
  return known ? demand_class_ref(known) : class_like(c, f, g_strdup(c->text));
}

DemandClass *class_with_gpu(const DemandClass *c, const char *profile, int share)
{
  char *text = g_strdup_printf("%s|as %s %d", c->text, profile ? profile : "", share);
  DemandClass *known = g_hash_table_lookup(c->fleet->classes, text);
  if (known) {
    g_free(text);
    return demand_class_ref(known);
  }
  DemandClass *copy = class_like(c, c->fleet, text);
  GpuWish wish = { .count = c->count, .profile = profile, .share = share, .apart = c->apart };
  uint64_t models = c->models;
  memset(copy->need, 0, sizeof copy->need);
  copy->models = 0;
  class_needs(copy, &wish);
  copy->models &= models;
  for (int m = 0; m < MODELS_MOST; m++)
    if (!(copy->models & (UINT64_C(1) << m)))
      copy->need[m] = (Need){};
  return copy;
}

DemandClass *demand_class_ref(DemandClass *c)
{
  c->refs++;
  return c;
}

void class_orphan(DemandClass *c)
{
  g_hash_table_remove(c->fleet->classes, c->text);
  g_ptr_array_remove_fast(c->fleet->class_list, c);
  c->fleet = NULL;
}

void demand_class_unref(DemandClass *c)
{
  if (!c || --c->refs)
    return;
  if (c->fleet)
    class_orphan(c);
  g_array_unref(c->heap);
  g_array_unref(c->kind_ok);
  g_clear_pointer(&c->hosts, g_array_unref);
  id_set_done(&c->labels);
  id_set_done(&c->prefers);
  id_set_done(&c->features);
  id_set_done(&c->stores);
  g_free(c->text);
  g_free(c);
}
