#include "core/placing.h"

#include <stdlib.h>
#include <string.h>

#include "core/accepts.h"
#include "core/ledger.h"

/* ── what is asked ────────────────────────────────────────────────────────── */

bool wish_of(Brain *b, const Pool *pool, Wish *ret_wish, GError **err)
{
  Wish w = { .pool = pool, .template = template_resolve(b, pool->template, err) };
  w.image = w.template ? image_resolve(b, pool->image, err) : NULL;
  if (!w.image || !gpu_wish(b, pool, w.template, &w.class, &w.gpus, err))
    return false;
  *ret_wish = w;
  return true;
}

static bool weight_set(const char *text, Policy *policy)
{
  static const struct {
    const char *wire;
    size_t offset;
  } weights[] = {
#define X(field, wire, help) { wire, offsetof(Policy, field) },
    POLICY_WEIGHTS(X)
#undef X
  };
  const char *equals = strchr(text, '=');
  guint64 value;
  if (!equals || !g_ascii_string_to_unsigned(equals + 1, 10, 0, 100, &value, NULL))
    return false;
  for (size_t i = 0; i < G_N_ELEMENTS(weights); i++)
    if (strlen(weights[i].wire) == (size_t)(equals - text) && !strncmp(text, weights[i].wire, equals - text)) {
      *(int *)((char *)policy + weights[i].offset) = (int)value;
      return true;
    }
  return false;
}

bool pool_policy_read(const Pool *pool, bool gpu, Policy *ret_policy, GError **err)
{
  static const PolicyName names[N_POOL_POLICIES] = {
    [PLACE_SPREAD] = POLICY_SPREAD, [PLACE_PACK] = POLICY_PACK, [PLACE_FRAGMENTS] = POLICY_FRAGMENTS,
  };
  PolicyName name = pool->policy != PLACE_AUTO ? names[pool->policy] : gpu ? POLICY_FRAGMENTS : POLICY_SPREAD;
  *ret_policy = policy_of(name);
  for (char **w = pool->weights; w && *w; w++)
    if (!weight_set(*w, ret_policy))
      return error_false(err, REASON_BAD_VALUE, "field", "weights", "value", *w, "limit",
                         "fragments, pack, spread, keep-gpu, image or prefer with =0 to =100", NULL);
  return true;
}

/* A full copy takes as much as the image; what an overlay will grow to nobody knows. */
static bool copy_fits(Brain *b, const Wish *w, const Storage *storage)
{
  return w->pool->disk != DISK_COPY || w->image->size_bytes <= storage_room_bytes(b, storage);
}

static bool storage_serves(Brain *b, const Wish *w, const char *name)
{
  const Storage *storage = GET(b, Storage, STORAGE, name);
  bool allowed = !w->pool->storages || g_strv_contains((const char *const *)w->pool->storages, name);
  return storage && allowed && copy_fits(b, w, storage);
}

/* At its full size, where any of these storages is counted. */
static int64_t disk_of(Brain *b, const Wish *w, const GPtrArray *stores)
{
  for (guint i = 0; stores->pdata[i]; i++)
    if (storage_is_counted(GET(b, Storage, STORAGE, stores->pdata[i])))
      return image_disk_mib(w->image);
  return 0;
}

static GPtrArray *storages_of(Brain *b, const Wish *w)
{
  GPtrArray *names = g_ptr_array_new();
  for (char **s = w->image->storages; s && *s; s++)
    if (storage_serves(b, w, *s))
      g_ptr_array_add(names, *s);
  g_ptr_array_add(names, NULL);
  return names;
}

