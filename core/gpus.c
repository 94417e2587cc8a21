/* Graphics cards: what hosts show of them, held against the claims. What differs is marked on the card and on the claim; what is foreign is
 * counted and left alone; what is ours and nobody's goes, after a time in which its owner might still turn up. */
#include "core/gpus.h"

#include "core/gpu_json.h"
#include "core/ledger.h"

#include <string.h>

enum { PART_GRACE_S = 60 };

/* ── facts ────────────────────────────────────────────────────────────────── */

static const Gpu *gpu_at(Brain *b, const char *host, const char *address)
{
  g_autoptr(GPtrArray) names = state_host_gpus(b->state, host);
  for (guint i = 0; i < names->len; i++) {
    const Gpu *gpu = GET(b, Gpu, GPU, names->pdata[i]);
    if (!g_strcmp0(gpu->address, address))
      return gpu;
  }
  return NULL;
}

/* Everything that a look tells of a card, as its object keeps it. */
static void facts_fill(Gpu *gpu, const GpuCard *card)
{
  g_autofree char *id = g_strdup_printf("%04x:%04x", card->vendor_id, card->device_id);
  gpu->backend = card->backend;
  ref_set(&gpu->vendor, card->vendor);
  ref_set(&gpu->model, card->model);
  ref_set(&gpu->pci_id, id);
  ref_set(&gpu->driver, card->driver);
  text_set(&gpu->serial, card->serial);
  gpu->numa_node = card->numa_node;
  gpu->iommu_group = card->iommu_group;
  gpu->same_type_only = card->same_type_only;
  gpu->console = card->console;
  g_free(gpu->types);
  gpu->types = gpu_types_json(card);
  g_free(gpu->parts);
  gpu->parts = gpu_parts_json(card);
}

static bool facts_same(const Gpu *a, const Gpu *b)
{
  return a->backend == b->backend && !g_strcmp0(a->vendor, b->vendor) && !g_strcmp0(a->model, b->model) && !g_strcmp0(a->pci_id, b->pci_id) &&
         !g_strcmp0(a->driver, b->driver) && !g_strcmp0(a->serial, b->serial) && a->numa_node == b->numa_node &&
         a->iommu_group == b->iommu_group && a->same_type_only == b->same_type_only && a->console == b->console &&
         !g_strcmp0(a->types, b->types) && !g_strcmp0(a->parts, b->parts);
}

static int compare_parts(const void *a, const void *b)
{
  const GpuPart *x = *(GpuPart *const *)a, *y = *(GpuPart *const *)b;
  int by_address = strcmp(x->address, y->address);
  return by_address ? by_address : strcmp(x->uuid, y->uuid);
}

