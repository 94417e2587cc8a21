/* Tasks: a list of steps on one object, journalled before and after each. A step's result is taken once; a task goes on after a crash because it
 * stands in the store as it was. */
#include "core/brain_parts.h"

#include <string.h>

enum { GRACE_S = 15, BACKOFF_FIRST_S = 1, BACKOFF_MOST_S = 60, STARTS_DEFAULT = 4, SILENT_RETRY_S = 5 };

/* Tasks that end with a desktop booting: a host runs only some of them at a time. */
static bool kind_starts_desktops(TaskKind kind)
{
  return kind == TASK_PROVISION || kind == TASK_RESET || kind == TASK_RECOVER;
}

/* Never given up: what they clean away must not stay. What left the guest has to leave the definition too, and is not freed before. Where a
 * desktop is that was moved has to be known. */
static bool goes_on_for_ever(const Task *task, StepKind step, const GError *err)
{
  return migrate_is_told_apart(step, err) || task->kind == TASK_DESTROY || task->kind == TASK_IMAGE_DELETE ||
         (task->kind == TASK_GPU_DETACH && step == STEP_DEFINE);
}

/* What a failed import left is taken away with the image, whenever its storage lets us: whoever waits for the import is told at once. What a
 * move left over there is seen there. */
static bool undoing_goes_on_for_ever(TaskKind kind, StepKind step)
{
  return kind != TASK_IMPORT && step != STEP_SWEEP;
}

/* The desktop is here, or it has arrived: nobody waits for the host at the other end. */
static bool is_far_end(StepKind step)
{
  return step == STEP_AIM || step == STEP_SWEEP || step == STEP_LEAVE;
}

/* What the others did is a person's: it stays as far as it came. So does a reset whose guest named somebody: an operator looks at it. */
static bool undoes(TaskKind kind, StepKind step, const GError *err)
{
  if (kind == TASK_MIGRATE)
    return step == STEP_MIGRATE; /* before it nothing was done, behind it it is gone from here */
  bool suspect = kind == TASK_RESET && error_is(err, REASON_GUEST_NOT_CLEAN);
  bool gpu = kind == TASK_GPU_ATTACH || kind == TASK_GPU_DETACH; /* what failed is taken out by a task of its own */
  return kind != TASK_WAKE && kind != TASK_HEAL && kind != TASK_RESEED && kind != TASK_POWER && kind != TASK_PERSONALISE && !gpu && !suspect;
}

static const char *task_host(Brain *b, const Task *task)
{
  const Desktop *d = task->noun && !strcmp(task->noun, "desktop") ? GET(b, Desktop, DESKTOP, task->object) : NULL;
  return d ? d->host : NULL;
}

/* How long a step may take: the template knows how long its guests boot. */
static int64_t step_time_s(Brain *b, const Task *task, StepKind step)
{
  const Desktop *d = step == STEP_READY ? GET(b, Desktop, DESKTOP, task->object) : NULL;
  const TemplateVersion *t = d ? GET(b, TemplateVersion, TEMPLATE, d->template) : NULL;
  return t && t->ready_s ? t->ready_s : step_rows[step].timeout_s;
}

static StepKind task_step(const Task *task)
{
  int n;
  const StepKind *steps = task_steps(task->kind, &n);
  StepKind step = task->step_index < n ? steps[task->step_index] : STEP_NONE;
  return task->undoing && step != STEP_NONE ? step_rows[step].undo : step;
}

/* ── places on a host ─────────────────────────────────────────────────────── */

static int running_on(Brain *b, const char *host)
{
  return GPOINTER_TO_INT(g_hash_table_lookup(b->running, host));
}

static void running_change(Brain *b, const char *host, int by)
{
  g_hash_table_replace(b->running, g_strdup(host), GINT_TO_POINTER(running_on(b, host) + by));
}

static bool place_free(Brain *b, const char *host)
{
  const Host *h = GET(b, Host, HOST, host);
  return running_on(b, host) < (h && h->starts ? h->starts : STARTS_DEFAULT);
}

