/* A backup was put in the store's place: what it says of hosts was true once. Whatever it calls clean may have had people in it since. */
#include "core/brain_parts.h"

#include <stdlib.h>
#include <string.h>

/* Numbers handed out since the backup are in the world: on domains, disks, cards of the network, in people's links. */
#define NUMBERS_AHEAD (INT64_C(1) << 24)

static bool is_old(const Desktop *d)
{
  if (d->owner || d->state == DESKTOP_RETIRING)
    return false;
  /* whatever comes of one that is touched, a reset stands between it and the next person; but one that was being reset may be done since */
  return !d->touched || d->state == DESKTOP_RESETTING;
}

void desktop_suspect(Brain *b, const char *name, const GError *err)
{
  g_autofree char *session = g_strdup(GET(b, Desktop, DESKTOP, name)->session);
  task_drop(b, GET(b, Desktop, DESKTOP, name)->task);
  desktop_set_error(b, name, err);
  text_set(&desktop_move(b, name, MOVE_SUSPECT)->session, NULL);
  if (session)
    session_end(b, session, END_FAILED, NULL);
}

/* One of a dedicated pool may be somebody's since, with all they have: an operator looks. The others are replaced. */
static void desktop_doubt(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  const Pool *pool = GET(b, Pool, POOL, d->pool);
  g_autoptr(GError) err = NULL;
  error_set(&err, REASON_RESTORED, "desktop", name, NULL);
  if (pool && pool->kind == POOL_DEDICATED && desktop_can(d, MOVE_SUSPECT)) {
    desktop_suspect(b, name, err);
    return;
  }
  g_autofree char *session = g_strdup(d->session);
  Desktop *doubtful = EDIT(b, Desktop, DESKTOP, name);
  doubtful->touched = true;
  doubtful->retire = true;
  if (session)
    session_end(b, session, END_FAILED, NULL);
  desktop_set_error(b, name, err);
  desktop_retire(b, name);
}

/* Where it was to go, and how far it came, is long past: it is looked at where the backup has it, as if nobody had moved it. */
static bool move_forget(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (!desktop_is_migrating(b, d))
    return false;
  task_drop(b, d->task);
  ref_set(&EDIT(b, Desktop, DESKTOP, name)->moving, NULL);
  return true;
}

/* What waited for the end of its move. */
static void move_settle(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (d && d->state != DESKTOP_RETIRING && d->state != DESKTOP_QUARANTINED)
    desktop_settled(b, name);
}

/* Since the backup its host may have been told to make it, and more than once, in another run than the one that it was made in then. */
static void claims_doubt(Brain *b)
{
  enum { MAY_BE_MADE = 2 };
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_VGPU);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    if (v->tries >= MAY_BE_MADE && !v->boot)
      continue;
    Vgpu *doubtful = EDIT(b, Vgpu, VGPU, names->pdata[i]);
    doubtful->tries = MAX(doubtful->tries, MAY_BE_MADE);
    text_set(&doubtful->boot, NULL);
  }
}

void restored_number(Brain *b)
{
  const Controller *self = GET(b, Controller, CONTROLLER, "controller");
  if (!self->restored)
    return;
  Controller *told = EDIT(b, Controller, CONTROLLER, "controller");
  told->numbers += NUMBERS_AHEAD;
  told->doubtful = told->numbers;
}

void restored_take_up(Brain *b)
{
  if (!GET(b, Controller, CONTROLLER, "controller")->restored)
    return;
  EDIT(b, Controller, CONTROLLER, "controller")->restored = false; /* in the batch that says what follows */
  brain_event(b, "controller.restored", NOUN_CONTROLLER, "controller", NULL, NULL);
  claims_doubt(b);
  g_autoptr(GPtrArray) names = names_copy(state_names(b->state, NOUN_DESKTOP));
  g_autoptr(GPtrArray) moved = g_ptr_array_new();
  for (guint i = 0; i < names->len; i++)
    if (move_forget(b, names->pdata[i]))
      g_ptr_array_add(moved, names->pdata[i]);
  for (guint i = 0; i < names->len; i++)
    if (is_old(GET(b, Desktop, DESKTOP, names->pdata[i])))
      desktop_doubt(b, names->pdata[i]);
  for (guint i = 0; i < moved->len; i++)
    move_settle(b, moved->pdata[i]);
}

bool restored_doubts(Brain *b, const char *desktop)
{
  const char *number = strchr(desktop, '-');
  return !number || g_ascii_strtoll(number + 1, NULL, 10) < GET(b, Controller, CONTROLLER, "controller")->doubtful;
}