static int compare_texts(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void facts_keep(Brain *b, const char *name, GpuCard *card, int64_t looked_us)
{
  g_ptr_array_sort(card->parts, compare_parts); /* hosts list them as they please, and an order is no news */
  g_ptr_array_sort(card->functions, compare_texts);
  const Gpu *was = GET(b, Gpu, GPU, name);
  gpu_card_remember(card, gpu_picture(b, was));
  Gpu *probe = (Gpu *)object_dup(&schemas[NOUN_GPU], &was->head);
  facts_fill(probe, card);
  if (!facts_same(was, probe)) {
    Gpu *gpu = EDIT(b, Gpu, GPU, name);
    facts_fill(gpu, card);
    gpu->seen = b->now_us;
    CardPicture *picture = gpu_picture_of(b, gpu);
    gpu_card_free(picture->card);
    picture->card = gpu_card_read(gpu);
    pools_wake(b); /* others may have freed what they had */
  }
  object_unref(&schemas[NOUN_GPU], &probe->head);
  gpu_picture_of(b, GET(b, Gpu, GPU, name))->looked_us = looked_us;
}

/* What an operator took out stays out, also when it was broken or gone in between. */
static void state_follow(Brain *b, const char *name, const GpuCard *card)
{
  gpu_refusals_follow(b, name, card);
  const Gpu *gpu = GET(b, Gpu, GPU, name);
  GpuState now = card->broken || gpu_is_refusing(b, gpu) ? GPU_BROKEN : gpu->quarantined ? GPU_QUARANTINED : GPU_READY;
  if (gpu->state != (int)now)
    gpu_set_state(b, name, now);
}

static const char *card_name(Brain *b, const char *host, const GpuCard *card)
{
  const Gpu *known = gpu_at(b, host, card->address);
  if (known)
    return known->head.name;
  g_autofree char *name = brain_number(b, 'g');
  Gpu *gpu = state_add(b->state, NOUN_GPU, name, b->now_us);
  ref_set(&gpu->host, host);
  text_set(&gpu->address, card->address);
  gpu->backend = card->backend;
  gpu->since = b->now_us;
  brain_event(b, "gpu.found", NOUN_GPU, name, NULL, NULL);
  g_autoptr(GPtrArray) pools = state_names(b->state, NOUN_POOL);
  for (guint i = 0; i < pools->len; i++)
    brain_dirty(b, pools->pdata[i]);
  return GET(b, Gpu, GPU, name)->head.name;
}

/* ── held against the claims ──────────────────────────────────────────────── */

typedef struct {
  int used, foreign, orphans, missing, stuck;
} Difference;

/* Only a UUID with our mark says for itself that it is ours; and it is no other claim's, as no claim's name comes twice. */
static void orphan_seen(Brain *b, const Gpu *gpu, const GpuPart *part)
{
  int64_t *since = g_hash_table_lookup(b->orphans, part->uuid);
  if (!since) {
    g_hash_table_insert(b->orphans, g_strdup(part->uuid), g_memdup2(&b->now_us, sizeof b->now_us));
    return;
  }
  if (b->now_us - *since < PART_GRACE_S * SECOND_US)
    return;
  g_hash_table_remove(b->orphans, part->uuid);
  Vgpu *made_up = (Vgpu *)object_new(&schemas[NOUN_VGPU], NOUN_VGPU, "");
  ref_set(&made_up->gpu, gpu->head.name);
  ref_set(&made_up->host, gpu->host);
  ref_set(&made_up->type, part->type);
  text_set(&made_up->uuid, part->uuid);
  made_up->start = part->start;
  brain_call_reap(b, made_up, false);
  object_unref(&schemas[NOUN_VGPU], &made_up->head);
}

static void parts_judge(Brain *b, const char *name, Difference *sum)
{
  const Gpu *gpu = GET(b, Gpu, GPU, name);
  const GpuCard *card = gpu_picture(b, gpu);
  g_autoptr(GPtrArray) claims = gpu_claims(b, name);
  for (guint i = 0; i < card->parts->len; i++) {
    const GpuPart *part = card->parts->pdata[i];
    sum->used++;
    if (gpu_part_is_claimed(part, claims))
      continue;
    bool ours = part->marked && part->uuid[0];
    sum->orphans += ours;
    sum->foreign += !ours;
    if (ours)
      orphan_seen(b, gpu, part);
  }
}

/* Parts that are there whether or not a guest runs: for functions and cards as they are, only a guest's use could be seen. */
static bool backend_shows_parts(GpuBackend backend)
{
  return backend == GPU_MDEV || backend == GPU_VENDOR_VF || backend == GPU_MIG;
}

/* A claim that is let go of and that no task works on. */
static bool is_left_over(Brain *b, const Vgpu *claim)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, claim->desktop);
  return claim->state == VGPU_RELEASING && (!d || !d->task);
}

/* Only a UUID that is no more, or a card, takes what a guest left in it along. A function that shows no type may be dirty yet: a release resets it,
 * however often it was freed before. */
static void left_over_judge(Brain *b, const Gpu *gpu, const Vgpu *claim, const GpuPart *part)
{
  if (gpu->state == GPU_STATE_GONE || (gpu->backend == GPU_MDEV && !part))
    vgpu_end(b, claim->head.name, "vgpu.released");
  else
    brain_call_reap(b, claim, false);
}

