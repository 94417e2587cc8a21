#include "tests/unit/volume_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/volume_help.h"

enum { MIB = 1 << 20 };
#define IMAGE "img-base-v1.qcow2"
#define RAW_IMAGE "img-base-v1.raw"
#define DISK "d-17.g4.qcow2"

/* ── content made by a rule ─────────────────────────────────────────────── */

typedef struct {
  int64_t from, to;
} Extent;

/* Bytes that depend on seed and offset, in up to four extents; what happens on the way is scripted. */
typedef struct {
  uint32_t seed;
  int64_t size_bytes;
  Extent extents[4];
  int64_t fail_at;            /* reading from here on fails; 0 = never */
  int64_t cancel_at;          /* reading from here on cancels the call */
  GCancellable *cancel;
  bool (*check)(void *owner, int fd, GError **err);
  bool (*on_read)(void *on_owner, GError **err);
  void *on_owner;
  int64_t reads_bytes;
} Made;

static uint8_t byte_at(uint32_t seed, int64_t offset)
{
  uint64_t x = (uint64_t)offset * UINT64_C(0x9e3779b97f4a7c15) + seed;
  return (uint8_t)((x >> 29) | 1); /* never a zero: data stays data */
}

static bool made_extent(void *owner, int64_t offset, int64_t *ret_from, int64_t *ret_to, GError **err)
{
  const Made *m = owner;
  *ret_from = *ret_to = m->size_bytes;
  for (size_t i = G_N_ELEMENTS(m->extents); i-- > 0;)
    if (m->extents[i].to > offset) {
      *ret_from = MAX(m->extents[i].from, offset);
      *ret_to = m->extents[i].to;
    }
  return true;
}

static bool made_read(void *owner, int64_t offset, void *buffer, size_t bytes, GError **err)
{
  Made *m = owner;
  m->reads_bytes += (int64_t)bytes;
  for (size_t i = 0; i < bytes; i++)
    ((uint8_t *)buffer)[i] = byte_at(m->seed, offset + (int64_t)i);
  if (m->cancel_at && offset + (int64_t)bytes > m->cancel_at)
    g_cancellable_cancel(m->cancel);
  if (m->on_read && !m->on_read(m->on_owner, err))
    return false;
  if (m->fail_at && offset + (int64_t)bytes > m->fail_at)
    return error_false(err, REASON_IO, "action", "read", "path", "source", "detail", "made to fail", NULL);
  return true;
}

static VolumeContent content_of(Made *m)
{
  return (VolumeContent){ m->size_bytes, made_extent, made_read, m->check, m };
}

static Made made(uint32_t seed, int64_t size_bytes)
{
  return (Made){ .seed = seed, .size_bytes = size_bytes, .extents = { { 0, size_bytes } } };
}

/* Fails the test unless the volume holds m's bytes, zeros between its extents, and nothing more. */
static void assert_holds(Volumes *v, const char *name, const Made *m)
{
  g_autoptr(GError) err = NULL;
  for (int64_t at = 0; at < m->size_bytes;) {
    g_autoptr(GBytes) bytes = NULL;
    assert_ok(volume_read(v, NULL, name, at, MIB, &bytes, &err), err);
    size_t n;
    const uint8_t *data = g_bytes_get_data(bytes, &n);
    assert_int_equal(n, MIN(MIB, m->size_bytes - at));
    for (size_t i = 0; i < n; i++) {
      bool is_data = false;
      for (size_t e = 0; e < G_N_ELEMENTS(m->extents); e++)
        is_data = is_data || (at + (int64_t)i >= m->extents[e].from && at + (int64_t)i < m->extents[e].to);
      if (data[i] != (is_data ? byte_at(m->seed, at + (int64_t)i) : 0))
        fail_msg("%s: byte %" G_GINT64_FORMAT " is 0x%02x", name, at + (int64_t)i, data[i]);
    }
    at += (int64_t)n;
  }
  g_autoptr(VolumeFacts) facts = NULL;
  assert_ok(volume_look(v, NULL, name, &facts, &err), err);
  assert_int_equal(facts->size_bytes, m->size_bytes);
  assert_true(facts->ours && !facts->partial);
}

static void assert_missing(Volumes *v, const char *name)
{
  g_autoptr(VolumeFacts) facts = NULL;
  g_autoptr(GError) err = NULL;
  assert_false(volume_look(v, NULL, name, &facts, &err));
  assert_reason(&err, REASON_NOT_FOUND, "name", name);
}

static const VolumeFacts *find_listed(GPtrArray *list, const char *name)
{
  for (guint i = 0; i < list->len; i++)
    if (!strcmp(((VolumeFacts *)g_ptr_array_index(list, i))->name, name))
      return g_ptr_array_index(list, i);
  return NULL;
}

