/* Images that people bring: what is refused before and after it was copied, what an import leaves when it is cut short, and
 * that no desktop ever writes to the image it stands on. */
#include "drivers/volume/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "drivers/volume/fake.h"
#include "tests/unit/volume_help.h"

enum { MIB = 1 << 20 };
#define QCOW2 "img-a-v1.qcow2"
#define RAW "img-a-v1.raw"

typedef struct {
  char *dir, *pool;
  Volumes *v;
} State;

static int setup(void **state)
{
  State *s = g_new0(State, 1);
  g_autoptr(GError) err = NULL;
  s->dir = tmp_make();
  s->pool = tmp_path(s->dir, "pool");
  const VolumesOptions options = { VOLUMES_DIR, "fast", s->pool, .create = true };
  assert_ok(volumes_open(&options, NULL, &s->v, &err), err);
  *state = s;
  return 0;
}

static int teardown(void **state)
{
  State *s = *state;
  volumes_close(s->v);
  tmp_remove(s->dir);
  g_free(s->pool);
  g_free(s);
  return 0;
}

/* A file of n bytes that are no zeros. */
static void write_noise(const char *path, size_t n)
{
  g_autofree uint8_t *bytes = g_malloc(n);
  for (size_t i = 0; i < n; i++)
    bytes[i] = (uint8_t)((i * UINT64_C(0x9e3779b97f4a7c15) >> 40) | 1);
  file_write(path, bytes, n);
}

/* A qcow2 image of 64 MiB with 5 MiB of data. */
static char *make_qcow2(const State *s, const char *name)
{
  char *path = tmp_path(s->dir, name);
  run_ok("qemu-img", "create", "-q", "-f", "qcow2", path, "64M");
  run_ok("qemu-io", "-f", "qcow2", "-c", "write -q -P 7 0 3M", "-c", "write -q -P 8 60M 2M", path);
  return path;
}

static ImageImport import_of(const char *source, ImageFormat format)
{
  return (ImageImport){ source, format, format == FORMAT_RAW ? RAW : QCOW2, NULL, 0 };
}

static guint count_files(const State *s)
{
  g_autoptr(GPtrArray) list = NULL;
  g_autoptr(GError) err = NULL;
  assert_ok(volume_list(s->v, NULL, &list, &err), err);
  return list->len;
}

/* All of a volume, read through the contract, is what its import hashed. */
static void assert_holds(Volumes *volumes, const char *name, const char *sha256)
{
  g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
  g_autoptr(GError) err = NULL;
  gsize n = 1;
  for (int64_t at = 0; n; at += (int64_t)n) {
    g_autoptr(GBytes) part = NULL;
    assert_ok(volume_read(volumes, NULL, name, at, VOLUME_READ_MAX_BYTES, &part, &err), err);
    n = g_bytes_get_size(part);
    g_checksum_update(sum, g_bytes_get_data(part, NULL), (gssize)n);
  }
  assert_string_equal(g_checksum_get_string(sum), sha256);
}

/* ── what is taken ──────────────────────────────────────────────────────── */

static void import_keeps_bytes_holes_and_hash(void **state)
{
  State *s = *state;
  g_autofree char *source = make_qcow2(s, "a.qcow2"), *stored = volume_path(s->v, QCOW2), *hash = file_sha256(source);
  const ImageImport import = import_of(source, FORMAT_QCOW2);
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  struct stat st, src;
  assert_ok(image_import(s->v, NULL, &import, &facts, &err), err);
  assert_string_equal(facts.sha256, hash);
  assert_int_equal(facts.virtual_bytes, 64 * MIB);
  assert_int_equal(stat(stored, &st) | stat(source, &src), 0);
  assert_int_equal(facts.size_bytes, src.st_size);
  assert_int_equal(st.st_mode & 07777, 0444);
  assert_true(st.st_blocks <= src.st_blocks);
  run_ok("cmp", source, stored);
  assert_holds(s->v, QCOW2, facts.sha256);
}

