#include "drivers/http/history.h"

#include "drivers/http/caller.h"
#include "drivers/http/reply.h"
#include "drivers/http/runs.h"
#include "drivers/http/select.h"

enum { READS_WAITING_MAX = 64 };

/* What a reader's thread is asked and what it found. */
typedef struct {
  Select select;
  Object *object;
  GPtrArray *objects;
  char *reached;      /* the last row looked at, where there may be more behind it that nobody looked at; else NULL */
} Reading;

static void reading_free(void *data)
{
  Reading *r = data;
  published_drop(r->object);
  g_clear_pointer(&r->objects, g_ptr_array_unref);
  g_free(r->reached);
  g_free(r);
}

static Reading *reading_new(Exchange *x)
{
  Reading *r = g_new0(Reading, 1);
  x->work = r;
  x->free_work = reading_free;
  return r;
}

static StoreReader *reader_take(Server *server, GError **err)
{
  StoreReader *reader = g_async_queue_try_pop(server->idle_readers);
  Store *store = runtime_store(server->runtime);
  return reader ? reader : store->driver->reader_open(store, err);
}

void history_close(Server *server)
{
  for (StoreReader *reader; (reader = g_async_queue_try_pop(server->idle_readers));)
    reader->driver->reader_close(reader);
}

/* ── one object ───────────────────────────────────────────────────────────── */

/* Live until they end, then kept. */
static bool noun_has_past(Noun noun)
{
  return noun == NOUN_SESSION || noun == NOUN_TASK || noun == NOUN_DESKTOP || noun == NOUN_EVENT;
}

static void find_job(Exchange *x)
{
  Reading *r = x->work;
  StoreReader *reader = reader_take(x->server, &x->failure);
  if (!reader)
    return;
  r->object = reader->driver->find(reader, api_rows[x->verb].noun, x->name, &x->failure);
  g_async_queue_push(x->server->idle_readers, reader);
}

static bool not_found(const Exchange *x, GError **err)
{
  return error_false(err, REASON_NOT_FOUND, "kind", schemas[api_rows[x->verb].noun].noun, "name", x->name, NULL);
}

static bool found(Exchange *x, GError **err)
{
  const Reading *r = x->work;
  if (!caller_may(x, r->object, err))
    return false;
  reply_read_object(x, api_rows[x->verb].noun, r->object);
  return true;
}

bool history_find(Exchange *x, GError **err)
{
  /* who may see none of the noun learns that first */
  if (!noun_has_past(api_rows[x->verb].noun))
    return caller_may(x, NULL, err) && not_found(x, err);
  reading_new(x);
  return exchange_work(x, x->server->readers, READS_WAITING_MAX, "reads of the past", find_job, found, err);
}

/* ── a list ───────────────────────────────────────────────────────────────── */

/* Takes what the caller asked for out of a page of the store. */
static void keep_wanted(Reading *r, const GPtrArray *page)
{
  for (guint i = 0; i < page->len && r->objects->len <= r->select.limit; i++) {
    Object *object = page->pdata[i];
    if (!select_takes(object, &r->select))
      continue;
    object_ref(&schemas[r->select.noun], object);
    g_ptr_array_add(r->objects, object);
  }
}

static bool wants_more(const Reading *r) { return r->objects->len <= (guint)r->select.limit; }

/* One request looks at no more than so many pages, however few of their rows are wanted: who asked goes on behind the last. */
static void pages_read(Reading *r, StoreReader *reader, GError **err)
{
  enum { PAGES_MAX = 32 };
  int size = select_takes_all(&r->select) ? (int)r->select.limit + 1 : SELECT_LIMIT_MAX;
  r->reached = g_strdup(r->select.after);
  for (int pages = 0; pages < PAGES_MAX && wants_more(r); pages++) {
    g_autoptr(GPtrArray) page = reader->driver->history(reader, r->select.noun, r->reached, size, err);
    if (page)
      keep_wanted(r, page);
    g_clear_pointer(&r->reached, g_free);
    if (!page || (int)page->len < size)
      return;
    r->reached = g_strdup(((const Object *)page->pdata[page->len - 1])->name);
  }
}

static void list_job(Exchange *x)
{
  Reading *r = x->work;
  StoreReader *reader = reader_take(x->server, &x->failure);
  if (!reader)
    return;
  r->objects = g_ptr_array_new_with_free_func(published_drop);
  pages_read(r, reader, &x->failure);
  g_async_queue_push(x->server->idle_readers, reader);
}

static bool listed(Exchange *x, GError **err)
{
  Reading *r = x->work;
  GString *text = g_string_sized_new(4096);
  select_append(&r->select, r->objects, r->reached, published_sequence(runtime_published(x->server->runtime)), text);
  reply_json(x, 200, text);
  return true;
}

bool history_run(Exchange *x, GError **err)
{
  Reading *r = reading_new(x);
  return caller_may(x, NULL, err) && select_init(&r->select, x, err) &&
         exchange_work(x, x->server->readers, READS_WAITING_MAX, "reads of the past", list_job, listed, err);
}