static guint count_listed(Volumes *v)
{
  g_autoptr(GPtrArray) list = NULL;
  g_autoptr(GError) err = NULL;
  assert_ok(volume_list(v, NULL, &list, &err), err);
  return list->len;
}

static void put(Volumes *v, const char *name, Made *m, VolumeFlags flags)
{
  g_autoptr(GError) err = NULL;
  const VolumeContent content = content_of(m);
  assert_ok(volume_put(v, NULL, name, &content, flags, &err), err);
}

/* ── every test gets an empty storage ───────────────────────────────────── */

typedef struct {
  const VolumeSubject *subject;
  Volumes *v;
} State;

static State state_now;

static int open_empty(void **state)
{
  g_autoptr(GError) err = NULL;
  if (!volumes_open(&state_now.subject->options, NULL, &state_now.v, &err))
    fail_msg("%s", err->message);
  *state = state_now.v;
  return 0;
}

static int empty_and_close(void **state)
{
  g_autoptr(GPtrArray) list = NULL;
  if (volume_list(*state, NULL, &list, NULL))
    for (guint i = 0; i < list->len; i++)
      volume_delete(*state, NULL, ((VolumeFacts *)g_ptr_array_index(list, i))->name, NULL);
  bool left = count_listed(*state) > 0;
  volumes_close(*state);
  return left;
}

/* ── the promises ───────────────────────────────────────────────────────── */

static void storage_opens_again_and_tells_its_space(void **state)
{
  VolumeSpace space = { 0 };
  Volumes *again;
  g_autoptr(GError) err = NULL;
  assert_ok(volumes_open(&state_now.subject->options, NULL, &again, &err), err);
  assert_ok(volumes_space(again, NULL, &space, &err), err);
  assert_true(space.total_bytes > 0 && space.free_bytes > 0 && space.free_bytes <= space.total_bytes);
  g_autofree char *path = volume_path(again, DISK), *wanted = g_build_filename(state_now.subject->options.path, DISK, NULL);
  assert_string_equal(path, wanted);
  volumes_close(again);
}

static void name_that_could_be_a_path_or_an_option_is_refused(void **state)
{
  g_autofree char *long_name = g_strnfill(129, 'a');
  const char *const names[] = { "", ".", "..", "../d-1.g1.qcow2", "a/b", "/etc/passwd", "-d-1.g1.qcow2",
                                ".d-1.g1.qcow2.part", "D-1.g1.qcow2", "d-1.g1.qcow2\n", "d 1", "d\xc3\xa9", "nbd:unix",
                                long_name };
  for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(GError) err = NULL;
    g_autoptr(VolumeFacts) facts = NULL;
    g_autoptr(GBytes) bytes = NULL;
    Made m = made(1, 4096);
    const VolumeContent content = content_of(&m);
    assert_false(volume_look(*state, NULL, names[i], &facts, &err));
    assert_reason(&err, REASON_BAD_NAME, "field", "volume");
    assert_false(volume_read(*state, NULL, names[i], 0, 1, &bytes, &err));
    assert_reason(&err, REASON_BAD_NAME, "field", "volume");
    assert_false(volume_put(*state, NULL, names[i], &content, VOLUME_REPLACE, &err));
    assert_reason(&err, REASON_BAD_NAME, "field", "volume");
    assert_false(volume_copy(*state, NULL, names[i], DISK, &err));
    assert_reason(&err, REASON_BAD_NAME, "field", "volume");
    assert_false(volume_delete(*state, NULL, names[i], &err));
    assert_reason(&err, REASON_BAD_NAME, "field", "volume");
  }
}

static void foreign_name_is_never_changed(void **state)
{
  const char *const names[] = { "debian.qcow2", "img-base.qcow2", "img-base-v0.qcow2", "img-base-v01.qcow2", "img-base-v1.vmdk",
                                "img--v1", "img--base-v1.qcow2", "d-17.qcow2", "d-17.g0.qcow2", "d-17.g04.qcow2", "d-17.g4",
                                "d-17.g4.seed.iso", "d-17.g99999999999999999999.qcow2", "d-17.g4.qcow2.bak" };
  for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(GError) err = NULL;
    Made m = made(1, 4096);
    const VolumeContent content = content_of(&m);
    assert_false(volume_put(*state, NULL, names[i], &content, VOLUME_REPLACE, &err));
    assert_reason(&err, REASON_VOLUME_FOREIGN, "name", names[i]);
    assert_false(volume_delete(*state, NULL, names[i], &err));
    assert_reason(&err, REASON_VOLUME_FOREIGN, "name", names[i]);
  }
}

