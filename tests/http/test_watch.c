/* Streams of changes: who sees which, how they are resumed, and how they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "tests/http/scene.h"

static Scene *scene;

static int set_up(void **state)
{
  static const char *const sets[] = { "http.watchers=40", "http.watcher_bytes=65536", NULL };
  scene = scene_new(sets);
  return 0;
}

static int tear_down(void **state)
{
  scene_free(scene);
  return 0;
}

/* A stream that has said it is ready. */
static int watch(const char *token, const char *query, const char *headers)
{
  int fd = client_connect(scene->gateway);
  g_autofree char *text =
      g_strdup_printf("GET /api/v1/watch%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n", query, token, headers);
  client_send(fd, text, strlen(text));
  g_autofree char *head = client_read_until(fd, "event: ready\n");
  assert_non_null(head);
  assert_non_null(strstr(head, "HTTP/1.1 200"));
  assert_non_null(strstr(head, "text/event-stream"));
  return fd;
}

static void *desktop(const char *name, const char *owner)
{
  Desktop *d = (Desktop *)object_new(&schemas[NOUN_DESKTOP], NOUN_DESKTOP, name);
  ref_set(&d->owner, owner);
  return d;
}

/* What came up to an event of which everybody is told: a change of the pool that alice may use. */
static char *read_to_mark(int fd, const char *who)
{
  static int marks;
  Pool *pool = (Pool *)object_new(&schemas[NOUN_POOL], NOUN_POOL, "office");
  const char *const users[] = { "alice", who, NULL };
  list_set(&pool->users, users);
  g_autofree char *title = g_strdup_printf("mark %d", ++marks);
  text_set(&pool->title, title);
  fake_put(scene->runtime, pool);
  return client_read_until(fd, title);
}

static void staff_sees_every_change(void **state)
{
  int fd = watch(scene->viewer, "", "");
  fake_put(scene->runtime, desktop("d-50", "alice"));
  fake_delete(scene->runtime, NOUN_DESKTOP, "d-50");
  g_autofree char *text = read_to_mark(fd, NULL);
  const char *put = strstr(text, "event: desktop.put\ndata: {\"");
  assert_non_null(put);
  assert_non_null(strstr(put, "\"d-50\""));
  assert_non_null(strstr(put, "event: desktop.delete\n"));
  assert_non_null(strstr(text, "\nid: "));
  close(fd);
}

static void people_see_what_is_theirs(void **state)
{
  int fd = watch(scene->bob, "", "");
  fake_put(scene->runtime, desktop("d-51", "alice"));
  fake_put(scene->runtime, desktop("d-52", "bob"));
  g_autofree char *text = read_to_mark(fd, "bob");
  assert_null(strstr(text, "d-51"));
  assert_non_null(strstr(text, "d-52"));
  assert_null(strstr(text, "\"users\""));
  close(fd);
}

static void what_is_no_longer_theirs_is_gone(void **state)
{
  fake_put(scene->runtime, desktop("d-53", "bob"));
  int fd = watch(scene->bob, "", "");
  fake_put(scene->runtime, desktop("d-53", "alice"));
  fake_put(scene->runtime, desktop("d-53", "alice"));
  g_autofree char *text = read_to_mark(fd, "bob");
  static const char event[] = "event: desktop.delete\ndata: {\"name\":\"d-53\"}";
  const char *gone = strstr(text, event);
  assert_non_null(gone);
  assert_null(strstr(gone + strlen(event), "d-53"));
  close(fd);
}

static void nouns_are_chosen(void **state)
{
  int fd = watch(scene->viewer, "?nouns=pool,session", "");
  fake_put(scene->runtime, desktop("d-54", "alice"));
  g_autofree char *text = read_to_mark(fd, NULL);
  assert_null(strstr(text, "d-54"));
  close(fd);
}

static void secrets_are_not_streamed(void **state)
{
  int fd = watch(scene->administrator, "", "");
  fake_user(scene->runtime, "hugo", ROLE_USER, "$argon2id$something", false);
  g_autofree char *token = fake_token(scene->runtime, "hugo", 3600);
  fake_put(scene->runtime, object_new(&schemas[NOUN_TICKET], NOUN_TICKET, "some-ticket"));
  g_autofree char *text = read_to_mark(fd, NULL);
  assert_non_null(strstr(text, "hugo"));
  assert_null(strstr(text, "argon2id"));
  assert_null(strstr(text, "some-ticket"));
  assert_null(strstr(text, "\"hash\""));
  close(fd);
}

static int64_t sequence_now(void) { return published_sequence(runtime_published(scene->runtime)); }

static void a_stream_is_resumed_where_it_was_left(void **state)
{
  int64_t before = sequence_now();
  fake_put(scene->runtime, desktop("d-55", "alice"));
  fake_put(scene->runtime, desktop("d-56", "alice"));
  g_autofree char *after = g_strdup_printf("?after=%" G_GINT64_FORMAT, before),
                  *seen = g_strdup_printf("Last-Event-ID: %" G_GINT64_FORMAT "\r\n", before + 1);
  int first = watch(scene->viewer, after, ""), second = watch(scene->viewer, after, seen);
  g_autofree char *all = client_read_until(first, "\"d-56\""), *rest = client_read_until(second, "\"d-56\"");
  assert_non_null(strstr(all, "\"d-55\""));
  assert_null(strstr(rest, "\"d-55\""));
  close(first);
  close(second);
}