/* Card models of which a part of that profile has what the class wants, or a server in the guest shows what it draws; NULL-ended, borrowed. */
static GPtrArray *models_of(Brain *b, const GpuClass *class, bool in_guest, const char *profile)
{
  GPtrArray *names = g_ptr_array_new(), *shapes = ledger_shapes(b);
  for (guint i = 0; i < shapes->len; i++) {
    const CardShape *s = shapes->pdata[i];
    bool shows = class->display == GPU_DISPLAY_OFF || in_guest || s->backend == GPU_MDEV;
    for (int p = 0; shows && p < s->n; p++)
      if (!strcmp(s->profiles[p].name, profile) && (!s->heads[p] || s->heads[p] >= class->heads))
        g_ptr_array_add(names, s->name);
  }
  g_ptr_array_add(names, NULL);
  return names;
}

static DemandClass *class_of(Brain *b, Fleet *f, const Demand *demand, const GpuClass *class, bool in_guest,
                             const char *profile, GError **err)
{
  Demand d = *demand;
  g_autoptr(GPtrArray) models = profile ? models_of(b, class, in_guest, profile) : NULL;
  d.gpu.profile = profile;
  d.gpu.models = models ? (const char *const *)models->pdata : NULL;
  return demand_class(f, &d, err);
}

static bool classes_add(Brain *b, Fleet *f, const Demand *demand, const Wish *w, GPtrArray *classes, GError **err)
{
  const char *const only[] = { w->profile, NULL };
  g_autoptr(GPtrArray) types = accepts_types(b, !w->class ? NULL : w->profile ? only : (const char *const *)w->class->accepts);
  for (guint i = 0; !i || i < types->len; i++) {
    DemandClass *class = class_of(b, f, demand, w->class, w->template->guest_screen, types->len ? types->pdata[i] : NULL, err);
    if (!class)
      return false;
    g_ptr_array_add(classes, class);
  }
  return true;
}

bool wish_near(const Pool *pool, const TemplateVersion *template)
{
  return pool->numa == NUMA_NEAR || template->near;
}

GPtrArray *wish_classes(Brain *b, Fleet *f, const Wish *w, GError **err)
{
  const Pool *pool = w->pool;
  g_autoptr(GPtrArray) classes = g_ptr_array_new_with_free_func((GDestroyNotify)demand_class_unref), stores = storages_of(b, w);
  int64_t vcpus = pool->vcpus ? pool->vcpus : w->template->vcpus;
  bool near = w->class && wish_near(pool, w->template);
  Demand d = { .vcpus = 1000 * vcpus, .memory_mib = pool->memory_mib ? pool->memory_mib : w->template->memory_mib,
               .huge = w->template->huge_pages, .page_kib = w->template->page_kib,
               .one_cell = w->template->one_cell || pool->numa != NUMA_TEMPLATE || near, .near = near,
               .labels = (const char *const *)pool->labels, .prefers = (const char *const *)pool->prefers,
               .features = (const char *const *)w->template->cpu,
               .hosts = (const char *const *)pool->hosts, .stores = (const char *const *)stores->pdata, .image = w->image->head.name,
               .disk_mib = disk_of(b, w, stores), .group = pool->group, .group_rule = (GroupRule)pool->group_rule,
               .licences = w->licences, .n_licences = w->n_licences, .gpu = { .count = w->class ? (int)w->gpus : 0 } };
  if (!pool_policy_read(pool, w->class != NULL, &d.policy, err) || !classes_add(b, f, &d, w, classes, err))
    return NULL;
  return g_steal_pointer(&classes);
}

bool classes_find(GPtrArray *classes, Place *ret_place)
{
  for (guint i = 0; i < classes->len; i++)
    if (place_find(classes->pdata[i], ret_place, NULL))
      return true;
  return false;
}

/* ── the mix ──────────────────────────────────────────────────────────────── */

void placing_forget(Brain *b)
{
  g_clear_pointer(&b->placing, g_hash_table_unref);
  g_clear_pointer(&b->mix, g_free);
}

/* Classes live as long as their pool does not change: what they found out about hosts is kept with them. */
static void pool_remember(Brain *b, const char *pool, GPtrArray *classes)
{
  if (!b->placing)
    b->placing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
  g_hash_table_replace(b->placing, g_strdup(pool), g_ptr_array_ref(classes));
}