/* true ⇔ the task has a place; else it waits at the host's gate. */
static bool gate_pass(Brain *b, const Task *task)
{
  const char *host = task_host(b, task);
  if (!kind_starts_desktops(task->kind) || !host)
    return true;
  if (place_free(b, host)) {
    running_change(b, host, 1);
    return true;
  }
  GQueue *gate = g_hash_table_lookup(b->gates, host);
  if (!gate) {
    gate = g_queue_new();
    g_hash_table_insert(b->gates, g_strdup(host), gate);
  }
  g_queue_push_tail(gate, g_strdup(task->head.name));
  return false;
}

static void gate_leave(Brain *b, const Task *task)
{
  const char *host = task_host(b, task);
  if (!kind_starts_desktops(task->kind) || !host || task->state == TASK_PENDING)
    return;
  running_change(b, host, -1);
  GQueue *gate = g_hash_table_lookup(b->gates, host);
  while (gate && !g_queue_is_empty(gate) && place_free(b, host)) {
    g_autofree char *next = g_queue_pop_head(gate);
    const Task *waiting = GET(b, Task, TASK, next);
    if (!waiting || waiting->state != TASK_PENDING)
      continue; /* dropped while it waited: the place is for the one behind it */
    running_change(b, host, 1);
    task_advance(b, next);
  }
}

/* ── the life of a task ───────────────────────────────────────────────────── */

static void object_set_task(Brain *b, const Task *task, const char *value)
{
  Noun noun = noun_find(task->noun);
  if (!state_find(b->state, noun, task->object))
    return;
  if (noun == NOUN_DESKTOP)
    text_set(&EDIT(b, Desktop, DESKTOP, task->object)->task, value);
  else if (noun == NOUN_IMAGE)
    ref_set(&EDIT(b, ImageVersion, IMAGE, task->object)->task, value);
}

static void image_task_done(Brain *b, const Task *task)
{
  if (task->kind == TASK_IMAGE_DELETE) {
    state_delete(b->state, NOUN_IMAGE, task->object);
    return;
  }
  EDIT(b, ImageVersion, IMAGE, task->object)->state = IMAGE_READY;
  brain_event(b, "image.ready", NOUN_IMAGE, task->object, task->user, NULL);
  all_pools_dirty(b);
}

static void image_task_failed(Brain *b, const Task *task, const GError *err)
{
  ImageVersion *image = EDIT(b, ImageVersion, IMAGE, task->object);
  image->state = IMAGE_FAILED;
  g_free(image->error);
  image->error = brain_error_json(err);
  brain_event(b, "image.failed", NOUN_IMAGE, task->object, task->user, image->error);
}

static void task_end(Brain *b, const char *name, TaskState state)
{
  gate_leave(b, GET(b, Task, TASK, name));
  Task *task = EDIT(b, Task, TASK, name);
  task->state = state;
  task->ended = b->now_us;
  task->next_try = 0;
  object_set_task(b, task, NULL);
  if (task->kind != TASK_MIGRATE)
    return;
  migrate_count(b, task, -1);
  leaving_look_soon(b);
  rebalancing_move_over(b);
}

static void task_finish(Brain *b, const char *name)
{
  task_end(b, name, TASK_DONE);
  const Task *task = GET(b, Task, TASK, name);
  if (!strcmp(task->noun, "desktop")) {
    g_autofree char *desktop = g_strdup(task->object);
    desktop_task_done(b, task);
    desktop_task_over(b, desktop);
  } else if (!strcmp(task->noun, "image"))
    image_task_done(b, task);
}

static void task_give_up(Brain *b, const char *name, const GError *err)
{
  task_end(b, name, error_is(err, REASON_CANCELLED) ? TASK_CANCELLED : TASK_FAILED);
  const Task *task = GET(b, Task, TASK, name);
  if (!strcmp(task->noun, "desktop")) {
    g_autofree char *desktop = g_strdup(task->object);
    desktop_task_failed(b, task, err);
    desktop_task_over(b, desktop);
  } else if (!strcmp(task->noun, "image"))
    image_task_failed(b, task, err);
}