static void what_is_put_is_there_until_it_is_deleted(void **state)
{
  Made disk = made(7, 3 * MIB + 12345), seed = made(8, 1000);
  g_autoptr(GError) err = NULL;
  put(*state, DISK, &disk, 0);
  put(*state, "d-17.g4.seed.img", &seed, 0);
  assert_holds(*state, "d-17.g4.seed.img", &seed);
  g_autoptr(GBytes) bytes = NULL;
  assert_ok(volume_read(*state, NULL, DISK, 12345, 100, &bytes, &err), err);
  for (size_t i = 0; i < 100; i++)
    assert_int_equal(((const uint8_t *)g_bytes_get_data(bytes, NULL))[i], byte_at(7, 12345 + (int64_t)i));
  assert_int_equal(count_listed(*state), 2);
  assert_ok(volume_delete(*state, NULL, DISK, &err), err);
  assert_missing(*state, DISK);
  assert_ok(volume_delete(*state, NULL, DISK, &err), err);
  assert_int_equal(count_listed(*state), 1);
}

static void read_ends_where_the_volume_ends(void **state)
{
  Made m = made(7, 5000);
  g_autoptr(GError) err = NULL;
  put(*state, "d-17.g4.seed.img", &m, 0);
  const struct { int64_t offset; size_t bytes, got; } rows[] = { { 0, 6000, 5000 }, { 4999, 10, 1 }, { 5000, 10, 0 },
                                                                { 999999, 10, 0 }, { 100, 0, 0 } };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GBytes) bytes = NULL;
    assert_ok(volume_read(*state, NULL, "d-17.g4.seed.img", rows[i].offset, rows[i].bytes, &bytes, &err), err);
    assert_int_equal(g_bytes_get_size(bytes), rows[i].got);
  }
  g_autoptr(GBytes) bytes = NULL;
  assert_false(volume_read(*state, NULL, DISK, 0, 10, &bytes, &err));
  assert_reason(&err, REASON_NOT_FOUND, "kind", "volume");
}

static void volume_that_is_there_is_replaced_only_when_asked(void **state)
{
  Made first = made(1, 100000), second = made(2, 70000);
  g_autoptr(GError) err = NULL;
  const VolumeContent content = content_of(&second);
  put(*state, "d-17.g4.seed.img", &first, 0);
  assert_false(volume_put(*state, NULL, "d-17.g4.seed.img", &content, 0, &err));
  assert_reason(&err, REASON_EXISTS, "name", "d-17.g4.seed.img");
  assert_holds(*state, "d-17.g4.seed.img", &first);
  put(*state, "d-17.g4.seed.img", &second, VOLUME_REPLACE);
  assert_holds(*state, "d-17.g4.seed.img", &second);
  assert_int_equal(count_listed(*state), 1);
}

static void holes_stay_holes(void **state)
{
  Made m = { .seed = 3, .size_bytes = 64 * MIB };
  const Extent extents[] = { { 0, 4096 }, { 10 * MIB + 512, 10 * MIB + 70000 }, { 40 * MIB, 41 * MIB } };
  memcpy(m.extents, extents, sizeof extents);
  g_autoptr(VolumeFacts) facts = NULL;
  g_autoptr(GError) err = NULL;
  put(*state, IMAGE, &m, 0);
  g_autoptr(GBytes) end = NULL;
  assert_ok(volume_read(*state, NULL, IMAGE, 64 * MIB - 10, 100, &end, &err), err);
  assert_int_equal(g_bytes_get_size(end), 10);
  assert_ok(volume_look(*state, NULL, IMAGE, &facts, &err), err);
  assert_int_equal(facts->size_bytes, 64 * MIB);
  assert_true(facts->allocated_bytes > MIB && facts->allocated_bytes < 2 * MIB);
  g_autoptr(GBytes) part = NULL;
  assert_ok(volume_read(*state, NULL, IMAGE, 10 * MIB, MIB, &part, &err), err);
  const uint8_t *data = g_bytes_get_data(part, NULL);
  assert_int_equal(data[511], 0);
  assert_int_equal(data[512], byte_at(3, 10 * MIB + 512));
  assert_int_equal(data[69999], byte_at(3, 10 * MIB + 69999));
  assert_int_equal(data[70000], 0);
}