static int compare_names(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void mix_tell(GString *text, const Wish *w)
{
  g_autofree char *accepts = g_strjoinv(" ", w->class->accepts);
  GpuDisplay display = w->template->guest_screen ? GPU_DISPLAY_OFF : (GpuDisplay)w->class->display;
  g_string_append_printf(text, "%s|%s|%d %d|%d %d %d %d\n", w->pool->head.name, accepts, display, (int)w->class->heads, (int)w->gpus,
                         (int)w->pool->vcpus, (int)w->pool->memory_mib, (int)w->pool->max);
}

void placing_mix(Brain *b, Fleet *f)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_POOL), all = g_ptr_array_new();
  g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
  g_autoptr(GArray) weights = g_array_new(FALSE, FALSE, sizeof(int64_t));
  g_autoptr(GString) text = g_string_new(NULL);
  g_ptr_array_sort(names, compare_names);
  for (guint i = 0; i < names->len; i++) {
    Wish w;
    const Pool *pool = GET(b, Pool, POOL, names->pdata[i]);
    bool asks = pool->state != POOL_DELETING && wish_of(b, pool, &w, NULL) && w.class && w.class->accepts;
    GPtrArray *classes = asks ? wish_classes(b, f, &w, NULL) : NULL;
    if (!classes)
      continue;
    mix_tell(text, &w);
    g_ptr_array_add(kept, classes);
    g_ptr_array_add(all, classes->pdata[0]);
    g_array_append_val(weights, pool->max);
  }
  if (!g_strcmp0(text->str, b->mix))
    return;
  g_free(b->mix);
  b->mix = g_strdup(text->str);
  fleet_set_mix(f, (DemandClass *const *)all->pdata, (const int64_t *)(void *)weights->data, (int)all->len);
}

/* ── a host for one more ──────────────────────────────────────────────────── */

/* The first storage of the image's that the pool may use, that the host has, and that has room. */
static const Storage *storage_on(Brain *b, const Wish *w, const char *host)
{
  int64_t room_mib;
  for (char **s = w->image->storages; s && *s; s++) {
    const Storage *storage = GET(b, Storage, STORAGE, *s);
    bool here = storage_serves(b, w, *s) && (!storage->hosts || g_strv_contains((const char *const *)storage->hosts, host));
    if (here && (!ledger_storage_room(b, host, *s, &room_mib) || room_mib >= image_disk_mib(w->image)))
      return storage;
  }
  return NULL;
}

enum { TOLD_MOST = 5, TOLD_BYTES = 500 };

/* What does not fit as a whole is left out: an argument of an error would be cut within a word. */
static void tell(GString *why, const char *text)
{
  if (g_str_has_suffix(why->str, "…"))
    return;
  bool fits = why->len + strlen("; ") + strlen(text) <= TOLD_BYTES;
  g_string_append_printf(why, "%s%s", why->len ? "; " : "", fits ? text : "…");
}

static void tell_more(GString *why, int n, const char *what)
{
  g_autofree char *text = g_strdup_printf("%d more %s for other reasons", n, what);
  if (n)
    tell(why, text);
}

static void tell_stopped(GString *why, const Fleet *f, const GArray *all, const char *what)
{
  int more = 0;
  for (guint i = 0; i < all->len; i++) {
    const Stopped *s = &g_array_index(all, Stopped, i);
    if (i >= TOLD_MOST) {
      more += s->n;
      continue;
    }
    g_autoptr(GError) one = explain_error(f, s->host, s->rule, &s->finding);
    g_autofree char *text = error_text(one, LANG_EN);
    g_autofree char *many = s->n > 1 ? g_strdup_printf("%d %s, at best: %s", s->n, what, text) : g_strdup(text);
    tell(why, many);
  }
  tell_more(why, more, what);
}