/* Past what has nothing to undo, or nothing to do. */
static void skip_idle(Brain *b, const char *name)
{
  for (const Task *task = GET(b, Task, TASK, name); task->step_index >= 0; task = GET(b, Task, TASK, name)) {
    StepKind step = task_step(task);
    if (step == STEP_NONE ? !task->undoing : !gpu_step_is_idle(b, task, step))
      return;
    EDIT(b, Task, TASK, name)->step_index += task->undoing ? -1 : 1;
  }
}

/* Past the last one (or before the first, when undoing) the task ends. */
void task_advance(Brain *b, const char *name)
{
  skip_idle(b, name);
  const Task *at = GET(b, Task, TASK, name);
  if (at->step_index < 0) {
    g_autoptr(GError) err = brain_error_of(at->error);
    task_give_up(b, name, err);
    return;
  }
  StepKind step = task_step(at);
  if (step == STEP_NONE) {
    task_finish(b, name);
    return;
  }
  gpu_step_begins(b, at, step);
  Task *task = EDIT(b, Task, TASK, name); /* after the last question: questions put what is edited back into the indexes */
  task->state = TASK_RUNNING;
  task->attempt++;
  task->progress_pct = 0;
  if (!task->undoing) /* while it is undone it tells where it failed */
    ref_set(&task->step, step_rows[step].name);
  PendingOrder order = { step, g_strdup(name), 0, NULL, NULL, NULL, NULL };
  g_array_append_val(b->orders, order);
  /* a worker answers in time; this is for the answer that never comes */
  task->next_try = b->now_us + (step_time_s(b, task, step) + GRACE_S) * SECOND_US;
}

static Task *task_make(Brain *b, TaskKind kind, Noun noun, const char *object, const char *user)
{
  g_autofree char *name = brain_number(b, 't');
  Task *task = state_add(b->state, NOUN_TASK, name, b->now_us);
  task->kind = kind;
  ref_set(&task->noun, schemas[noun].noun);
  text_set(&task->object, object);
  ref_set(&task->user, user);
  object_set_task(b, task, name);
  return task;
}

static const char *begin(Brain *b, Task *task)
{
  g_autofree char *name = g_strdup(task->head.name);
  if (gate_pass(b, task))
    task_advance(b, name);
  return GET(b, Task, TASK, name)->head.name;
}

const char *task_begin(Brain *b, TaskKind kind, Noun noun, const char *object, const char *user)
{
  return begin(b, task_make(b, kind, noun, object, user));
}

const char *task_begin_power(Brain *b, PowerVerb verb, const char *desktop, const char *user)
{
  Task *task = task_make(b, TASK_POWER, NOUN_DESKTOP, desktop, user);
  task->verb = verb; /* it decides what the first step is */
  return begin(b, task);
}

const char *task_begin_migrate(Brain *b, const char *desktop, const char *from, const char *to, const char *user)
{
  Task *task = task_make(b, TASK_MIGRATE, NOUN_DESKTOP, desktop, user);
  ref_set(&task->from, from);
  ref_set(&task->to, to);
  migrate_count(b, task, 1);
  return begin(b, task);
}

static void task_wait(Brain *b, Task *task, int64_t seconds)
{
  task->state = TASK_WAITING;
  task->next_try = b->now_us + seconds * SECOND_US;
}

void task_begin_in(Brain *b, int64_t seconds, TaskKind kind, const char *desktop)
{
  g_assert(!kind_starts_desktops(kind));
  task_wait(b, task_make(b, kind, NOUN_DESKTOP, desktop, NULL), seconds);
}

static int64_t backoff_s(int64_t attempt)
{
  int64_t s = BACKOFF_FIRST_S << MIN(attempt - 1, 6);
  return MIN(s, BACKOFF_MOST_S);
}

static void object_set_error(Brain *b, const Task *task, const GError *err)
{
  if (!strcmp(task->noun, "desktop") && GET(b, Desktop, DESKTOP, task->object))
    desktop_set_error(b, task->object, err);
}

/* Trying again unchanged cannot help: what was asked is wrong, not the world. */
static bool error_is_final(const GError *err)
{
  ErrorClass c = error_class(err);
  return c == CLASS_INVALID || c == CLASS_TOO_LARGE || c == CLASS_UNSUPPORTED || c == CLASS_DENIED;
}