static void volumes_of_odd_shapes_are_whole(void **state)
{
  const Made rows[] = {
    { .seed = 1, .size_bytes = 1, .extents = { { 0, 1 } } },
    { .seed = 2, .size_bytes = 4095, .extents = { { 0, 4095 } } },
    { .seed = 3, .size_bytes = 4097, .extents = { { 0, 4097 } } },
    { .seed = 4, .size_bytes = 8192, .extents = { { 100, 101 }, { 4095, 4097 }, { 8191, 8192 } } },
    { .seed = 5, .size_bytes = 3 * MIB, .extents = { { 5, 6 } } },
    { .seed = 6, .size_bytes = 2 * MIB, .extents = { { MIB - 1, MIB + 1 } } },
    { .seed = 7, .size_bytes = 5 * MIB },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    Made m = rows[i];
    g_autofree char *name = volume_name(VOLUME_DISK_RAW, "d-1", (int64_t)i + 1);
    const VolumeContent content = content_of(&m);
    g_autoptr(GError) err = NULL;
    if (!volume_put(*state, NULL, name, &content, 0, &err))
      fail_msg("row %zu: %s", i, err->message);
    assert_holds(*state, name, &m);
  }
}

static void whole_volume_is_gone_on_with_only_by_its_own_content(void **state)
{
  Made m = made(5, 3 * MIB), other = made(6, 3 * MIB), longer = made(5, 3 * MIB + 512);
  g_autoptr(GError) err = NULL;
  put(*state, RAW_IMAGE, &m, VOLUME_RESUME | VOLUME_READ_ONLY);
  put(*state, RAW_IMAGE, &m, VOLUME_RESUME | VOLUME_READ_ONLY);
  other.extents[0] = (Extent){ 2 * MIB, 3 * MIB };
  const VolumeContent content = content_of(&other), more = content_of(&longer);
  assert_false(volume_put(*state, NULL, RAW_IMAGE, &content, VOLUME_RESUME, &err));
  assert_reason(&err, REASON_VOLUME_DIFFERS, "offset", "0");
  assert_false(volume_put(*state, NULL, RAW_IMAGE, &more, VOLUME_RESUME, &err));
  assert_reason(&err, REASON_VOLUME_DIFFERS, "offset", "3145728");
  assert_holds(*state, RAW_IMAGE, &m);
}

static void read_only_volume_says_so_and_can_be_deleted(void **state)
{
  Made m = made(5, 4096);
  g_autoptr(VolumeFacts) facts = NULL, disk = NULL;
  g_autoptr(GError) err = NULL;
  put(*state, RAW_IMAGE, &m, VOLUME_READ_ONLY);
  put(*state, DISK, &m, 0);
  assert_ok(volume_look(*state, NULL, RAW_IMAGE, &facts, &err) && volume_look(*state, NULL, DISK, &disk, &err), err);
  assert_true(facts->read_only && !disk->read_only);
  assert_ok(volume_delete(*state, NULL, RAW_IMAGE, &err), err);
  assert_missing(*state, RAW_IMAGE);
}

static void failed_put_leaves_nothing(void **state)
{
  Made broken = made(5, 5 * MIB);
  broken.fail_at = 3 * MIB;
  const VolumeContent content = content_of(&broken);
  g_autoptr(GError) err = NULL;
  assert_false(volume_put(*state, NULL, DISK, &content, 0, &err));
  assert_reason(&err, REASON_IO, "detail", "made to fail");
  assert_missing(*state, DISK);
  assert_int_equal(count_listed(*state), 0);
}

static void call_that_failed_or_was_cancelled_is_gone_on_with(void **state)
{
  Made m = { .seed = 9, .size_bytes = 9 * MIB, .extents = { { 0, 2 * MIB + 1 }, { 5 * MIB, 8 * MIB } }, .fail_at = 6 * MIB + 7 };
  const VolumeContent content = content_of(&m);
  g_autoptr(GError) err = NULL;
  g_autoptr(GCancellable) cancel = g_cancellable_new();
  const VolumeCall call = { .cancel = cancel };
  assert_false(volume_put(*state, NULL, RAW_IMAGE, &content, VOLUME_RESUME, &err));
  assert_reason(&err, REASON_IO, "detail", "made to fail");
  g_autoptr(GPtrArray) list = NULL;
  assert_ok(volume_list(*state, NULL, &list, &err), err);
  assert_int_equal(list->len, 1);
  assert_true(find_listed(list, RAW_IMAGE)->partial == state_now.subject->locks);
  m.fail_at = 0;
  m.cancel = cancel;
  m.cancel_at = 7 * MIB;
  assert_false(volume_put(*state, &call, RAW_IMAGE, &content, VOLUME_RESUME, &err));
  assert_reason(&err, REASON_CANCELLED, "what", RAW_IMAGE);
  m.cancel_at = 0;
  put(*state, RAW_IMAGE, &m, VOLUME_RESUME | VOLUME_READ_ONLY);
  assert_holds(*state, RAW_IMAGE, &m);
  assert_int_equal(count_listed(*state), 1);
}