/* What stops these hosts, without a word about any of them. */
static const char *lack_of(const Stopped *s)
{
  static const char *const lacks[N_RULES] = {
    [RULE_LICENCE] = "licences", [RULE_HOSTS] = "not for this pool", [RULE_LABEL] = "not for this pool", [RULE_FEATURE] = "not for this pool",
    [RULE_STORES] = "storage", [RULE_DISK_KIND] = "storage", [RULE_DISK] = "storage", [RULE_MODEL] = "graphics cards",
    [RULE_CARDS] = "graphics cards", [RULE_NEAR] = "graphics cards", [RULE_VCPUS] = "processors", [RULE_CELL] = "processors",
    [RULE_MEMORY] = "memory", [RULE_HUGE] = "memory", [RULE_GROUP_APART] = "not for this pool", [RULE_GROUP_TOGETHER] = "not for this pool",
  };
  const char *lack = s->rule == RULE_STATE ? s->word : lacks[s->rule];
  return lack ? lack : "other";
}

/* "memory 180, unreachable 20": hosts by what stops them, as those may know who may not list hosts. Owned by the caller. */
static char *counts_text(const GArray *stopped)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < stopped->len; i++) {
    const char *lack = lack_of(&g_array_index(stopped, Stopped, i));
    int n = 0;
    bool told = false;
    for (guint j = 0; j < stopped->len; j++) {
      bool same = !strcmp(lack_of(&g_array_index(stopped, Stopped, j)), lack);
      told |= same && j < i;
      n += same ? g_array_index(stopped, Stopped, j).n : 0;
    }
    if (!told)
      g_string_append_printf(text, "%s%s %d", text->len ? ", " : "", lack, n);
  }
  return g_string_free(text, FALSE);
}

static void tell_copies(Brain *b, const Wish *w, GString *why)
{
  for (char **s = w->image->storages; s && *s; s++) {
    const Storage *storage = GET(b, Storage, STORAGE, *s);
    if (!storage || copy_fits(b, w, storage))
      continue;
    g_autofree char *text = g_strdup_printf(
      "storage %s has room for %" G_GINT64_FORMAT " MiB of its %" G_GINT64_FORMAT ", a copy of %s takes %" G_GINT64_FORMAT, *s,
      storage_room_bytes(b, storage) >> 20, storage->total_bytes >> 20, w->image->head.name, (w->image->size_bytes + (1 << 20) - 1) >> 20);
    tell(why, text);
  }
}

/* That cards have what the class accepts but can be nobody's screen, as it wants them to. */
static void tell_display(Brain *b, const GpuClass *class, bool in_guest, GString *why)
{
  bool lacking = false, asks = class && class->display != GPU_DISPLAY_OFF && !in_guest;
  g_autoptr(GPtrArray) types = accepts_types(b, asks ? (const char *const *)class->accepts : NULL);
  for (guint i = 0; i < types->len; i++) {
    g_autoptr(GPtrArray) showing = models_of(b, class, false, types->pdata[i]), all = models_of(b, class, true, types->pdata[i]);
    lacking |= all->len > showing->len;
  }
  if (!lacking)
    return;
  g_autoptr(GError) one = NULL;
  error_set(&one, REASON_PLACE_CARD_DISPLAY, "class", class->head.name, "display", gpu_display_name((GpuDisplay)class->display), NULL);
  g_autofree char *text = error_text(one, LANG_EN);
  tell(why, text);
}

