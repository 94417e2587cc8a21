#include "core/gpu_pick.h"

#include <stdlib.h>
#include <string.h>

/* ── how much is left ─────────────────────────────────────────────────────── */

static const GpuType *type_find(const GpuCard *card, const char *id)
{
  for (guint i = 0; i < card->types->len; i++)
    if (!strcmp(((GpuType *)card->types->pdata[i])->id, id))
      return card->types->pdata[i];
  return NULL;
}

static bool spans_meet(int a, int a_size, int b, int b_size)
{
  return a < b + b_size && b < a + a_size;
}

static bool start_taken(const GpuBox *box, int start, int size)
{
  for (guint i = 0; i < box->pending->len; i++) {
    const GpuPending *p = &g_array_index(box->pending, GpuPending, i);
    const GpuType *other = type_find(box->card, p->type);
    if (other && p->start >= 0 && spans_meet(start, size, p->start, MAX(other->size, 1)))
      return true;
  }
  return false;
}

/* The first place where one may begin, or -1; *ret_room: how many fit beside each other. */
static int first_start(const GpuBox *box, const GpuType *type, int *ret_room)
{
  int first = -1, behind = 0;
  *ret_room = 0;
  for (guint i = 0; i < type->starts->len; i++) {
    int start = g_array_index(type->starts, int, i);
    if (start_taken(box, start, type->size))
      continue;
    first = first < 0 ? start : first;
    if (*ret_room && start < behind)
      continue;
    behind = start + type->size;
    ++*ret_room;
  }
  return first;
}

/* What parts of another type take from this one: by their shares of an empty card where both are told, else all of it. */
static int taken_by_other(const GpuBox *box, const GpuType *type, const GpuPending *p)
{
  const GpuType *other = type_find(box->card, p->type);
  if (box->card->same_type_only || !other || other->max <= 0 || type->max <= 0)
    return type->free;
  if (type->size && p->start >= 0)
    return 0; /* its place says it exactly */
  return (type->max + other->max - 1) / other->max;
}

int gpu_box_free(const GpuBox *box, const GpuType *type)
{
  int left = type->free;
  for (guint i = 0; i < box->pending->len; i++) {
    const GpuPending *p = &g_array_index(box->pending, GpuPending, i);
    left -= strcmp(p->type, type->id) ? taken_by_other(box, type, p) : 1;
  }
  int room = left;
  if (type->size)
    first_start(box, type, &room);
  return MAX(MIN(left, room), 0);
}

void gpu_box_take(GArray *boxes, const GpuPick *pick)
{
  GpuPending p = { pick->type, pick->address, pick->start };
  GpuBox *box = &g_array_index(boxes, GpuBox, pick->box);
  g_array_append_val(box->pending, p);
  box->ours++;
}

static int free_of_others(const GpuBox *box, const GpuType *but)
{
  int sum = 0;
  for (guint i = 0; i < box->card->types->len; i++) {
    const GpuType *type = box->card->types->pdata[i];
    sum += type == but ? 0 : gpu_box_free(box, type);
  }
  return sum;
}

/* ── one card ─────────────────────────────────────────────────────────────── */

static bool is_pending_address(const GpuBox *box, const char *address)
{
  for (guint i = 0; i < box->pending->len; i++)
    if (!g_strcmp0(g_array_index(box->pending, GpuPending, i).address, address))
      return true;
  return false;
}

/* A function that nobody has and that is not claimed, or NULL. */
static const char *idle_function(const GpuBox *box)
{
  for (guint i = 0; i < box->card->functions->len; i++)
    if (!is_pending_address(box, box->card->functions->pdata[i]))
      return box->card->functions->pdata[i];
  return NULL;
}

static bool choose_place(const GpuBox *box, const GpuType *type, GpuPick *pick)
{
  int room;
  pick->type = type->id;
  pick->start = type->size ? first_start(box, type, &room) : -1;
  pick->address = NULL;
  switch (box->card->backend) {
  case GPU_MDEV:
    return true;
  case GPU_WHOLE:
    pick->address = box->card->address;
    return true;
  case GPU_MIG:
    pick->address = idle_function(box);
    return true;
  case GPU_VENDOR_VF:
  case GPU_SRIOV:
    pick->address = idle_function(box);
    return pick->address != NULL;
  case N_GPU_BACKENDS:
    return false;
  }
  return false;
}