static void part_of_another_content_leaves_no_trace_in_the_volume(void **state)
{
  const Made others[] = {
    { .seed = 1, .size_bytes = 6 * MIB, .extents = { { 0, 6 * MIB } }, .fail_at = 5 * MIB }, /* all of it differs */
    { .seed = 2, .size_bytes = 6 * MIB, .extents = { { 0, 6 * MIB } }, .fail_at = 5 * MIB }, /* data in our hole */
    { .seed = 2, .size_bytes = 6 * MIB, .extents = { { 0, MIB }, { MIB + 4096, 6 * MIB } }, .fail_at = 5 * MIB }, /* its hole */
    { .seed = 2, .size_bytes = 7 * MIB, .extents = { { 0, 7 * MIB } }, .fail_at = 6 * MIB }, /* another length */
    { .seed = 2, .size_bytes = 4 * MIB, .extents = { { 0, 4 * MIB } }, .fail_at = 3 * MIB }, /* shorter */
  };
  for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
    Made other = others[i], m = { .seed = 2, .size_bytes = 6 * MIB, .extents = { { 0, 2 * MIB }, { 4 * MIB, 5 * MIB } } };
    const VolumeContent content = content_of(&other);
    g_autoptr(GError) err = NULL;
    assert_false(volume_put(*state, NULL, RAW_IMAGE, &content, VOLUME_RESUME, &err));
    assert_reason(&err, REASON_IO, "detail", "made to fail");
    put(*state, RAW_IMAGE, &m, VOLUME_RESUME);
    assert_holds(*state, RAW_IMAGE, &m);
    assert_ok(volume_delete(*state, NULL, RAW_IMAGE, &err), err);
  }
}

static void deadline_and_cancellation_end_a_call(void **state)
{
  Made m = made(5, 4096);
  const VolumeContent content = content_of(&m);
  g_autoptr(GError) err = NULL;
  g_autoptr(GCancellable) cancel = g_cancellable_new();
  const VolumeCall late = { .deadline_us = 1 }, cancelled = { .cancel = cancel };
  g_cancellable_cancel(cancel);
  assert_false(volume_put(*state, &late, DISK, &content, 0, &err));
  assert_reason(&err, REASON_TIMEOUT, "what", DISK);
  assert_false(volume_put(*state, &cancelled, DISK, &content, 0, &err));
  assert_reason(&err, REASON_CANCELLED, "what", DISK);
  assert_int_equal(count_listed(*state), 0);
}

typedef struct {
  int64_t last_bytes, total_bytes;
  int calls;
} Progress;

static void on_progress(void *owner, int64_t done_bytes, int64_t total_bytes)
{
  Progress *p = owner;
  assert_true(done_bytes >= p->last_bytes && done_bytes <= total_bytes);
  *p = (Progress){ done_bytes, total_bytes, p->calls + 1 };
}

static void progress_counts_up_to_the_whole(void **state)
{
  Made m = { .seed = 3, .size_bytes = 12 * MIB, .extents = { { 0, 4 * MIB }, { 9 * MIB, 10 * MIB } } };
  Progress p = { 0 };
  const VolumeCall call = { .progress = on_progress, .owner = &p };
  const VolumeContent content = content_of(&m);
  g_autoptr(GError) err = NULL;
  assert_ok(volume_put(*state, &call, RAW_IMAGE, &content, VOLUME_RESUME, &err), err);
  assert_true(p.calls >= 5 && p.last_bytes == 12 * MIB && p.total_bytes == 12 * MIB);
}

static bool refuse(void *owner, int fd, GError **err)
{
  return error_false(err, REASON_BAD_VALUE, "field", "content", "value", "x", "limit", "liked", NULL);
}

static void content_that_is_refused_at_the_end_gets_no_name(void **state)
{
  Made m = made(5, 3 * MIB);
  m.check = refuse;
  const VolumeContent content = content_of(&m);
  g_autoptr(GError) err = NULL;
  assert_false(volume_put(*state, NULL, RAW_IMAGE, &content, VOLUME_RESUME, &err));
  assert_reason(&err, REASON_BAD_VALUE, "limit", "liked");
  assert_missing(*state, RAW_IMAGE);
  assert_int_equal(count_listed(*state), 0);
}

static bool write_beside(void *owner, GError **err)
{
  Made other = made(2, MIB);
  const VolumeContent content = content_of(&other);
  GError *busy = NULL;
  assert_false(volume_put(owner, NULL, RAW_IMAGE, &content, VOLUME_RESUME, &busy));
  assert_reason(&busy, REASON_VOLUME_BUSY, "name", RAW_IMAGE);
  assert_false(volume_delete(owner, NULL, RAW_IMAGE, &busy));
  assert_reason(&busy, REASON_VOLUME_BUSY, "name", RAW_IMAGE);
  return true;
}