/* That cards have what the class accepts with fewer screens than it wants; the most that there are. */
static void tell_heads(Brain *b, const GpuClass *class, GString *why)
{
  GPtrArray *shapes = ledger_shapes(b);
  int most = 0;
  bool enough = false;
  g_autoptr(GPtrArray) types = accepts_types(b, class && class->heads ? (const char *const *)class->accepts : NULL);
  for (guint i = 0; i < shapes->len; i++) {
    const CardShape *s = shapes->pdata[i];
    for (int p = 0; p < s->n; p++) {
      bool asked = false;
      for (guint t = 0; t < types->len; t++)
        asked |= !g_strcmp0(types->pdata[t], s->profiles[p].name);
      enough |= asked && (!s->heads[p] || s->heads[p] >= class->heads);
      most = asked ? MAX(most, s->heads[p]) : most;
    }
  }
  if (!most || enough)
    return;
  g_autoptr(GError) one = NULL;
  g_autofree char *wanted = g_strdup_printf("%d", (int)class->heads), *told = g_strdup_printf("%d", most);
  error_set(&one, REASON_PLACE_CARD_HEADS, "class", class->head.name, "heads", wanted, "most", told, NULL);
  g_autofree char *text = error_text(one, LANG_EN);
  tell(why, text);
}

enum { OFFERS_MOST = 12 };

/* The names of what a card can give, as a class would ask for them. Owned by the caller. */
static char *offers_of(Brain *b, const Gpu *gpu)
{
  const GpuCard *card = gpu_picture(b, gpu);
  GString *names = g_string_new(card->types->len ? NULL : "-");
  for (guint i = 0; i < card->types->len && i < OFFERS_MOST; i++) {
    g_autofree char *name = card_profile_name(card, ((GpuType *)card->types->pdata[i])->id);
    g_string_append_printf(names, "%s%s", i ? " " : "", name);
  }
  if (card->types->len > OFFERS_MOST)
    g_string_append(names, " …");
  return g_string_free(names, FALSE);
}

/* Why a card is not taken, by the best of the types that it has; where it has none of them, which it has, and which are asked for. asked:
 * DemandClass *, one a type. NULL = it would be taken. */
static GError *card_error(Brain *b, const Fleet *f, int host, int card, const GPtrArray *asked, const GpuClass *class)
{
  Finding finding;
  Rule rule = RULE_CARD_MODEL;
  for (guint i = 0; i < asked->len && rule == RULE_CARD_MODEL; i++)
    rule = explain_card(asked->pdata[i], host, card, &finding);
  g_autoptr(GError) one = rule == RULE_NONE ? NULL : explain_error(f, host, rule, &finding);
  const Gpu *gpu = GET(b, Gpu, GPU, ledger_card(b, host, card));
  bool closed = gpu->state != GPU_READY || (gpu->console && !gpu->give_console);
  GError *idle = one && !closed ? gpu_functions_why(b, gpu) : NULL;
  if (idle)
    return idle;
  if (!error_is(one, REASON_PLACE_CARD_MODEL) || closed || !class)
    return g_steal_pointer(&one);
  GError *types = NULL;
  g_autofree char *offers = offers_of(b, gpu), *wanted = g_strjoinv(" ", class->accepts);
  error_set(&types, REASON_PLACE_CARD_OFFERS, "gpu", gpu->head.name, "offers", offers, "class", class->head.name, "wanted", wanted, NULL);
  return types;
}

/* Card by card of one host: what it says, and who has what of it. */
static void tell_cards(Brain *b, const Fleet *f, int host, const GPtrArray *asked, const GpuClass *class, GString *why)
{
  g_autoptr(GPtrArray) gpus = state_host_gpus(b->state, fleet_host_name(f, host));
  for (int card = 0; card < (int)gpus->len && card < TOLD_MOST; card++) {
    const Gpu *gpu = GET(b, Gpu, GPU, ledger_card(b, host, card));
    g_autoptr(GPtrArray) claims = state_gpu_claims(b->state, gpu->head.name);
    const char *model = gpu->model ? gpu->model : "a card";
    g_autofree char *who = g_strdup_printf("%s (%s, %s): %d claimed by us, %d foreign", gpu->head.name, model, gpu->address, (int)claims->len,
                                           (int)gpu->foreign_parts);
    tell(why, who);
    g_autoptr(GError) one = card_error(b, f, host, card, asked, class);
    g_autofree char *text = one ? error_text(one, LANG_EN) : NULL;
    if (text)
      tell(why, text);
  }
  tell_more(why, MAX(0, (int)gpus->len - TOLD_MOST), "cards");
}