/* A task that is being undone goes on telling why it failed; that undoing fails too is news once a step. */
static void task_note_error(Brain *b, Task *task, const GError *err)
{
  char *why = brain_error_json(err);
  object_set_error(b, task, err);
  if (!task->undoing) {
    g_free(task->error);
    task->error = why;
    return;
  }
  if (task->attempt == 1)
    brain_event(b, "task.undo-failed", NOUN_TASK, task->head.name, NULL, why);
  g_free(why);
}

static void task_step_failed(Brain *b, const char *name, const GError *err)
{
  Task *task = EDIT(b, Task, TASK, name);
  StepKind step = task_step(task);
  task_note_error(b, task, err);
  bool silent = error_class(err) == CLASS_UNREACHABLE;
  bool for_ever = task->undoing ? undoing_goes_on_for_ever(task->kind, step) : goes_on_for_ever(task, step, err);
  bool someone_waits = task->kind == TASK_POWER || task->kind == TASK_WAKE || task->kind == TASK_PERSONALISE ||
                       task->kind == TASK_RESEED;
  bool waits_for_host = step_rows[step].place != ON_FILES && !someone_waits && !is_far_end(step);
  if (silent && waits_for_host) { /* not the step's fault; the host comes back, or is fenced */
    task_wait(b, task, SILENT_RETRY_S);
    return;
  }
  if (for_ever || (task->attempt < step_rows[step].tries && !error_is_final(err))) {
    task_wait(b, task, backoff_s(task->attempt));
    return;
  }
  if (task->undoing || !undoes(task->kind, step, err))
    task->step_index = -1;
  task->undoing = true;
  task->attempt = 0;
  task_advance(b, name);
}

static void task_step_worked(Brain *b, const char *name, const StepResult *result)
{
  Task *task = EDIT(b, Task, TASK, name);
  bool undoing = task->undoing;
  if (!undoing)
    g_clear_pointer(&task->error, g_free);
  task->attempt = 0;
  if (!undoing && !strcmp(task->noun, "desktop"))
    desktop_step_done(b, task, result);
  if (!undoing && result->kind == STEP_IMPORT) {
    ImageVersion *image = EDIT(b, ImageVersion, IMAGE, task->object);
    text_set(&image->sha256, result->sha256);
    image->size_bytes = result->size_bytes;
    image->virtual_bytes = result->virtual_bytes;
  }
  if (task_state_is_final(task->state))
    return; /* what the step brought to light ended the task */
  EDIT(b, Task, TASK, name)->step_index += undoing ? -1 : 1;
  if (result->kind == STEP_STAY)
    migrate_stay_told(b, name, result);
  task_advance(b, name);
}

void task_result(Brain *b, StepResult *result)
{
  const Task *task = GET(b, Task, TASK, result->task);
  bool expected = task && task->state == TASK_RUNNING && task->step_index == result->index &&
                  task->attempt == result->attempt && task_step(task) == result->kind;
  if (!expected)
    return;
  if (result->progress_only) {
    Task *running = EDIT(b, Task, TASK, result->task);
    running->progress_pct = result->progress_pct;
    running->next_try = b->now_us + (step_time_s(b, running, result->kind) + GRACE_S) * SECOND_US;
    return;
  }
  g_autofree char *name = g_strdup(result->task);
  if (result->kind == STEP_GPU_MAKE || result->kind == STEP_GPU_RELEASE || result->kind == STEP_GPU_UNPLUG)
    gpu_step_ended(b, task, result);
  if (result->kind == STEP_GPU_MAKE && result->error)
    vgpus_saved_tell(b, task->object, &result->error);
  else if (result->kind == STEP_GPU_MAKE && !task->undoing)
    vgpus_complete(b, task->object, &result->error);
  if (result->error)
    task_step_failed(b, name, result->error);
  else
    task_step_worked(b, name, result);
}