static void second_writer_is_told(void **state)
{
  if (!state_now.subject->locks)
    skip();
  Made m = made(1, 3 * MIB);
  m.on_read = write_beside;
  m.on_owner = *state;
  put(*state, RAW_IMAGE, &m, VOLUME_RESUME);
  assert_holds(*state, RAW_IMAGE, &m);
}

enum { THREADS = 4, ROUNDS = 6 };

typedef struct {
  Volumes *v;
  int number;
  char *failed; /* why, or NULL */
} Worker;

/* cmocka's asserts belong to the main thread: a worker says what went wrong. */
static void *work(void *at)
{
  Worker *w = at;
  for (int round = 1; round <= ROUNDS && !w->failed; round++) {
    Made m = made((uint32_t)w->number, MIB + 4096 * (w->number + 1));
    const VolumeContent content = content_of(&m);
    g_autofree char *name = volume_name(VOLUME_DISK_RAW, "d-1", w->number * 100 + round);
    g_autoptr(GError) err = NULL;
    g_autoptr(VolumeFacts) facts = NULL;
    g_autoptr(GPtrArray) list = NULL;
    VolumeSpace space;
    bool ok = volume_put(w->v, NULL, name, &content, 0, &err) && volume_look(w->v, NULL, name, &facts, &err) &&
              volume_list(w->v, NULL, &list, &err) && volumes_space(w->v, NULL, &space, &err) &&
              (round % 2 || volume_delete(w->v, NULL, name, &err));
    if (!ok || facts->size_bytes != m.size_bytes || facts->partial)
      w->failed = g_strdup_printf("%s: %s", name, err ? err->message : "not as it was put");
  }
  return NULL;
}

static void threads_share_one_storage(void **state)
{
  Worker workers[THREADS] = { 0 };
  GThread *threads[THREADS];
  for (int i = 0; i < THREADS; i++) {
    workers[i] = (Worker){ *state, i, NULL };
    threads[i] = g_thread_new("worker", work, &workers[i]);
  }
  for (int i = 0; i < THREADS; i++)
    g_thread_join(threads[i]);
  for (int i = 0; i < THREADS; i++)
    if (workers[i].failed)
      fail_msg("%s", workers[i].failed);
  assert_int_equal(count_listed(*state), THREADS * ROUNDS / 2);
}

static void copy_is_a_volume_of_its_own(void **state)
{
  Made m = { .seed = 3, .size_bytes = 8 * MIB, .extents = { { 0, MIB + 5 }, { 6 * MIB, 7 * MIB } } };
  g_autoptr(VolumeFacts) facts = NULL;
  g_autoptr(GError) err = NULL;
  put(*state, RAW_IMAGE, &m, VOLUME_READ_ONLY);
  assert_ok(volume_copy(*state, NULL, RAW_IMAGE, "d-17.g4.raw", &err), err);
  assert_holds(*state, "d-17.g4.raw", &m);
  assert_ok(volume_look(*state, NULL, "d-17.g4.raw", &facts, &err), err);
  assert_false(facts->read_only);
  assert_false(volume_copy(*state, NULL, RAW_IMAGE, "d-17.g4.raw", &err));
  assert_reason(&err, REASON_EXISTS, "name", "d-17.g4.raw");
  assert_ok(volume_delete(*state, NULL, RAW_IMAGE, &err), err);
  assert_holds(*state, "d-17.g4.raw", &m);
  assert_false(volume_copy(*state, NULL, RAW_IMAGE, "d-17.g5.raw", &err));
  assert_reason(&err, REASON_NOT_FOUND, "name", RAW_IMAGE);
  assert_missing(*state, "d-17.g5.raw");
}

/* A raw image may hold what looks like qcow2, with a backing file at that: it stays raw, byte for byte. */
static void raw_volume_that_looks_like_qcow2_is_copied_as_raw(void **state)
{
  const Qcow2Overlay trap = { MIB, "/etc/passwd", "raw", "trap" };
  int64_t bytes;
  g_autoptr(GError) err = NULL;
  g_autoptr(GBytes) head = qcow2_overlay_emit(&trap, &bytes, &err), from = NULL, to = NULL;
  assert_ok(volume_put_bytes(*state, NULL, RAW_IMAGE, head, bytes, 0, &err), err);
  assert_ok(volume_copy(*state, NULL, RAW_IMAGE, "d-17.g4.raw", &err), err);
  assert_ok(volume_read(*state, NULL, RAW_IMAGE, 0, MIB, &from, &err), err);
  assert_ok(volume_read(*state, NULL, "d-17.g4.raw", 0, MIB, &to, &err), err);
  assert_int_equal(g_bytes_get_size(from), bytes);
  assert_true(g_bytes_equal(from, to));
}