/* Few cards each by itself, with who has what of them. */
static void tell_stopped_cards(Brain *b, const Fleet *f, const Explanation *e, const GPtrArray *classes, const Wish *w, GString *why)
{
  const GArray *stopped = e->stopped_cards;
  if (!stopped->len || e->cards > CARDS_MOST) {
    tell_stopped(why, f, stopped, "cards");
    return;
  }
  for (guint i = 0; i < stopped->len && (!i || classes->len > 1); i++)
    tell_cards(b, f, g_array_index(stopped, Stopped, i).host, classes, w->class, why);
}

static bool refuse(Brain *b, const Fleet *f, const Wish *w, const GPtrArray *classes, GError **err)
{
  g_autoptr(Explanation) any = explain_any(classes, false), best = explain_rules(classes->pdata[0]);
  g_autoptr(GString) why = g_string_new(NULL);
  tell_copies(b, w, why);
  tell_display(b, w->class, w->template->guest_screen, why);
  tell_heads(b, w->class, why);
  tell_stopped(why, f, any->stopped, "hosts");
  tell_stopped_cards(b, f, any, classes, w, why);
  g_autofree char *counts = counts_text(best->stopped); /* of one demand, so that they add up to the hosts */
  const char *none = "there is no host";
  return error_false(err, REASON_NO_PLACE, "pool", w->pool->head.name, "hosts", why->len ? why->str : none, "counts", *counts ? counts : none,
                     NULL);
}

bool place_pick(Brain *b, const Pool *pool, DesktopPlace *ret_place, GError **err)
{
  Wish w;
  Place place;
  if (!wish_of(b, pool, &w, err))
    return false;
  Fleet *f = ledger_fleet(b);
  g_autoptr(GPtrArray) classes = wish_classes(b, f, &w, err);
  if (!classes)
    return false;
  pool_remember(b, pool->head.name, classes);
  if (!classes_find(classes, &place))
    return refuse(b, f, &w, classes, err);
  const Host *host = GET(b, Host, HOST, fleet_host_name(f, place.host));
  *ret_place = (DesktopPlace){ host, storage_on(b, &w, host->head.name), ledger_cell(b, place.host, place.cell) };
  return true;
}

/* ── parts on a host ──────────────────────────────────────────────────────── */

static bool is_claimed(Brain *b, const char *gpu, const char *address, const GArray *parts)
{
  g_autoptr(GPtrArray) names = state_gpu_claims(b->state, gpu);
  for (guint i = 0; i < names->len; i++)
    if (!g_strcmp0(GET(b, Vgpu, VGPU, names->pdata[i])->address, address))
      return true;
  for (guint i = 0; i < parts->len; i++)
    if (!g_strcmp0(g_array_index(parts, PartPlace, i).address, address) && !strcmp(g_array_index(parts, PartPlace, i).gpu, gpu))
      return true;
  return false;
}

/* A function that nobody has and that is not claimed, or NULL. */
static const char *idle_function(Brain *b, const char *gpu, const GpuCard *card, const GArray *parts)
{
  for (guint i = 0; i < card->functions->len; i++)
    if (!is_claimed(b, gpu, card->functions->pdata[i], parts))
      return card->functions->pdata[i];
  return NULL;
}

/* false: its card has no function left for it. */
static bool part_add(Brain *b, const char *gpu, const char *profile, int start, GArray *parts)
{
  const GpuCard *card = gpu_picture(b, GET(b, Gpu, GPU, gpu));
  PartPlace part = { gpu, profile, NULL, start };
  if (card->backend == GPU_WHOLE)
    part.address = card->address;
  else if (card->backend != GPU_MDEV && !(part.address = idle_function(b, gpu, card, parts)))
    return false;
  g_array_append_val(parts, part);
  return true;
}