void task_due(Brain *b, const char *name)
{
  const Task *task = GET(b, Task, TASK, name);
  if (task_state_is_final(task->state)) {
    state_archive(b->state, NOUN_TASK, name);
    return;
  }
  /* a step in flight whose time and grace are over; one that waited for its next try is simply begun */
  if (task->state != TASK_RUNNING) {
    task_advance(b, name);
    return;
  }
  g_autoptr(GError) err = NULL;
  error_set(&err, REASON_TIMEOUT, "what", step_rows[task_step(task)].name, "limit", "its time", NULL);
  task_step_failed(b, name, err);
}

void task_drop(Brain *b, const char *name)
{
  const Task *task = name ? GET(b, Task, TASK, name) : NULL;
  if (!task || task_state_is_final(task->state))
    return;
  bool detach = task->kind == TASK_GPU_DETACH;
  g_autofree char *object = g_strdup(task->object);
  task_end(b, task->head.name, TASK_CANCELLED);
  if (detach)
    detach_dropped(b, object);
}

void task_cancel(Brain *b, const char *name)
{
  Task *task = EDIT(b, Task, TASK, name);
  g_autoptr(GError) err = NULL;
  error_set(&err, REASON_CANCELLED, "what", task_kind_name(task->kind), NULL);
  g_free(task->error);
  task->error = brain_error_json(err);
  if (task->state == TASK_PENDING) { /* it never had its place, and nothing is there to undo */
    task_give_up(b, name, err);
    return;
  }
  if (task->kind == TASK_POWER)
    task->step_index = -1; /* a person's: neither its parts nor its definition, with what its firmware keeps, go for that */
  task->undoing = true;
  task->attempt = 0;
  task_advance(b, name);
}

void tasks_wake_host(Brain *b, const char *host)
{
  g_autoptr(GPtrArray) desktops = state_host_desktops(b->state, host);
  for (guint i = 0; i < desktops->len; i++) {
    const Desktop *d = GET(b, Desktop, DESKTOP, desktops->pdata[i]);
    const Task *task = d->task ? GET(b, Task, TASK, d->task) : NULL;
    if (task && task->state == TASK_WAITING)
      EDIT(b, Task, TASK, d->task)->next_try = b->now_us;
  }
}

static void task_resume(Brain *b, const char *name)
{
  const Task *task = GET(b, Task, TASK, name);
  if (task->state == TASK_PENDING) {
    if (gate_pass(b, task))
      task_advance(b, name);
    return;
  }
  if (task->state == TASK_WAITING)
    return; /* its time comes */
  /* nobody knows how far the step came: it is begun again, as the same attempt */
  Task *again = EDIT(b, Task, TASK, name);
  if (again->attempt > 0)
    again->attempt--;
  task_advance(b, name);
}

static void place_resume(Brain *b, const Task *task)
{
  const char *host = task_host(b, task);
  if (host && kind_starts_desktops(task->kind) && task->state != TASK_PENDING)
    running_change(b, host, 1);
  if (task->kind == TASK_MIGRATE)
    migrate_count(b, task, 1);
}

void tasks_resume(Brain *b)
{
  g_autoptr(GPtrArray) all = state_names(b->state, NOUN_TASK), open = g_ptr_array_new();
  for (guint i = 0; i < all->len; i++) {
    const Task *task = GET(b, Task, TASK, all->pdata[i]);
    if (task_state_is_final(task->state))
      continue;
    place_resume(b, task); /* all who have a place are counted before anyone gets a new one */
    g_ptr_array_add(open, all->pdata[i]);
  }
  g_autoptr(GPtrArray) names = names_copy(g_steal_pointer(&open));
  for (guint i = 0; i < names->len; i++)
    task_resume(b, names->pdata[i]);
}

/* ── orders ───────────────────────────────────────────────────────────────── */

static void *grab(Brain *b, Noun noun, const char *name)
{
  const Object *object = name ? state_find(b->state, noun, name) : NULL;
  if (object)
    object_ref(&schemas[noun], object);
  return (void *)object;
}

/* Whose addresses a guest may not claim. */
static void order_add_house(Brain *b, StepOrder *order)
{
  if ((order->kind != STEP_READY && order->kind != STEP_GUEST_CONSOLE) || !order->template || !order->template->guest_screen)
    return;
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_HOST);
  order->house = g_ptr_array_new();
  for (guint i = 0; i < names->len; i++)
    g_ptr_array_add(order->house, grab(b, NOUN_HOST, names->pdata[i]));
}