static void desktop_s_volumes_are_deleted_and_no_other_s(void **state)
{
  const char *const names[] = { "d-1.g1.qcow2", "d-1.g1.seed.img", "d-1.g2.raw", "d-1.g2.seed.img", "d-1.g3.raw", "d-11.g1.raw",
                                "img-d-1-v1.raw" };
  Made m = made(1, 4096), cut = made(1, 3 * MIB);
  g_autoptr(GError) err = NULL;
  for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
    put(*state, names[i], &m, 0);
  cut.fail_at = 2 * MIB;
  const VolumeContent content = content_of(&cut);
  assert_false(volume_put(*state, NULL, "d-1.g4.raw", &content, VOLUME_RESUME, &err));
  g_clear_error(&err);
  assert_ok(volume_delete_desktop(*state, NULL, "d-1", 2, &err), err);
  assert_holds(*state, "d-1.g2.raw", &m);
  assert_holds(*state, "d-1.g2.seed.img", &m);
  assert_int_equal(count_listed(*state), 4);
  assert_ok(volume_delete_desktop(*state, NULL, "d-1", 0, &err), err);
  assert_holds(*state, "d-11.g1.raw", &m);
  assert_holds(*state, "img-d-1-v1.raw", &m);
  assert_int_equal(count_listed(*state), 2);
  assert_false(volume_delete_desktop(*state, NULL, "", 0, &err));
  assert_reason(&err, REASON_MISSING_FIELD, "field", "desktop");
  assert_int_equal(count_listed(*state), 2);
}

/* ── clones ─────────────────────────────────────────────────────────────── */

/* A qcow2 volume that stands alone, of 64 MiB: what qcow2_overlay_emit makes, without its backing file. */
static void put_image(Volumes *v, const char *name)
{
  const Qcow2Overlay base = { 64 * MIB, "/x", "raw", "image" };
  int64_t bytes;
  g_autoptr(GError) err = NULL;
  g_autoptr(GBytes) head = qcow2_overlay_emit(&base, &bytes, &err);
  gsize n;
  uint8_t *data = g_bytes_unref_to_data(g_steal_pointer(&head), &n);
  memset(data + 8, 0, 12); /* no backing file name */
  g_autoptr(GBytes) alone = g_bytes_new_take(data, n);
  assert_ok(volume_put_bytes(v, NULL, name, alone, bytes, VOLUME_READ_ONLY, &err), err);
}

static const VolumeClone clone_17_4 = { NULL, IMAGE, FORMAT_QCOW2, 128 * MIB, "0f2a/d-17/4" };

static void clone_is_provable_and_made_once(void **state)
{
  g_autoptr(GError) err = NULL;
  g_autoptr(Qcow2Header) h = NULL;
  put_image(*state, IMAGE);
  assert_ok(volume_clone(*state, NULL, DISK, &clone_17_4, &err), err);
  assert_ok(volume_prove(*state, NULL, DISK, &clone_17_4, &err), err);
  assert_ok(volume_clone(*state, NULL, DISK, &clone_17_4, &err), err);
  assert_ok(volume_header(*state, NULL, DISK, &h, &err), err);
  g_autofree char *path = volume_path(*state, IMAGE);
  assert_string_equal(h->backing_path, path);
  assert_string_equal(h->backing_format, "qcow2");
  assert_string_equal(h->tag, "0f2a/d-17/4");
  assert_int_equal(h->virtual_bytes, 128 * MIB);
}

static void clone_of_another_generation_is_in_the_way(void **state)
{
  VolumeClone next = clone_17_4;
  g_autoptr(GError) err = NULL;
  put_image(*state, IMAGE);
  assert_ok(volume_clone(*state, NULL, DISK, &clone_17_4, &err), err);
  next.tag = "0f2a/d-17/5";
  assert_false(volume_clone(*state, NULL, DISK, &next, &err));
  assert_reason(&err, REASON_VOLUME_DIFFERS, "name", DISK);
  assert_false(volume_prove(*state, NULL, DISK, &next, &err));
  assert_reason(&err, REASON_QCOW2_NOT_FRESH, "field", "tag");
  assert_ok(volume_prove(*state, NULL, DISK, &clone_17_4, &err), err);
}