static GError *missing_why(Brain *b, const Gpu *gpu, const Vgpu *claim, bool broken)
{
  GError *err = NULL;
  error_set(&err, broken ? REASON_GPU_CARD_BAD : REASON_GPU_PART_MISSING, "vgpu", claim->head.name, "type", claim->type, "gpu", gpu->head.name,
            "host", gpu->host, "state", gpu_state_name(gpu->state), NULL);
  return err;
}

static void missing_seen(Brain *b, const Gpu *gpu, const Vgpu *claim, bool broken)
{
  g_autofree char *name = g_strdup(claim->head.name);
  if (!claim->error) {
    g_autofree char *detail = g_strdup_printf("{\"gpu\":\"%s\",\"desktop\":\"%s\"}", gpu->head.name, claim->desktop);
    brain_event(b, "vgpu.missing", NOUN_VGPU, name, NULL, detail);
  }
  g_autoptr(GError) err = missing_why(b, gpu, claim, broken);
  vgpu_set_error(b, name, err);
  vgpu_set_state(b, name, VGPU_CLAIMED); /* what is made for it from now on is not in the guest that runs */
}

static bool is_off(Brain *b, const char *desktop)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  return d && !d->task && (desktop_is_off(d) || d->power == POWER_SAVED);
}

/* Told as missing, and there all the time: its guest goes on with it. Whether the guest still has it is read at each look at the guest. */
static bool was_told_missing(Brain *b, const Vgpu *claim)
{
  g_autoptr(GError) told = claim->error ? brain_error_of(claim->error) : NULL;
  const Desktop *d = GET(b, Desktop, DESKTOP, claim->desktop);
  bool runs = d && !d->task && (d->power == POWER_ON || d->power == POWER_SUSPENDED);
  bool missing = error_is(told, REASON_GPU_PART_MISSING) || error_is(told, REASON_GPU_CARD_BAD) || error_is(told, REASON_GPU_CHANGED);
  return runs && missing && claim->state == VGPU_CLAIMED;
}

static void claim_judge(Brain *b, const char *name, int64_t looked_us, Difference *sum)
{
  const Vgpu *claim = GET(b, Vgpu, VGPU, name);
  const Gpu *gpu = GET(b, Gpu, GPU, claim->gpu);
  const GpuPart *part = vgpu_part(b, claim);
  bool gone = gpu->state == GPU_STATE_GONE, broken = gone || (gpu->state == GPU_BROKEN && !gpu_is_refusing(b, gpu));
  bool shows = gone || backend_shows_parts(gpu->backend);
  sum->stuck += claim->state == VGPU_RELEASING && claim->error;
  if (claim->since >= looked_us)
    return; /* the picture is older */
  if (is_left_over(b, claim)) {
    left_over_judge(b, gpu, claim, part);
    return;
  }
  if (!broken && (part || !shows) && was_told_missing(b, claim)) {
    vgpu_set_state(b, name, VGPU_ATTACHED);
    vgpu_set_error(b, name, NULL);
    claim = GET(b, Vgpu, VGPU, name);
  }
  bool should_be = claim->state == VGPU_MADE || claim->state == VGPU_ATTACHED;
  bool missing = should_be && (broken || (shows && !part));
  if (claim->error && is_off(b, claim->desktop))
    vgpu_set_error(b, name, NULL); /* nothing runs without it any more */
  if (missing && !broken && is_off(b, claim->desktop)) { /* a host that was off has no parts; it is made again at the next start */
    vgpu_seen_missing(b, name);
    return;
  }
  claim = GET(b, Vgpu, VGPU, name);
  sum->missing += missing || (claim->error && claim->state != VGPU_RELEASING);
  if (missing)
    missing_seen(b, gpu, claim, broken);
}

static GPtrArray *copies_of(GPtrArray *take_names)
{
  GPtrArray *copies = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < take_names->len; i++)
    g_ptr_array_add(copies, g_strdup(take_names->pdata[i]));
  g_ptr_array_unref(take_names);
  return copies;
}

