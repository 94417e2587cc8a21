#include "core/state_parts.h"

#include <string.h>

static void slot_free(void *slot)
{
  Slot *s = slot;
  object_unref(&schemas[s->object->noun], s->object);
  g_free(s);
}

static void object_drop(void *object)
{
  object_unref(&schemas[((Object *)object)->noun], object);
}

State *state_new(void)
{
  State *state = g_new0(State, 1);
  for (Noun n = 0; n < N_NOUNS; n++)
    state->slots[n] = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, slot_free);
  indexes_init(state);
  state->unsettled = g_ptr_array_new();
  state->seen = g_hash_table_new(NULL, NULL);
  state->replaced = g_ptr_array_new_with_free_func(object_drop);
  state->batch = batch_new(0);
  return state;
}

void state_free(State *state)
{
  if (!state)
    return;
  indexes_done(state);
  g_ptr_array_unref(state->unsettled);
  g_hash_table_unref(state->seen);
  g_ptr_array_unref(state->replaced);
  for (Noun n = 0; n < N_NOUNS; n++)
    g_hash_table_unref(state->slots[n]);
  batch_free(state->batch);
  g_free(state);
}

/* ── objects ──────────────────────────────────────────────────────────────── */

static Slot *slot_add(State *state, Object *take_object)
{
  state->changes++;
  Slot *slot = g_new0(Slot, 1);
  slot->object = take_object;
  slot->change = -1;
  slot->link.data = slot;
  bool fresh = g_hash_table_insert(state->slots[take_object->noun], take_object->name, slot);
  g_assert(fresh);
  g_ptr_array_add(state->unsettled, slot);
  return slot;
}

static void slot_note_change(State *state, Slot *slot, int how)
{
  GArray *changes = state->batch->changes;
  if (slot->change < 0) {
    Change change = { slot->object->noun, CHANGE_PUT, slot->object };
    object_ref(&schemas[change.noun], change.object);
    slot->change = changes->len;
    g_array_append_val(changes, change);
  }
  g_array_index(changes, Change, slot->change).how = how;
}

void state_load(State *state, Object *take_object)
{
  slot_add(state, take_object);
}

static Slot *slot_find(State *state, Noun noun, const char *name)
{
  return name ? g_hash_table_lookup(state->slots[noun], name) : NULL;
}

const Object *state_find(State *state, Noun noun, const char *name)
{
  Slot *slot = slot_find(state, noun, name);
  return slot ? slot->object : NULL;
}

/* A private copy in its place. */
static Object *slot_copy(State *state, Slot *slot)
{
  Object *old = slot->object, *copy = object_dup(&schemas[old->noun], old);
  slot->object = copy;
  g_hash_table_steal(state->slots[old->noun], old->name);  /* the key is the object's own name */
  g_hash_table_insert(state->slots[old->noun], copy->name, slot);
  g_ptr_array_add(state->replaced, old);
  return copy;
}

void *state_edit(State *state, Noun noun, const char *name, int64_t now_us)
{
  Slot *slot = slot_find(state, noun, name);
  g_assert(slot);
  state->changes++;
  unsettle(state, slot);
  slot->observed = false;
  if (slot->change >= 0)
    return slot->object;
  Object *copy = slot_copy(state, slot);
  copy->generation++;
  copy->changed_us = now_us;
  slot_note_change(state, slot, CHANGE_PUT);
  return copy;
}

void *state_observe(State *state, Noun noun, const char *name)
{
  Slot *slot = slot_find(state, noun, name);
  g_assert(slot);
  if (slot->change >= 0)
    return slot->object; /* private already, and on its way */
  bool settled = slot->indexed;
  unsettle(state, slot);
  slot->observed = settled || slot->observed;
  g_hash_table_add(state->seen, slot);
  return slot_copy(state, slot);
}

GPtrArray *state_take_seen(State *state)
{
  if (!g_hash_table_size(state->seen))
    return NULL;
  GPtrArray *objects = g_ptr_array_new_with_free_func(object_drop);
  GHashTableIter i;
  void *slot;
  g_hash_table_iter_init(&i, state->seen);
  while (g_hash_table_iter_next(&i, &slot, NULL)) {
    Object *object = ((Slot *)slot)->object;
    object_ref(&schemas[object->noun], object);
    g_ptr_array_add(objects, object);
  }
  g_hash_table_remove_all(state->seen);
  return objects;
}

void *state_add(State *state, Noun noun, const char *name, int64_t now_us)
{
  Object *object = object_new(&schemas[noun], noun, name);
  object->created_us = object->changed_us = now_us;
  Slot *slot = slot_add(state, object);
  slot_note_change(state, slot, CHANGE_PUT);
  return object;
}

void state_put(State *state, Object *take_object, int64_t now_us)
{
  Noun noun = take_object->noun;
  take_object->changed_us = now_us;
  if (!slot_find(state, noun, take_object->name)) {
    take_object->created_us = now_us;
    Slot *slot = slot_add(state, take_object);
    slot_note_change(state, slot, CHANGE_PUT);
    return;
  }
  Object *edited = state_edit(state, noun, take_object->name, now_us);
  Slot *slot = slot_find(state, noun, edited->name);
  take_object->generation = edited->generation;
  take_object->created_us = edited->created_us;
  g_hash_table_steal(state->slots[noun], edited->name);
  slot->object = take_object;
  g_hash_table_insert(state->slots[noun], take_object->name, slot);
  Change *change = &g_array_index(state->batch->changes, Change, slot->change);
  object_unref(&schemas[noun], change->object);
  change->object = take_object;
  object_ref(&schemas[noun], take_object);
  g_ptr_array_add(state->replaced, edited);
}

static void slot_remove(State *state, Noun noun, const char *name, int how)
{
  Slot *slot = slot_find(state, noun, name);
  g_assert(slot);
  state->changes++;
  slot_index(state, slot, false);
  slot_touch(state, slot->object);
  if (state->touched && noun == NOUN_HOST)
    state->touched->gone = true;
  g_ptr_array_remove_fast(state->unsettled, slot);
  g_hash_table_remove(state->seen, slot);
  slot_note_change(state, slot, how);
  g_hash_table_remove(state->slots[noun], slot->object->name);
}

void state_delete(State *state, Noun noun, const char *name)
{
  slot_remove(state, noun, name, CHANGE_DELETE);
}

void state_archive(State *state, Noun noun, const char *name)
{
  slot_remove(state, noun, name, CHANGE_ARCHIVE);
}

void state_prune(State *state, const Prune *prune)
{
  g_array_append_val(state->batch->prunes, *prune);
}

int64_t state_changes(const State *state) { return state->changes; }

bool state_changed(const State *state) { return state->batch->changes->len || state->batch->prunes->len; }

Batch *state_take_batch(State *state, int64_t sequence)
{
  settle(state);
  g_ptr_array_set_size(state->replaced, 0);
  if (!state_changed(state))
    return NULL;
  for (guint i = 0; i < state->batch->changes->len; i++) {
    Change *c = &g_array_index(state->batch->changes, Change, i);
    Slot *slot = slot_find(state, c->noun, c->object->name);
    if (slot && c->noun == NOUN_EVENT)
      g_hash_table_remove(state->slots[NOUN_EVENT], c->object->name); /* history from now on: nobody decides by it */
    else if (slot)
      slot->change = -1;
  }
  Batch *batch = state->batch;
  batch->sequence = sequence;
  state->batch = batch_new(0);
  return batch;
}