static void clone_of_nothing_sound_is_refused(void **state)
{
  VolumeClone small = clone_17_4, chain = clone_17_4, raw = clone_17_4, missing = clone_17_4;
  g_autoptr(GError) err = NULL;
  put_image(*state, IMAGE);
  assert_ok(volume_clone(*state, NULL, DISK, &clone_17_4, &err), err);
  small.virtual_bytes = 64 * MIB - 512;
  chain.image = DISK;
  raw.format = FORMAT_RAW;
  raw.virtual_bytes = 1024;
  missing.image = "img-base-v2.qcow2";
  const struct { const VolumeClone *clone; Reason reason; const char *arg, *value; } rows[] = {
    { &small, REASON_BAD_VALUE, "limit", "at least the 67108864 bytes of its image" },
    { &chain, REASON_VOLUME_CHAIN, "name", DISK },
    { &raw, REASON_BAD_VALUE, "field", "disk size" },
    { &missing, REASON_NOT_FOUND, "name", "img-base-v2.qcow2" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    assert_false(volume_clone(*state, NULL, "d-17.g5.qcow2", rows[i].clone, &err));
    assert_reason(&err, rows[i].reason, rows[i].arg, rows[i].value);
  }
  assert_missing(*state, "d-17.g5.qcow2");
}

static void raw_image_that_looks_like_qcow2_is_cloned_as_raw(void **state)
{
  const VolumeClone clone = { NULL, RAW_IMAGE, FORMAT_RAW, 64 * MIB, "0f2a/d-17/4" };
  g_autoptr(GError) err = NULL;
  g_autoptr(Qcow2Header) h = NULL;
  put_image(*state, RAW_IMAGE);
  assert_ok(volume_clone(*state, NULL, DISK, &clone, &err), err);
  assert_ok(volume_header(*state, NULL, DISK, &h, &err), err);
  assert_string_equal(h->backing_format, "raw");
}

/* A written overlay is no longer the fresh one, even where only its content changed. */
static void written_clone_is_not_proven(void **state)
{
  g_autoptr(GError) err = NULL;
  g_autofree char *path = volume_path(*state, IMAGE);
  const Qcow2Overlay overlay = { 128 * MIB, path, "qcow2", "0f2a/d-17/4" };
  int64_t bytes;
  g_autoptr(GBytes) head = qcow2_overlay_emit(&overlay, &bytes, &err);
  g_autofree uint8_t *whole = g_malloc0((gsize)bytes);
  memcpy(whole, g_bytes_get_data(head, NULL), g_bytes_get_size(head));
  whole[3 * 65536 + 3] = 0x80;
  g_autoptr(GBytes) written = g_bytes_new(whole, (gsize)bytes);
  put_image(*state, IMAGE);
  assert_ok(volume_put_bytes(*state, NULL, DISK, written, bytes, 0, &err), err);
  assert_false(volume_prove(*state, NULL, DISK, &clone_17_4, &err));
  assert_reason(&err, REASON_QCOW2_NOT_FRESH, "field", "byte 196611");
  assert_ok(volume_put_bytes(*state, NULL, DISK, written, bytes + 2 * MIB, VOLUME_REPLACE, &err), err);
  assert_false(volume_prove(*state, NULL, DISK, &clone_17_4, &err));
  assert_reason(&err, REASON_QCOW2_NOT_FRESH, "field", "file size");
  assert_false(volume_clone(*state, NULL, DISK, &clone_17_4, &err));
  assert_reason(&err, REASON_VOLUME_DIFFERS, "name", DISK);
}

#define T(f) cmocka_unit_test_setup_teardown(f, open_empty, empty_and_close)

int volume_contract_run(const VolumeSubject *subject)
{
  const struct CMUnitTest tests[] = {
    T(storage_opens_again_and_tells_its_space),
    T(name_that_could_be_a_path_or_an_option_is_refused),
    T(foreign_name_is_never_changed),
    T(what_is_put_is_there_until_it_is_deleted),
    T(read_ends_where_the_volume_ends),
    T(volume_that_is_there_is_replaced_only_when_asked),
    T(holes_stay_holes),
    T(volumes_of_odd_shapes_are_whole),
    T(whole_volume_is_gone_on_with_only_by_its_own_content),
    T(read_only_volume_says_so_and_can_be_deleted),
    T(failed_put_leaves_nothing),
    T(call_that_failed_or_was_cancelled_is_gone_on_with),
    T(part_of_another_content_leaves_no_trace_in_the_volume),
    T(deadline_and_cancellation_end_a_call),
    T(progress_counts_up_to_the_whole),
    T(content_that_is_refused_at_the_end_gets_no_name),
    T(second_writer_is_told),
    T(threads_share_one_storage),
    T(copy_is_a_volume_of_its_own),
    T(raw_volume_that_looks_like_qcow2_is_copied_as_raw),
    T(desktop_s_volumes_are_deleted_and_no_other_s),
    T(clone_is_provable_and_made_once),
    T(clone_of_another_generation_is_in_the_way),
    T(clone_of_nothing_sound_is_refused),
    T(raw_image_that_looks_like_qcow2_is_cloned_as_raw),
    T(written_clone_is_not_proven),
  };
  state_now.subject = subject;
  return cmocka_run_group_tests_name(subject->title, tests, NULL, NULL);
}