static void claims_judge(Brain *b, const char *gpu, int64_t looked_us, Difference *sum)
{
  g_autoptr(GPtrArray) names = state_gpu_claims(b->state, gpu);
  for (guint i = 0; i < names->len; i++)
    if (GET(b, Vgpu, VGPU, names->pdata[i]))
      claim_judge(b, names->pdata[i], looked_us, sum);
}

static GError *left_out_why(Brain *b, const Gpu *gpu)
{
  GError *err = NULL;
  int kinds;
  if (gpu->state != GPU_READY || !ledger_leaves_out(b, gpu, &kinds))
    return NULL;
  g_autofree char *value = g_strdup_printf("%d", kinds), *limit = g_strdup_printf("%d", MODELS_MOST);
  error_set(&err, REASON_TOO_LARGE, "what", "the number of kinds of cards that classes accept", "value", value, "limit", limit, NULL);
  return err;
}

static bool function_is_claimed(const char *address, const GPtrArray *claims)
{
  for (guint i = 0; i < claims->len; i++)
    if (!g_strcmp0(((const Vgpu *)claims->pdata[i])->address, address))
      return true;
  return false;
}

GError *gpu_functions_why(Brain *b, const Gpu *gpu)
{
  GError *err = NULL;
  const GpuCard *card = gpu_picture(b, gpu);
  int n = (int)card->functions->len;
  g_autoptr(GPtrArray) claims = gpu_claims(b, gpu->head.name);
  if (card->backend == GPU_MDEV || card->backend == GPU_WHOLE)
    return NULL;
  for (guint i = 0; i < card->functions->len; i++)
    if (!function_is_claimed(card->functions->pdata[i], claims))
      return NULL;
  for (guint i = 0; i < card->parts->len; i++)
    n += ((const GpuPart *)card->parts->pdata[i])->address[0] != 0;
  if (n && !card_has_room(b, gpu))
    return NULL; /* full is full, with or without functions */
  g_autofree char *functions = g_strdup_printf("%d", n);
  error_set(&err, REASON_PLACE_CARD_FUNCTIONS, "gpu", gpu->head.name, "functions", functions, "address", gpu->address, NULL);
  return err;
}

/* A card that can give nothing says so before anybody asks. That all of its functions are given is no fault. */
static GError *functionless_why(Brain *b, const Gpu *gpu)
{
  g_autoptr(GError) why = gpu->state == GPU_READY ? gpu_functions_why(b, gpu) : NULL;
  return why && !strcmp(error_arg(why, "functions"), "0") ? g_steal_pointer(&why) : NULL;
}

static GError *loose_why(Brain *b, const Gpu *gpu)
{
  GError *err = NULL;
  g_autoptr(GPtrArray) claims = gpu_claims(b, gpu->head.name);
  const GpuPart *part = card_loose_instance(gpu_picture(b, gpu), claims, NULL);
  if (gpu->state != GPU_READY || !part)
    return NULL;
  g_autofree char *what = g_strdup_printf("the GPU instance %s at place %d of %s", part->type, part->start, gpu->address);
  error_set(&err, REASON_GPU_NOT_OURS, "host", gpu->host, "what", what, "detail",
            "it has no function, and the driver would give it to the next desktop of that type: none is made here until it is ended", NULL);
  return err;
}

/* The card bears its difference, as long as there is one. */
static void difference_keep(Brain *b, const char *name, const Difference *d, const char *broken)
{
  const Gpu *gpu = GET(b, Gpu, GPU, name);
  g_autoptr(GError) err = NULL;
  g_autofree char *missing = g_strdup_printf("%d", d->missing), *orphans = g_strdup_printf("%d", d->orphans);
  g_autofree char *stuck = g_strdup_printf("%d", d->stuck);
  if (gpu->state == GPU_BROKEN || gpu->state == GPU_STATE_GONE)
    error_set(&err, REASON_GPU_CARD_BAD, "gpu", name, "host", gpu->host, "state", gpu_state_name(gpu->state), "detail", broken ? broken : "", NULL);
  else if (d->missing || d->orphans || d->stuck)
    error_set(&err, REASON_GPU_DIFFERS, "gpu", name, "host", gpu->host, "missing", missing, "orphans", orphans, "stuck", stuck, NULL);
  else if (!(err = left_out_why(b, gpu)) && !(err = functionless_why(b, gpu)))
    err = loose_why(b, gpu);
  bool refusing = gpu->state == GPU_BROKEN && gpu_is_refusing(b, gpu);
  g_autofree char *why = refusing ? g_strdup(gpu_picture_of(b, gpu)->refused) : err ? brain_error_json(err) : NULL;
  if (gpu->used == d->used && gpu->foreign_parts == d->foreign && !g_strcmp0(gpu->error, why))
    return;
  Gpu *edited = EDIT(b, Gpu, GPU, name);
  edited->used = d->used;
  edited->foreign_parts = d->foreign;
  text_set(&edited->error, why);
}