static bool accepts(const char *wanted, const GpuCard *card, const GpuType *type)
{
  g_autofree char *whole = g_strdup_printf("whole:%04x:%04x", card->vendor_id, card->device_id);
  return card->backend == GPU_WHOLE ? !strcmp(wanted, whole) : !strcmp(wanted, type->id);
}

/* The first rule by which the card can give nothing at all, or NULL. */
static char *card_closed(const GpuBox *box, const GpuClass *class)
{
  if (box->gpu->state != GPU_READY)
    return g_strdup_printf("it is %s", gpu_state_name(box->gpu->state));
  if (box->card->console && !box->gpu->give_console)
    return g_strdup("the host's own screen is on it (gpu change --give_console gives it away)");
  if (class->display != GPU_DISPLAY_OFF && box->card->backend != GPU_MDEV)
    return g_strdup_printf("its parts (%s) have no display, and the class wants one", gpu_backend_name(box->card->backend));
  return NULL;
}

static void tell_type(const GpuBox *box, const GpuType *type, GString *why)
{
  g_autofree char *of = type->max ? g_strdup_printf(" of %d", type->max) : g_strdup(""); /* not every card tells how many it can give in all */
  g_string_append_printf(why, "%s%s: %d%s free now, %d claimed by us, %d foreign%s", why->len ? ", " : "", type->id,
                         gpu_box_free(box, type), of, box->ours, (int)box->gpu->foreign_parts,
                         box->card->same_type_only ? ", one type at a time" : "");
}

typedef struct {
  const GpuClass *class;
  GpuPick best;
  int best_left;
  bool found;
} Search;

static void consider(Search *s, GpuBox *box, const GpuType *type, GpuPick pick)
{
  if (gpu_box_free(box, type) < 1 || !choose_place(box, type, &pick))
    return;
  int before = free_of_others(box, type);
  GpuPending p = { pick.type, pick.address, pick.start };
  g_array_append_val(box->pending, p);
  pick.stranded = before - free_of_others(box, type);
  int left = gpu_box_free(box, type);
  g_array_set_size(box->pending, box->pending->len - 1);
  bool better = !s->found || pick.rank < s->best.rank ||
                (pick.rank == s->best.rank && (pick.stranded < s->best.stranded || (pick.stranded == s->best.stranded && left < s->best_left)));
  if (!better)
    return;
  s->best = pick;
  s->best_left = left;
  s->found = true;
}

/* *why gets what the card says, if it has none to give. */
static void look_at(Search *s, GArray *boxes, guint i, GString *why)
{
  GpuBox *box = &g_array_index(boxes, GpuBox, i);
  g_autofree char *closed = card_closed(box, s->class);
  g_autoptr(GString) told = g_string_new(closed);
  for (int rank = 0; !closed && s->class->accepts && s->class->accepts[rank]; rank++)
    for (guint t = 0; t < box->card->types->len; t++) {
      const GpuType *type = box->card->types->pdata[t];
      if (!accepts(s->class->accepts[rank], box->card, type) || (type->heads && type->heads < s->class->heads))
        continue;
      tell_type(box, type, told);
      consider(s, box, type, (GpuPick){ .box = i, .rank = rank });
    }
  g_string_append_printf(why, "%s%s (%s, %s): %s", why->len ? "; " : "", box->gpu->head.name, box->gpu->model ? box->gpu->model : "card",
                         box->gpu->address, told->len ? told->str : "it has no type of the class");
}

bool gpu_pick(const GpuClass *class, const GArray *boxes, GpuPick *ret_pick, GString *why)
{
  Search s = { .class = class };
  g_autoptr(GString) told = g_string_new(NULL);
  for (guint i = 0; i < boxes->len; i++)
    look_at(&s, (GArray *)boxes, i, told);
  if (s.found)
    *ret_pick = s.best;
  else
    g_string_append(why, told->len ? told->str : "it has no graphics card");
  return s.found;
}