static void sparse_raw_stays_sparse(void **state)
{
  State *s = *state;
  g_autofree char *source = tmp_path(s->dir, "sparse.raw"), *stored = volume_path(s->v, RAW);
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  struct stat st;
  write_noise(source, 100000);
  run_ok("truncate", "-s", "40M", source);
  g_autofree char *hash = file_sha256(source);
  const ImageImport import = import_of(source, FORMAT_RAW);
  assert_ok(image_import(s->v, NULL, &import, &facts, &err), err);
  assert_string_equal(facts.sha256, hash);
  assert_int_equal(stat(stored, &st), 0);
  assert_true(st.st_size == 40 * MIB && st.st_blocks * 512 < MIB);
  assert_holds(s->v, RAW, facts.sha256);
}

/* Said to be raw, it is raw: nobody looks for a header, and its size is the file's. */
static void raw_that_looks_like_qcow2_stays_raw(void **state)
{
  State *s = *state;
  g_autofree char *base = make_qcow2(s, "base.qcow2"), *trap = tmp_path(s->dir, "trap");
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  g_autoptr(Qcow2Header) header = NULL;
  run_ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", trap);
  run_ok("truncate", "-s", "%512", trap);
  const ImageImport import = import_of(trap, FORMAT_RAW);
  assert_ok(image_import(s->v, NULL, &import, &facts, &err), err);
  assert_int_equal(facts.virtual_bytes, facts.size_bytes);
  const VolumeClone clone = { NULL, RAW, FORMAT_RAW, MIB, "t/d-1/1" };
  assert_ok(volume_clone(s->v, NULL, "d-1.g1.qcow2", &clone, &err), err);
  g_autofree char *overlay = volume_path(s->v, "d-1.g1.qcow2"), *info = NULL;
  run_ok("qemu-io", "-f", "qcow2", "-c", "read -P 0x51 0 1", "-c", "read -P 0x46 1 1", overlay); /* "QF": bytes, not a header */
  assert_int_equal(run_words(&info, "qemu-img", "info", "--backing-chain", "-f", "qcow2", overlay, NULL), 0);
  assert_null(strstr(info, base));
}

static void import_is_done_once_and_said_again(void **state)
{
  State *s = *state;
  g_autofree char *source = make_qcow2(s, "a.qcow2"), *other = make_qcow2(s, "b.qcow2");
  ImageImport import = import_of(source, FORMAT_QCOW2);
  ImageFacts first, again;
  g_autoptr(GError) err = NULL;
  assert_ok(image_import(s->v, NULL, &import, &first, &err), err);
  assert_ok(image_import(s->v, NULL, &import, &again, &err), err);
  assert_string_equal(first.sha256, again.sha256);
  run_ok("qemu-io", "-f", "qcow2", "-c", "write -q -P 9 1M 4k", other);
  import.source = other;
  assert_false(image_import(s->v, NULL, &import, &again, &err));
  assert_reason(&err, REASON_VOLUME_DIFFERS, "name", QCOW2);
  assert_holds(s->v, QCOW2, first.sha256);
}

static void import_through_a_storage_far_away_is_checked_at_its_source(void **state)
{
  State *s = *state;
  g_autofree char *source = make_qcow2(s, "a.qcow2"), *hash = file_sha256(source);
  const ImageImport import = import_of(source, FORMAT_QCOW2);
  const VolumesOptions options = { VOLUMES_FAKE, "far", "/srv/far" };
  Volumes *far;
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  assert_ok(volumes_open(&options, NULL, &far, &err), err);
  assert_ok(image_import(far, NULL, &import, &facts, &err), err);
  assert_string_equal(facts.sha256, hash);
  assert_holds(far, QCOW2, facts.sha256);
  volumes_close(far);
  volume_fake_forget("/srv/far");
}

/* A driver that reads its content half, and then begins anew, as libvirt's does with a part of something else. */
static bool put_twice(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeContent *content, VolumeFlags flags,
                      GError **err)
{
  g_autofree uint8_t *buffer = g_malloc(MIB);
  for (int64_t end = content->size_bytes / 2, once = 0; once < 2; end = content->size_bytes, once++)
    for (int64_t at = 0, from, to; at < end; at = to) {
      if (!content->extent(content->owner, at, &from, &to, err))
        return false;
      to = MIN(to, from + MIB);
      if (from < to && !content->read(content->owner, from, buffer, (size_t)(to - from), err))
        return false;
    }
  return content->check(content->owner, -1, err);
}