static void card_judge(Brain *b, const char *name, int64_t looked_us, const char *broken)
{
  Difference d = { 0 };
  claims_judge(b, name, looked_us, &d);
  if (GET(b, Gpu, GPU, name)->state != GPU_STATE_GONE)
    parts_judge(b, name, &d);
  difference_keep(b, name, &d, broken);
}

/* ── a look ───────────────────────────────────────────────────────────────── */

/* What it has given cannot be told now, and stays whose it is. */
static void unseen_mark(Brain *b, const char *name, const GError *err)
{
  const Gpu *gpu = GET(b, Gpu, GPU, name);
  g_autofree char *why = brain_error_json(err);
  if (gpu->state != GPU_UNSEEN && gpu->state != GPU_QUARANTINED)
    gpu_set_state(b, name, GPU_UNSEEN);
  if (g_strcmp0(GET(b, Gpu, GPU, name)->error, why))
    text_set(&EDIT(b, Gpu, GPU, name)->error, why);
}

/* What a card is: who sits in its place after a change is another. A number that it did not tell before is no news. Owned by the caller. */
static char *identity_of(const char *pci_id, const char *serial, int backend)
{
  return g_strdup_printf("%s %s%s%s", gpu_backend_name((GpuBackend)backend), pci_id ? pci_id : "", serial ? " " : "", serial ? serial : "");
}

static bool is_another_card(const Gpu *gpu, const GpuCard *card)
{
  g_autofree char *id = g_strdup_printf("%04x:%04x", card->vendor_id, card->device_id);
  bool another = gpu->pci_id && strcmp(gpu->pci_id, id) != 0;
  return another || (gpu->serial && card->serial && strcmp(gpu->serial, card->serial) != 0);
}

static void claims_mark(Brain *b, const char *gpu, const GError *err)
{
  g_autoptr(GPtrArray) names = copies_of(state_gpu_claims(b->state, gpu));
  g_autofree char *why = brain_error_json(err);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    if (v->state == VGPU_RELEASING)
      continue;
    if (!v->error)
      brain_event(b, "vgpu.missing", NOUN_VGPU, names->pdata[i], NULL, why);
    vgpu_set_error(b, names->pdata[i], err);
    vgpu_set_state(b, names->pdata[i], VGPU_CLAIMED);
  }
}

static bool is_told_as(const Gpu *gpu, Reason reason)
{
  g_autoptr(GError) told = gpu->error ? brain_error_of(gpu->error) : NULL;
  return error_is(told, reason);
}

bool gpu_is_changed(const Gpu *gpu)
{
  return is_told_as(gpu, REASON_GPU_CHANGED);
}

/* What gave them is no more; but what lies where one of them was may be the same, seen as something else, and what could not be freed is
 * dirty yet. */
static bool place_is_bare(const GpuCard *card, const Vgpu *claim)
{
  if (claim->state == VGPU_RELEASING && claim->error)
    return false;
  for (guint i = 0; i < card->parts->len; i++) {
    const GpuPart *part = card->parts->pdata[i];
    if ((part->uuid[0] && !g_strcmp0(part->uuid, claim->uuid)) || (part->address[0] && !g_strcmp0(part->address, claim->address)))
      return false;
  }
  return true;
}