static void what_is_too_long_ago_is_listed_anew(void **state)
{
  for (int i = 0; i < PUBLISHED_CHANGES + 10; i++)
    fake_put(scene->runtime, desktop("d-57", "alice"));
  int fd = watch(scene->viewer, "?after=1", "");
  g_autofree char *text = client_read_until(fd, "event: reset\ndata: {\"sequence\":");
  assert_non_null(text);
  close(fd);
}

/* Somebody lost something between the list and the stream: nobody can say what any more. */
static void a_doubtful_loss_is_listed_anew(void **state)
{
  fake_put(scene->runtime, desktop("d-58", "bob"));
  g_autofree char *after = g_strdup_printf("?after=%" G_GINT64_FORMAT, sequence_now());
  fake_put(scene->runtime, desktop("d-58", "alice"));
  int fd = watch(scene->bob, after, "");
  g_autofree char *text = client_read_until(fd, "event: reset");
  assert_non_null(text);
  assert_null(strstr(text, "d-58"));
  close(fd);
}

static void a_stream_ends_with_the_login(void **state)
{
  g_autofree char *revoked = fake_token(scene->runtime, "vera", 3600), *disabled = fake_token(scene->runtime, "otto", 3600);
  int by_token = watch(revoked, "", ""), by_user = watch(disabled, "", "");
  g_autofree char *name = g_strndup(revoked, strcspn(revoked, "."));
  fake_delete(scene->runtime, NOUN_TOKEN, name);
  g_autofree char *rest = client_read_until(by_token, "0\r\n\r\n");
  assert_non_null(rest);
  fake_user(scene->runtime, "otto", ROLE_OPERATOR, NULL, true);
  g_autofree char *end = client_read_until(by_user, "0\r\n\r\n");
  assert_non_null(end);
  fake_user(scene->runtime, "otto", ROLE_OPERATOR, NULL, false);
  close(by_token);
  close(by_user);
}

/* Whoever sits between would cut a stream on which nothing is said; and a login ends by the clock too, without any change. */
static void a_quiet_stream_gives_signs_of_life(void **state)
{
  static const char *const sets[] = { "http.watch_beat_s=1", NULL };
  Scene *other = scene_new(sets), *kept = scene;
  scene = other;
  g_autofree char *brief = fake_token(other->runtime, "vera", 2);
  int fd = watch(other->viewer, "", ""), ends = watch(brief, "", "");
  int64_t begin_us = g_get_monotonic_time();
  for (int i = 0; i < 2; i++) {
    g_autofree char *beat = client_read_until(fd, ": here\n\n");
    assert_non_null(beat);
  }
  assert_in_range(g_get_monotonic_time() - begin_us, G_USEC_PER_SEC, 8 * G_USEC_PER_SEC); /* two of them, not a stream of them */
  g_autofree char *end = client_read_until(ends, "0\r\n\r\n");
  assert_non_null(end);
  assert_false(client_is_closed(fd, 0));
  close(fd);
  close(ends);
  scene = kept;
  scene_free(other);
}

static void a_slow_reader_is_cut_and_others_are_not(void **state)
{
  int slow = watch(scene->viewer, "?nouns=desktop", ""), quick = watch(scene->viewer, "?nouns=pool", "");
  struct pollfd hang_up = { slow, 0, 0 };
  for (int i = 0; i < 20000 && !(hang_up.revents & POLLHUP); i++) {
    fake_put(scene->runtime, desktop("d-59", "alice"));
    if (i % 256 == 0) {
      g_autofree char *mark = read_to_mark(quick, NULL);
      assert_non_null(mark);
      poll(&hang_up, 1, 0);
    }
  }
  g_autofree char *end = client_read_until(slow, "0\r\n\r\n");
  assert_non_null(end);
  close(slow);
  close(quick);
}

static void streams_have_a_limit(void **state)
{
  int fds[32];
  for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
    fds[i] = watch(scene->alice, "", "");
  g_autoptr(Response) more = client_ask(scene->gateway, "GET", "/api/v1/watch", scene->alice, NULL, NULL);
  assert_int_equal(more->status, 503);
  assert_string_equal(response_code(more), "server-busy");
  int other = watch(scene->bob, "", ""); /* one user's streams are not everybody's */
  close(other);
  for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
    close(fds[i]);
}

static void a_server_that_stops_ends_its_streams(void **state)
{
  Scene *other = scene_new(NULL), *kept = scene;
  scene = other;
  int fds[8];
  for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
    fds[i] = watch(i % 2 ? other->alice : other->viewer, "", "");
  scene_free(other);
  scene = kept;
  for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
    assert_true(client_is_closed(fds[i], 1000));
    close(fds[i]);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(staff_sees_every_change),
    cmocka_unit_test(people_see_what_is_theirs),
    cmocka_unit_test(what_is_no_longer_theirs_is_gone),
    cmocka_unit_test(nouns_are_chosen),
    cmocka_unit_test(secrets_are_not_streamed),
    cmocka_unit_test(a_stream_is_resumed_where_it_was_left),
    cmocka_unit_test(what_is_too_long_ago_is_listed_anew),
    cmocka_unit_test(a_doubtful_loss_is_listed_anew),
    cmocka_unit_test(a_stream_ends_with_the_login),
    cmocka_unit_test(a_quiet_stream_gives_signs_of_life),
    cmocka_unit_test(a_slow_reader_is_cut_and_others_are_not),
    cmocka_unit_test(streams_have_a_limit),
    cmocka_unit_test(a_server_that_stops_ends_its_streams),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
