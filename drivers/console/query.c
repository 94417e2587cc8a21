#include "drivers/console/query.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "drivers/console/upstream.h"

enum { ANSWER_MAX_BYTES = 4 << 20 };

struct Query {
  Upstream *upstream;
  Loop *loop;
  Deadline deadline;
  GByteArray *body;
  QueryAnswer answer;
  void *owner;
};

static void *wiped_malloc(size_t n) { return malloc(n); }

static void wiped_free(void *data)
{
  if (data)
    explicit_bzero(data, malloc_usable_size(data));
  free(data);
}

void query_init(void)
{
  json_set_alloc_funcs(wiped_malloc, wiped_free);
}

void query_cancel(Query *query)
{
  if (!query)
    return;
  upstream_free(query->upstream);
  deadline_clear(&query->deadline);
  if (query->body->len)
    explicit_bzero(query->body->data, query->body->len);
  g_byte_array_unref(query->body);
  loop_bury(query->loop, query, g_free);
}

static void query_fail(Query *query, const GError *error)
{
  query->answer(query->owner, 0, NULL, error);
  query_cancel(query);
}

json_t *query_document(const char *bytes, size_t n)
{
  return json_loadb(bytes, n, JSON_REJECT_DUPLICATES, NULL);
}

static void query_done(Query *query)
{
  json_t *document = query_document((const char *)query->body->data, query->body->len);
  query->answer(query->owner, upstream_head(query->upstream)->status, document, NULL);
  json_decref(document);
  query_cancel(query);
}

static void query_changed(void *owner)
{
  Query *query = owner;
  uint8_t *room = loop_scratch(query->loop);
  size_t n;
  UpstreamStep step;
  while ((step = upstream_next(query->upstream, room, SCRATCH_BYTES, &n)) == UPSTREAM_HEAD || step == UPSTREAM_DATA) {
    g_byte_array_append(query->body, room, (guint)n);
    explicit_bzero(room, n);
    if (query->body->len > ANSWER_MAX_BYTES) {
      g_autoptr(GError) error = NULL;
      error_set(&error, REASON_CONTROLLER_AWAY, "detail", "its answer is too long", NULL);
      query_fail(query, error);
      return;
    }
  }
  if (step == UPSTREAM_FAILED)
    query_fail(query, upstream_error(query->upstream));
  if (step == UPSTREAM_END)
    query_done(query);
}

static void query_passed(Deadline *deadline)
{
  Query *query = (Query *)((char *)deadline - offsetof(Query, deadline));
  g_autoptr(GError) error = NULL;
  error_set(&error, REASON_TIMEOUT, "what", "the controller's answer", "limit", "the time it has", NULL);
  query_fail(query, error);
}

static GByteArray *request_of(const char *path, json_t *body)
{
  char *text = json_dumps(body, JSON_COMPACT);
  g_autofree char *head = g_strdup_printf("POST %s HTTP/1.1\r\nHost: sarangd\r\nConnection: close\r\n"
                                          "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", path, strlen(text));
  GByteArray *request = g_byte_array_sized_new((guint)(strlen(head) + strlen(text)));
  g_byte_array_append(request, (const guint8 *)head, (guint)strlen(head));
  g_byte_array_append(request, (const guint8 *)text, (guint)strlen(text));
  wiped_free(text);
  json_decref(body);
  return request;
}

Query *query_new(Loop *loop, const QueryAsk *ask)
{
  Query *query = g_new0(Query, 1);
  query->loop = loop;
  query->answer = ask->answer;
  query->owner = ask->owner;
  query->body = g_byte_array_sized_new(4096);
  query->deadline.passed = query_passed;
  UpstreamAsk post = { .socket_path = ask->socket_path, .request = request_of(ask->path, ask->body), .patience = ask->patience,
                       .changed = query_changed, .owner = query };
  query->upstream = upstream_new(loop, &post);
  deadline_set(loop, &query->deadline, ask->patience);
  return query;
}