static void order_add_desktop(Brain *b, StepOrder *order, const Task *task, const char *name)
{
  order->desktop = grab(b, NOUN_DESKTOP, name);
  if (!order->desktop)
    return;
  order->host = grab(b, NOUN_HOST, order->desktop->host);
  order->storage = grab(b, NOUN_STORAGE, order->desktop->storage);
  order->pool = grab(b, NOUN_POOL, order->desktop->pool);
  order->template = grab(b, NOUN_TEMPLATE, order->desktop->template);
  order->image = grab(b, NOUN_IMAGE, order->desktop->image);
  order->session = grab(b, NOUN_SESSION, order->desktop->session);
  order->person = order->session ? grab(b, NOUN_USER, order->session->user) : NULL;
  if (task && task->kind == TASK_MIGRATE)
    order_turn(b, order, task);
  order_add_vgpus(b, order, task, name);
  order_add_house(b, order);
}

/* A host through which the storage can be reached: by name, so that each try takes the same one. */
static const char *host_of_storage(Brain *b, const Storage *storage)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_HOST);
  const char *best = NULL;
  for (guint i = 0; i < names->len; i++) {
    const Host *h = GET(b, Host, HOST, names->pdata[i]);
    bool has = !storage->hosts || g_strv_contains((const char *const *)storage->hosts, h->head.name);
    if (has && host_state_is_reachable(h->state) && (!best || strcmp(h->head.name, best) < 0))
      best = h->head.name;
  }
  return best;
}

static void order_add_image(Brain *b, StepOrder *order, const char *name)
{
  order->image = grab(b, NOUN_IMAGE, name);
  order->storages = g_ptr_array_new();
  order->hosts = g_ptr_array_new();
  for (char **s = order->image ? order->image->storages : NULL; s && *s; s++) {
    Storage *storage = grab(b, NOUN_STORAGE, *s);
    if (!storage)
      continue;
    g_ptr_array_add(order->storages, storage);
    g_ptr_array_add(order->hosts, grab(b, NOUN_HOST, host_of_storage(b, storage)));
  }
}

/* Its task ended in the same batch. */
static bool is_taken_back(const PendingOrder *pending, const Task *task)
{
  return pending->task && (!task || task_state_is_final(task->state));
}

void orders_count(Brain *b)
{
  for (guint i = 0; i < b->orders->len; i++) {
    const PendingOrder *pending = &g_array_index(b->orders, PendingOrder, i);
    const Task *task = pending->task ? GET(b, Task, TASK, pending->task) : NULL;
    if (pending->kind == STEP_GPU_MAKE && !is_taken_back(pending, task))
      gpu_order_leaves(b, task);
  }
}

StepOrder *order_make(Brain *b, const PendingOrder *pending)
{
  const Task *task = pending->task ? GET(b, Task, TASK, pending->task) : NULL;
  if (is_taken_back(pending, task))
    return NULL;
  StepOrder *order = g_new0(StepOrder, 1);
  order->kind = pending->kind;
  order->task = g_strdup(pending->task);
  order->call = pending->call;
  order->controller = g_strdup(b->controller);
  order->timeout_us = (task ? step_time_s(b, task, pending->kind) : step_rows[pending->kind].timeout_s) * SECOND_US;
  if (pending->kind == STEP_MEASURE)
    order->storage = grab(b, NOUN_STORAGE, pending->domain);
  else
    order->domain = g_strdup(pending->domain);
  if (task) {
    order->index = task->step_index;
    order->attempt = task->attempt;
    order->verb = task->verb;
    if (!strcmp(task->noun, "image"))
      order_add_image(b, order, task->object);
    else
      order_add_desktop(b, order, task, task->object);
  } else if (pending->desktop) {
    order_add_desktop(b, order, NULL, pending->desktop);
  }
  if (!order->host && pending->host)
    order->host = grab(b, NOUN_HOST, pending->host);
  if (pending->vgpu)
    order_add_vgpu(b, order, pending->vgpu);
  order->unproven = pending->unproven;
  return order;
}