/* Claims that no guest waits for: the next start claims anew, here or elsewhere, and the card is not kept from others meanwhile. */
static void changed_let_go(Brain *b, const char *gpu, const GpuCard *card, bool another)
{
  g_autoptr(GPtrArray) names = copies_of(state_gpu_claims(b->state, gpu));
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    const Desktop *d = GET(b, Desktop, DESKTOP, v->desktop);
    if (v->state != VGPU_RELEASING && !(d && !d->task && desktop_is_off(d)))
      continue;
    if (another || place_is_bare(card, v))
      vgpu_end(b, names->pdata[i], "vgpu.released");
    else
      vgpu_set_state(b, names->pdata[i], VGPU_RELEASING);
  }
}

/* Another card is there, or it gives parts in another way, than when its claims were made: held against what it shows now every claim would be
 * missing, or on a card that nobody chose. A guest may run with what a card gave in the way of before; with another card none does.
 * true ⇔ nothing of it is to be judged. */
static bool changed_seen(Brain *b, const char *name, const GpuCard *card)
{
  const Gpu *gpu = GET(b, Gpu, GPU, name);
  bool another = is_another_card(gpu, card), first = !is_told_as(gpu, REASON_GPU_CHANGED);
  g_autoptr(GPtrArray) claims = gpu_claims(b, name);
  if (!another && (gpu->backend == (int)card->backend || !claims->len))
    return false;
  g_autofree char *id = g_strdup_printf("%04x:%04x", card->vendor_id, card->device_id);
  g_autofree char *was = identity_of(gpu->pci_id, gpu->serial, gpu->backend), *found = identity_of(id, card->serial, card->backend);
  g_autoptr(GError) err = NULL;
  error_set(&err, REASON_GPU_CHANGED, "gpu", name, "host", gpu->host, "was", was, "found", found, NULL);
  g_autofree char *why = brain_error_json(err);
  if (first)
    brain_event(b, "gpu.changed", NOUN_GPU, name, NULL, why);
  if (!card->broken)
    changed_let_go(b, name, card, another);
  g_autoptr(GPtrArray) kept = gpu_claims(b, name);
  if (!kept->len)
    return false;
  unseen_mark(b, name, err);
  if (another)
    claims_mark(b, name, err);
  return true;
}

static void unread_seen(Brain *b, const char *name, const GpuCard *card)
{
  g_autoptr(GError) err = NULL;
  error_set(&err, REASON_GPU_FACTS, "host", GET(b, Gpu, GPU, name)->host, "detail", card->unread, NULL);
  unseen_mark(b, name, err);
}

static void card_seen(Brain *b, const char *host, GpuCard *card, int64_t looked_us)
{
  g_autofree char *name = g_strdup(card_name(b, host, card));
  CardPicture *before = gpu_picture_of(b, GET(b, Gpu, GPU, name));
  if (before->looked_us > looked_us)
    return; /* a later look came first */
  if (card->unread)
    unread_seen(b, name, card);
  if (card->unread || changed_seen(b, name, card)) {
    before->looked_us = looked_us;
    return;
  }
  facts_keep(b, name, card, looked_us);
  state_follow(b, name, card);
  card_judge(b, name, looked_us, card->broken);
}

static const GpuCard *result_card(const StepResult *result, const char *address)
{
  for (guint i = 0; i < result->cards->len; i++)
    if (!g_strcmp0(((GpuCard *)result->cards->pdata[i])->address, address))
      return result->cards->pdata[i];
  return NULL;
}

static void unreached_mark(Brain *b, const char *name)
{
  const Gpu *gpu = GET(b, Gpu, GPU, name);
  g_autoptr(GError) err = NULL;
  error_set(&err, REASON_GPU_NEEDS_EXEC, "what", gpu_backend_name(gpu->backend), "host", gpu->host, NULL);
  unseen_mark(b, name, err);
}