/* The parts that lie in one card's share of a place. */
static bool share_split(Brain *b, const CardShare *share, int count, const char *gpu, const char *profile, GArray *parts)
{
  int width = share->slots ? __builtin_popcount(share->slots) / count : 0;
  uint32_t left = share->slots;
  for (int i = 0; i < count; i++) {
    int start = left ? __builtin_ctz(left) : -1;
    if (start >= 0)
      left &= ~(uint32_t)(((UINT64_C(1) << width) - 1) << start);
    if (!part_add(b, gpu, profile, start, parts))
      return false;
  }
  return true;
}

static GArray *parts_of(Brain *b, const Place *place, const char *profile, int n)
{
  g_autoptr(GArray) parts = g_array_new(FALSE, FALSE, sizeof(PartPlace));
  int share = 0;
  for (int i = 0; i < place->n_cards; i++)
    share += place->cards[i].share;
  for (int i = 0; i < place->n_cards; i++) {
    const char *gpu = ledger_card(b, place->host, place->cards[i].card);
    int count = (place->cards[i].share * n + share / 2) / share;
    if (!share_split(b, &place->cards[i], count, gpu, profile, parts))
      return NULL;
  }
  return g_steal_pointer(&parts);
}

static bool refuse_parts(const Fleet *f, Brain *b, int host, const GPtrArray *classes, const PartsWish *wish, GError **err)
{
  g_autoptr(GString) why = g_string_new(NULL);
  tell_display(b, wish->class, wish->in_guest, why);
  g_autoptr(GPtrArray) gpus = state_host_gpus(b->state, fleet_host_name(f, host));
  for (int card = 0; card < (int)gpus->len && card < TOLD_MOST; card++) {
    g_autoptr(GError) one = card_error(b, f, host, card, classes, wish->class);
    g_autofree char *text = one ? error_text(one, LANG_EN) : g_strdup("none of its functions is free");
    g_autofree char *line = g_strdup_printf("%s: %s", ledger_card(b, host, card), text);
    tell(why, line);
  }
  tell_more(why, MAX(0, (int)gpus->len - TOLD_MOST), "cards");
  return error_false(err, REASON_NO_GPU, "class", wish->class->head.name, "cards", why->len ? why->str : "it has no graphics card", "host",
                     fleet_host_name(f, host), NULL);
}

GArray *parts_find(Brain *b, const PartsWish *wish, GError **err)
{
  const char *host = wish->host;
  const GpuClass *class = wish->class;
  int n = wish->n;
  Fleet *f = ledger_fleet(b);
  int number = fleet_find_host(f, host);
  int cell = number >= 0 ? ledger_cell_index(b, number, wish->cell) : -1;
  Demand demand = { .stays = true, .near = cell >= 0, .in_cell = cell + 1, .gpu = { .count = n }, .policy = policy_of(POLICY_FRAGMENTS) };
  g_autoptr(GPtrArray) classes = g_ptr_array_new_with_free_func((GDestroyNotify)demand_class_unref);
  g_autoptr(GPtrArray) types = accepts_types(b, (const char *const *)class->accepts);
  for (guint i = 0; number >= 0 && i < types->len; i++) {
    Place place;
    const char *type = types->pdata[i];
    DemandClass *asked = class_of(b, f, &demand, class, wish->in_guest, type, NULL);
    g_ptr_array_add(classes, asked);
    GArray *parts = place_find_on(asked, number, &place, NULL) ? parts_of(b, &place, type, n) : NULL;
    if (parts)
      return parts;
  }
  if (classes->len)
    refuse_parts(f, b, number, classes, wish, err);
  else
    error_set(err, REASON_NO_GPU, "class", class->head.name, "cards", "it has no graphics card", "host", host, NULL);
  return NULL;
}