static void content_that_is_read_anew_is_hashed_anew(void **state)
{
  State *s = *state;
  const VolumeDriver driver = { .put = put_twice };
  char storage[] = "twice", path[] = "/srv";
  Volumes twice = { &driver, VOLUMES_FAKE, storage, path };
  g_autofree char *source = tmp_path(s->dir, "source"), *hash = NULL;
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  write_noise(source, 5 * MIB);
  hash = file_sha256(source);
  const ImageImport import = import_of(source, FORMAT_RAW);
  assert_ok(image_import(&twice, NULL, &import, &facts, &err), err);
  assert_string_equal(facts.sha256, hash);
}

/* ── what is refused ────────────────────────────────────────────────────── */

static void assert_refused(const State *s, const ImageImport *import, Reason reason, const char *arg, const char *value)
{
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  if (image_import(s->v, NULL, import, &facts, &err))
    fail_msg("%s was taken", import->source);
  assert_reason(&err, reason, arg, value);
  assert_int_equal(count_files(s), 0);
}

static void source_that_is_no_plain_file_is_refused(void **state)
{
  State *s = *state;
  g_autofree char *file = make_qcow2(s, "a.qcow2"), *link = tmp_path(s->dir, "link"), *dirlink = tmp_path(s->dir, "dirlink");
  g_autofree char *fifo = tmp_path(s->dir, "fifo"), *missing = tmp_path(s->dir, "missing");
  g_autofree char *through = g_strconcat(dirlink, "/a.qcow2", NULL);
  assert_int_equal(symlink(file, link) | symlink(s->dir, dirlink) | mkfifo(fifo, 0600), 0);
  const struct { const char *source, *detail; } rows[] = {
    { link, "it is a symbolic link, or reached through one" },
    { through, "it is a symbolic link, or reached through one" },
    { "/proc/self/exe", "it is a symbolic link, or reached through one" },
    { fifo, "it is not a regular file" },
    { s->dir, "it is not a regular file" },
    { "/dev/null", "it is not a regular file" },
    { missing, "No such file or directory" },
    { "a.qcow2", "it is not an absolute path" },
    { NULL, "it is not an absolute path" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    const ImageImport import = import_of(rows[i].source, FORMAT_QCOW2);
    assert_refused(s, &import, REASON_IMAGE_SOURCE, "detail", rows[i].detail);
  }
}

static void raw_of_no_whole_sectors_is_refused(void **state)
{
  State *s = *state;
  g_autofree char *file = tmp_path(s->dir, "file");
  ImageImport import = import_of(file, FORMAT_RAW);
  file_write(file, "", 0);
  assert_refused(s, &import, REASON_BAD_VALUE, "value", "0 bytes");
  write_noise(file, 513);
  assert_refused(s, &import, REASON_BAD_VALUE, "value", "513 bytes");
  run_ok("truncate", "-s", "10T", file);
  import.max_virtual_bytes = INT64_C(1) << 40;
  assert_refused(s, &import, REASON_TOO_LARGE, "value", "10995116277760 bytes");
}

static void volume_name_must_go_with_the_format(void **state)
{
  State *s = *state;
  g_autofree char *file = make_qcow2(s, "a.qcow2");
  const struct { ImageFormat format; const char *volume; } rows[] = {
    { FORMAT_QCOW2, RAW }, { FORMAT_RAW, QCOW2 }, { FORMAT_QCOW2, "d-1.g1.qcow2" }, { FORMAT_QCOW2, "../" QCOW2 },
    { FORMAT_QCOW2, "a.qcow2" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    const ImageImport import = { file, rows[i].format, rows[i].volume, NULL, 0 };
    assert_refused(s, &import, REASON_BAD_VALUE, "field", "volume");
  }
}

static void qcow2_that_does_not_stand_alone_is_refused_before_a_byte_is_copied(void **state)
{
  State *s = *state;
  g_autofree char *base = make_qcow2(s, "base.qcow2"), *file = tmp_path(s->dir, "file"), *data = tmp_path(s->dir, "data");
  g_autofree char *data_option = g_strdup_printf("data_file=%s", data);
  const ImageImport import = import_of(file, FORMAT_QCOW2);
  run_ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", file);
  assert_refused(s, &import, REASON_QCOW2_BACKING, "path", base);
  run_ok("qemu-img", "create", "-q", "-f", "qcow2", "-o", data_option, file, "1M");
  assert_refused(s, &import, REASON_QCOW2_DATA_FILE, "path", data);
  write_noise(file, 8192);
  assert_refused(s, &import, REASON_QCOW2_MAGIC, NULL, NULL);
  file_write(file, "QFI\xfb", 4);
  assert_refused(s, &import, REASON_QCOW2_TRUNCATED, "part", "header");
}

static void overwrite(const char *path, off_t offset, const void *bytes, size_t n)
{
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  assert_true(fd >= 0 && pwrite(fd, bytes, n, offset) == (ssize_t)n);
  close(fd);
}

/* The header is sound, what it leads to is not: only a look at all of the metadata finds it. */
static void damage_behind_the_header_is_found_by_qemu_img(void **state)
{
  State *s = *state;
  static const uint8_t zeros[65536], wild[8] = { 0x80, 0, 0, 0x7f, 0, 1, 0, 0 };
  const struct { const char *why; off_t offset; const void *bytes; size_t n; } rows[] = {
    { "refcounts of zero", 0x20000, zeros, sizeof zeros },
    { "an L2 table far behind the end", 0x30000, wild, sizeof wild },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *file = make_qcow2(s, "damaged.qcow2");
    const ImageImport import = import_of(file, FORMAT_QCOW2);
    overwrite(file, rows[i].offset, rows[i].bytes, rows[i].n);
    assert_refused(s, &import, REASON_IMAGE_CHECK, NULL, NULL);
  }
  g_autofree char *cut = make_qcow2(s, "cut.qcow2");
  const ImageImport import = import_of(cut, FORMAT_QCOW2);
  run_ok("truncate", "-s", "2M", cut);
  assert_refused(s, &import, REASON_IMAGE_CHECK, NULL, NULL);
}

static void leaked_clusters_are_no_damage(void **state)
{
  State *s = *state;
  static const uint8_t two[2] = { 0, 1 };
  g_autofree char *file = make_qcow2(s, "leaky.qcow2");
  const ImageImport import = import_of(file, FORMAT_QCOW2);
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  struct stat st;
  assert_int_equal(stat(file, &st), 0);
  overwrite(file, 0x20000 + 2 * (st.st_size / 65536 + 1), two, sizeof two);
  run_ok("truncate", "-s", "+131072", file);
  assert_int_equal(run_words(NULL, "qemu-img", "check", "-f", "qcow2", file, NULL), 3);
  assert_ok(image_import(s->v, NULL, &import, &facts, &err), err);
}

static void wrong_hash_leaves_nothing(void **state)
{
  State *s = *state;
  g_autofree char *file = make_qcow2(s, "a.qcow2"), *hash = file_sha256(file), *upper = g_ascii_strup(hash, -1);
  ImageImport import = import_of(file, FORMAT_QCOW2);
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  import.sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  assert_refused(s, &import, REASON_IMAGE_HASH, "value", hash);
  import.sha256 = upper;
  assert_ok(image_import(s->v, NULL, &import, &facts, &err), err);
}

/* ── qemu-img as a child ────────────────────────────────────────────────── */

/* Another qemu-img stands first in PATH. */
static char *use_program(const State *s, const char *script)
{
  char *old = g_strdup(g_getenv("PATH"));
  g_autofree char *program = tmp_path(s->dir, "qemu-img"), *path = g_strdup_printf("%s:%s", s->dir, old);
  file_write(program, script, strlen(script));
  assert_int_equal(chmod(program, 0755), 0);
  assert_true(g_setenv("PATH", path, TRUE));
  return old;
}

static void tool_that_fails_is_not_the_image_s_fault(void **state)
{
  State *s = *state;
  g_autofree char *file = make_qcow2(s, "a.qcow2");
  const ImageImport import = import_of(file, FORMAT_QCOW2);
  const struct { const char *script; Reason reason; const char *detail; } rows[] = {
    { "#!/bin/sh\necho not today\nexit 1\n", REASON_IMAGE_TOOL, "ended with status 1: not today" },
    { "#!/bin/sh\nkill -9 $$\n", REASON_IMAGE_TOOL, "ended by signal 9 (more than 30 s of processor time?)" },
    { "#!/bin/sh\nyes bad | head -c 1000000\nexit 2\n", REASON_IMAGE_CHECK, "bad" },
    { "#!/bin/sh\necho \"$@\"\nulimit -t -v -f -n; exit 2\n", REASON_IMAGE_CHECK, "check -f qcow2 /proc/self/fd/3" },
    { "#!/bin/sh\necho $(ulimit -t) $(ulimit -v) $(ulimit -n) $(ls /proc/self/fd | wc -l); exit 2\n", REASON_IMAGE_CHECK,
      "30 1048576 64 5" }, /* 0, 1, 2, the file, and the directory that ls reads */
  };
  int inherited = fcntl(STDOUT_FILENO, F_DUPFD, 100); /* what a child must not get */
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *old = use_program(s, rows[i].script);
    ImageFacts facts;
    g_autoptr(GError) err = NULL;
    assert_false(image_import(s->v, NULL, &import, &facts, &err));
    g_setenv("PATH", old, TRUE);
    assert_int_equal(count_files(s), rows[i].reason == REASON_IMAGE_TOOL); /* what was copied waits for a tool that works */
    assert_reason(&err, rows[i].reason, "detail", rows[i].detail);
  }
  close(inherited);
  g_autofree char *old = g_strdup(g_getenv("PATH"));
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  g_setenv("PATH", "/nowhere", TRUE);
  assert_false(image_import(s->v, NULL, &import, &facts, &err));
  g_setenv("PATH", old, TRUE);
  assert_reason(&err, REASON_IMAGE_TOOL, "detail", "there is no qemu-img");
  assert_ok(image_import(s->v, NULL, &import, &facts, &err), err);
}

static void tool_that_hangs_ends_with_the_call(void **state)
{
  State *s = *state;
  g_autofree char *file = make_qcow2(s, "a.qcow2"), *old = use_program(s, "#!/bin/sh\nexec sleep 1000\n");
  const ImageImport import = import_of(file, FORMAT_QCOW2);
  const VolumeCall call = { .deadline_us = g_get_monotonic_time() + 500000 };
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  assert_false(image_import(s->v, &call, &import, &facts, &err));
  g_setenv("PATH", old, TRUE);
  assert_reason(&err, REASON_TIMEOUT, "what", "the check by qemu-img");
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
  assert_ok(image_import(s->v, NULL, &import, &facts, &err), err);
}

/* ── what happens meanwhile ─────────────────────────────────────────────── */

typedef struct {
  int at, n;
  void (*then)(void *owner);
  void *owner;
} Moment;

static void on_progress(void *owner, int64_t done_bytes, int64_t total_bytes)
{
  Moment *m = owner;
  if (++m->n == m->at)
    m->then(m->owner);
}

static void append_byte(void *path) { run_ok("sh", "-c", "printf x >> \"$0\"", (char *)path); }
static void cut_file(void *path) { assert_int_equal(truncate(path, 2 * MIB), 0); }
static void rewrite_with_old_time(void *path)
{
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  const struct timespec times[2] = { st.st_atim, st.st_mtim };
  overwrite(path, MIB, "x", 1);
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void source_that_changes_meanwhile_is_refused(void **state)
{
  State *s = *state;
  void (*const changes[])(void *) = { append_byte, cut_file, rewrite_with_old_time };
  for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
    g_autofree char *file = tmp_path(s->dir, "file");
    const ImageImport import = import_of(file, FORMAT_RAW);
    Moment moment = { 3, 0, changes[i], file };
    const VolumeCall call = { .progress = on_progress, .owner = &moment };
    ImageFacts facts;
    g_autoptr(GError) err = NULL;
    write_noise(file, 6 * MIB);
    assert_false(image_import(s->v, &call, &import, &facts, &err));
    assert_reason(&err, REASON_IMAGE_CHANGED, "path", file);
    assert_int_equal(count_files(s), 0);
  }
}

static void die(void *owner) { raise(SIGKILL); }

/* The importer is killed after its first piece, its second, …, and when all is there but the name: going on gives the same
 * image. */
static void killed_import_is_gone_on_with(void **state)
{
  State *s = *state;
  g_autofree char *source = make_qcow2(s, "a.qcow2"), *hash = file_sha256(source);
  const ImageImport import = import_of(source, FORMAT_QCOW2);
  int deaths = 0;
  for (int at = 1;; at++) {
    int status;
    pid_t child = fork();
    if (child == 0) {
      Moment moment = { at, 0, die, NULL };
      const VolumeCall call = { .progress = on_progress, .owner = &moment };
      ImageFacts facts;
      _exit(image_import(s->v, &call, &import, &facts, NULL) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
      assert_int_equal(WEXITSTATUS(status), 0);
      break;
    }
    deaths++;
    g_autoptr(VolumeFacts) facts = NULL;
    assert_false(volume_look(s->v, NULL, QCOW2, &facts, NULL));
    ImageFacts image;
    g_autoptr(GError) err = NULL;
    if (at % 2) {
      assert_ok(image_import(s->v, NULL, &import, &image, &err), err);
      assert_string_equal(image.sha256, hash);
      assert_holds(s->v, QCOW2, image.sha256);
      assert_ok(volume_delete(s->v, NULL, QCOW2, &err), err);
    }
  }
  assert_true(deaths >= 6);
  ImageFacts image = { .size_bytes = 0 };
  g_autoptr(GError) err = NULL;
  g_strlcpy(image.sha256, hash, sizeof image.sha256);
  assert_holds(s->v, QCOW2, image.sha256);
  assert_int_equal(count_files(s), 1);
}

static void cancel_it(void *cancel) { g_cancellable_cancel(cancel); }

static void cancelled_import_is_gone_on_with(void **state)
{
  State *s = *state;
  g_autofree char *source = make_qcow2(s, "a.qcow2"), *hash = file_sha256(source);
  g_autoptr(GCancellable) cancel = g_cancellable_new();
  const ImageImport import = import_of(source, FORMAT_QCOW2);
  Moment moment = { 3, 0, cancel_it, cancel };
  const VolumeCall call = { .cancel = cancel, .progress = on_progress, .owner = &moment };
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  assert_false(image_import(s->v, &call, &import, &facts, &err));
  assert_reason(&err, REASON_CANCELLED, NULL, NULL);
  assert_ok(image_import(s->v, NULL, &import, &facts, &err), err);
  assert_string_equal(facts.sha256, hash);
}

/* ── a real guest ───────────────────────────────────────────────────────── */

/* A boot sector that writes itself to the disk's second sector and ends QEMU: status 33 when the disk took it, 67 when not. */
static const uint8_t boot_code[] = {
  0x31, 0xc0,             /* xor ax,ax */
  0x8e, 0xd8,             /* mov ds,ax */
  0x8e, 0xc0,             /* mov es,ax */
  0x8e, 0xd0,             /* mov ss,ax */
  0xbc, 0x00, 0x7c,       /* mov sp,0x7c00 */
  0xb8, 0x01, 0x03,       /* mov ax,0x0301: write one sector */
  0xb9, 0x02, 0x00,       /* mov cx,2 */
  0xba, 0x80, 0x00,       /* mov dx,0x80: the first disk */
  0xbb, 0x00, 0x7c,       /* mov bx,0x7c00 */
  0xcd, 0x13,             /* int 0x13 */
  0xb0, 0x10,             /* mov al,0x10 */
  0x73, 0x02,             /* jnc +2 */
  0xb0, 0x21,             /* mov al,0x21 */
  0xe6, 0xf4,             /* out 0xf4,al */
  0xf4, 0xeb, 0xfd        /* hlt, and again */
};

static int boot(const char *disk)
{
  g_autofree char *drive = g_strdup_printf("file=%s,format=qcow2,if=ide,cache=writethrough", disk), *out = NULL;
  return run_words(&out, "timeout", "60", "qemu-system-x86_64", "-accel", "tcg", "-M", "pc", "-m", "16", "-display", "none",
                   "-nodefaults", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-drive", drive, NULL);
}

/* QEMU boots two clones and they write: the image is what it was, each clone has what it wrote and its tag, neither is
 * provable any more. */
static void no_clone_ever_writes_its_image(void **state)
{
  State *s = *state;
  g_autofree char *raw = tmp_path(s->dir, "boot.raw"), *source = tmp_path(s->dir, "boot.qcow2");
  uint8_t sector[512] = { 0 };
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  memcpy(sector, boot_code, sizeof boot_code);
  sector[510] = 0x55;
  sector[511] = 0xaa;
  file_write(raw, sector, sizeof sector);
  run_ok("truncate", "-s", "1M", raw);
  run_ok("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, source);
  const ImageImport import = import_of(source, FORMAT_QCOW2);
  assert_ok(image_import(s->v, NULL, &import, &facts, &err), err);
  for (int i = 1; i <= 2; i++) {
    g_autofree char *name = volume_name(VOLUME_DISK_QCOW2, "d-17", i), *path = volume_path(s->v, name);
    g_autofree char *tag = g_strdup_printf("c/d-17/%d", i);
    const VolumeClone clone = { NULL, QCOW2, FORMAT_QCOW2, 2 * MIB, tag };
    g_autoptr(Qcow2Header) header = NULL;
    assert_ok(volume_clone(s->v, NULL, name, &clone, &err) && volume_prove(s->v, NULL, name, &clone, &err), err);
    assert_int_equal(boot(path), 33);
    assert_false(volume_prove(s->v, NULL, name, &clone, &err));
    assert_reason(&err, REASON_QCOW2_NOT_FRESH, NULL, NULL);
    assert_ok(volume_header(s->v, NULL, name, &header, &err), err);
    assert_string_equal(header->tag, tag);
    run_ok("qemu-img", "check", "-q", "-f", "qcow2", path);
    run_ok("qemu-io", "-f", "qcow2", "-c", "read -P 0x31 512 1", path);
  }
  assert_holds(s->v, QCOW2, facts.sha256);
}

/* The image itself given to a domain by mistake: QEMU may not write to it. */
static void image_itself_cannot_be_written(void **state)
{
  State *s = *state;
  g_autofree char *source = make_qcow2(s, "a.qcow2"), *stored = volume_path(s->v, QCOW2);
  const ImageImport import = import_of(source, FORMAT_QCOW2);
  ImageFacts facts;
  g_autoptr(GError) err = NULL;
  int flags = 0;
  assert_ok(image_import(s->v, NULL, &import, &facts, &err), err);
  int fd = open(stored, O_RDONLY | O_CLOEXEC);
  bool immutable = ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_IMMUTABLE_FL);
  close(fd);
  if (!immutable && geteuid() == 0)
    skip();
  assert_int_not_equal(run_words(NULL, "qemu-io", "-f", "qcow2", "-c", "write 0 64k", stored, NULL), 0);
  assert_holds(s->v, QCOW2, facts.sha256);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
    T(import_keeps_bytes_holes_and_hash),
    T(sparse_raw_stays_sparse),
    T(raw_that_looks_like_qcow2_stays_raw),
    T(import_is_done_once_and_said_again),
    T(import_through_a_storage_far_away_is_checked_at_its_source),
    T(content_that_is_read_anew_is_hashed_anew),
    T(source_that_is_no_plain_file_is_refused),
    T(raw_of_no_whole_sectors_is_refused),
    T(volume_name_must_go_with_the_format),
    T(qcow2_that_does_not_stand_alone_is_refused_before_a_byte_is_copied),
    T(damage_behind_the_header_is_found_by_qemu_img),
    T(leaked_clusters_are_no_damage),
    T(wrong_hash_leaves_nothing),
    T(tool_that_fails_is_not_the_image_s_fault),
    T(tool_that_hangs_ends_with_the_call),
    T(source_that_changes_meanwhile_is_refused),
    T(killed_import_is_gone_on_with),
    T(cancelled_import_is_gone_on_with),
    T(no_clone_ever_writes_its_image),
    T(image_itself_cannot_be_written),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