static void gone_seen(Brain *b, const char *host, const StepResult *result)
{
  g_autoptr(GPtrArray) names = state_host_gpus(b->state, host);
  for (guint i = 0; i < names->len; i++) {
    const Gpu *gpu = GET(b, Gpu, GPU, names->pdata[i]);
    if (result_card(result, gpu->address) || gpu_picture_of(b, gpu)->looked_us > result->looked_us)
      continue;
    if (result->without_files && gpu->backend != GPU_MDEV) {
      unreached_mark(b, names->pdata[i]);
      continue;
    }
    if (gpu->state != GPU_STATE_GONE)
      gpu_set_state(b, names->pdata[i], GPU_STATE_GONE);
    card_judge(b, names->pdata[i], result->looked_us, NULL);
  }
}

static void desktops_follow(Brain *b, const char *host)
{
  g_autoptr(GPtrArray) names = copies_of(state_host_desktops(b->state, host));
  for (guint i = 0; i < names->len; i++)
    if (GET(b, Desktop, DESKTOP, names->pdata[i])->gpus)
      desktop_gpus_seen(b, names->pdata[i]);
}

/* Whether that card was at another place of the host when an operator took it out. The processors of one board may have one serial number. */
static bool came_from_quarantine(Brain *b, const char *host, const StepResult *result, const GpuCard *card)
{
  g_autoptr(GPtrArray) names = state_host_gpus(b->state, host);
  for (guint i = 0; card->serial && i < names->len; i++) {
    const Gpu *was = GET(b, Gpu, GPU, names->pdata[i]);
    const GpuCard *there = result_card(result, was->address);
    if (was->quarantined && !g_strcmp0(was->serial, card->serial) && (!there || g_strcmp0(there->serial, card->serial)))
      return true;
  }
  return false;
}

void gpus_seen(Brain *b, const char *host, const StepResult *result, bool all)
{
  g_autoptr(GPtrArray) moved = g_ptr_array_new();
  for (guint i = 0; i < result->cards->len; i++)
    if (came_from_quarantine(b, host, result, result->cards->pdata[i]))
      g_ptr_array_add(moved, ((GpuCard *)result->cards->pdata[i])->address);
  for (guint i = 0; i < moved->len; i++) { /* the place stays out, too, until an operator has looked */
    const char *name = card_name(b, host, result_card(result, moved->pdata[i]));
    EDIT(b, Gpu, GPU, name)->quarantined = true;
  }
  for (guint i = 0; i < result->cards->len; i++)
    card_seen(b, host, result->cards->pdata[i], result->looked_us);
  if (!all)
    return;
  gone_seen(b, host, result);
  desktops_follow(b, host);
}

/* A host that does not answer says so itself. */
void gpus_unseen(Brain *b, const char *host, const GError *err)
{
  const Host *h = GET(b, Host, HOST, host);
  g_autofree char *why = err ? brain_error_json(err) : NULL;
  if (!g_strcmp0(h->cards_error, why) || (err && !host_state_is_reachable(h->state)))
    return;
  text_set(&EDIT(b, Host, HOST, host)->cards_error, why);
  if (why)
    brain_event(b, "host.cards-unseen", NOUN_HOST, host, NULL, why);
}

void gpus_look(Brain *b, const char *host, int64_t age_s)
{
  const Host *h = GET(b, Host, HOST, host);
  if (!b->looks)
    b->looks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  int64_t *last = g_hash_table_lookup(b->looks, host);
  if (!h || !host_state_is_reachable(h->state) || (last && b->now_us - *last < age_s * SECOND_US))
    return;
  g_hash_table_replace(b->looks, g_strdup(host), g_memdup2(&b->now_us, sizeof b->now_us));
  b->reply = NULL;
  brain_call(b, STEP_GPU_DISCOVER, NULL, host, host);
}

void gpus_forget(Brain *b, const char *host)
{
  g_autoptr(GPtrArray) names = state_host_gpus(b->state, host);
  for (guint i = 0; i < names->len; i++) {
    g_autoptr(GPtrArray) claims = state_gpu_claims(b->state, names->pdata[i]);
    for (guint k = 0; k < claims->len; k++)
      vgpu_end(b, claims->pdata[k], "vgpu.forgotten");
    if (b->cards)
      g_hash_table_remove(b->cards, names->pdata[i]);
    state_delete(b->state, NOUN_GPU, names->pdata[i]);
  }
}
