/* The volume family: its contract over every driver that needs no host, and what only one driver can show. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libvirt/virterror.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>

#include <cmocka.h>

#include "drivers/volume/fake.h"
#include "tests/unit/volume_contract.h"
#include "tests/unit/volume_help.h"

enum { MIB = 1 << 20 };
#define DISK "d-17.g4.raw"
#define FAKE "/srv/fake"

static char *root; /* a directory of this run */

static GBytes *bytes_of(uint8_t value, size_t n)
{
  uint8_t *data = g_malloc(n);
  memset(data, value, n);
  return g_bytes_new_take(data, n);
}

static bool put_bytes(Volumes *v, const char *name, uint8_t value, size_t n, VolumeFlags flags, GError **err)
{
  g_autoptr(GBytes) bytes = bytes_of(value, n);
  return volume_put_bytes(v, NULL, name, bytes, (int64_t)n, flags, err);
}

/* ── names ──────────────────────────────────────────────────────────────── */

static void names_are_made_and_read_alike(void **state)
{
  const struct { VolumeRole role; const char *owner; int64_t number; const char *name; } rows[] = {
    { VOLUME_IMAGE_QCOW2, "linux-desktop", 3, "img-linux-desktop-v3.qcow2" },
    { VOLUME_IMAGE_RAW, "a-v2", 10, "img-a-v2-v10.raw" },
    { VOLUME_DISK_QCOW2, "d-17", 4, "d-17.g4.qcow2" },
    { VOLUME_DISK_RAW, "img-x-v1", INT64_MAX, "img-x-v1.g9223372036854775807.raw" },
    { VOLUME_SEED, "d-17", 4, "d-17.g4.seed.img" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    VolumeName parsed;
    g_autofree char *name = volume_name(rows[i].role, rows[i].owner, rows[i].number);
    assert_string_equal(name, rows[i].name);
    assert_true(volume_name_parse(name, &parsed));
    assert_int_equal(parsed.role, rows[i].role);
    assert_string_equal(parsed.owner, rows[i].owner);
    assert_int_equal(parsed.number, rows[i].number);
  }
}

/* ── dir ────────────────────────────────────────────────────────────────── */

static int open_dir(void **state)
{
  static int n;
  g_autoptr(GError) err = NULL;
  g_autofree char *name = g_strdup_printf("own-%d", n++), *path = tmp_path(root, name);
  const VolumesOptions options = { VOLUMES_DIR, "fast", path, .create = true };
  assert_ok(volumes_open(&options, NULL, (Volumes **)state, &err), err);
  return 0;
}

static int close_volumes(void **state)
{
  volumes_close(*state);
  return 0;
}

static char *path_in(void **state, const char *name) { return volume_path(*state, name); }

static void directory_that_is_not_there_is_not_made_unasked(void **state)
{
  Volumes *v;
  g_autoptr(GError) err = NULL;
  g_autofree char *missing = tmp_path(root, "not-mounted"), *file = tmp_path(root, "file");
  const VolumesOptions options = { VOLUMES_DIR, "slow", missing }, on_file = { VOLUMES_DIR, "slow", file, .create = true };
  assert_false(volumes_open(&options, NULL, &v, &err));
  assert_reason(&err, REASON_STORAGE_UNREACHABLE, "storage", "slow");
  assert_false(g_file_test(missing, G_FILE_TEST_EXISTS));
  file_write(file, "x", 1);
  assert_false(volumes_open(&on_file, NULL, &v, &err));
  assert_reason(&err, REASON_STORAGE_UNREACHABLE, "storage", "slow");
  const VolumesOptions relative = { VOLUMES_DIR, "slow", "images" }, none = { VOLUMES_DIR, "slow", NULL };
  assert_false(volumes_open(&relative, NULL, &v, &err));
  assert_reason(&err, REASON_BAD_VALUE, "field", "path");
  assert_false(volumes_open(&none, NULL, &v, &err));
  assert_reason(&err, REASON_BAD_VALUE, "field", "path");
}

/* A link, a fifo or a directory under a name of ours is refused, and what it points to stays as it was. */
static void only_regular_files_are_volumes(void **state)
{
  g_autofree char *link = path_in(state, DISK), *fifo = path_in(state, "d-18.g1.raw"), *dir = path_in(state, "d-19.g1.raw");
  g_autofree char *target = tmp_path(root, "target"), *part = path_in(state, ".d-20.g1.raw.part");
  g_autoptr(GError) err = NULL;
  file_write(target, "precious", 8);
  assert_int_equal(symlink(target, link) | mkfifo(fifo, 0600) | mkdir(dir, 0700) | symlink(target, part), 0);
  const char *const names[] = { DISK, "d-18.g1.raw", "d-19.g1.raw" };
  for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autoptr(VolumeFacts) facts = NULL;
    g_autoptr(GBytes) bytes = NULL;
    assert_false(volume_look(*state, NULL, names[i], &facts, &err));
    assert_reason(&err, REASON_IO, "path", names[i]);
    assert_false(volume_read(*state, NULL, names[i], 0, 10, &bytes, &err));
    assert_reason(&err, REASON_IO, "path", names[i]);
    assert_false(put_bytes(*state, names[i], 1, 4096, VOLUME_RESUME, &err));
    assert_reason(&err, REASON_IO, "path", names[i]);
  }
  assert_false(put_bytes(*state, "d-20.g1.raw", 1, 4096, 0, &err));
  assert_reason(&err, REASON_IO, "path", "d-20.g1.raw");
  assert_ok(volume_delete(*state, NULL, DISK, &err), err);
  g_autoptr(GBytes) kept = file_bytes(target);
  assert_int_equal(g_bytes_get_size(kept), 8);
  g_autoptr(GPtrArray) list = NULL;
  assert_ok(volume_list(*state, NULL, &list, &err), err);
  assert_int_equal(list->len, 0);
}

static void foreign_files_are_listed(void **state)
{
  g_autofree char *foreign = path_in(state, "Debian 12.qcow2"), *hidden = path_in(state, ".hidden");
  g_autoptr(GPtrArray) list = NULL;
  g_autoptr(GError) err = NULL;
  file_write(foreign, "x", 1);
  file_write(hidden, "x", 1);
  assert_ok(put_bytes(*state, DISK, 1, 4096, 0, &err) && volume_list(*state, NULL, &list, &err), err);
  assert_int_equal(list->len, 3);
  for (guint i = 0; i < list->len; i++) {
    const VolumeFacts *facts = g_ptr_array_index(list, i);
    assert_int_equal(facts->ours, !strcmp(facts->name, DISK));
    assert_false(facts->partial);
  }
}

static void read_only_volume_is_immutable_where_that_exists(void **state)
{
  g_autofree char *path = path_in(state, DISK), *probe = path_in(state, "probe");
  g_autoptr(GError) err = NULL;
  int immutable = FS_IMMUTABLE_FL, none = 0, flags = 0;
  file_write(probe, "x", 1);
  int fd = open(probe, O_RDONLY | O_CLOEXEC);
  bool can = ioctl(fd, FS_IOC_SETFLAGS, &immutable) == 0 && ioctl(fd, FS_IOC_SETFLAGS, &none) == 0;
  close(fd);
  assert_ok(put_bytes(*state, DISK, 1, 4096, VOLUME_READ_ONLY, &err), err);
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0444);
  if (!can)
    skip();
  fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
  assert_true(flags & FS_IMMUTABLE_FL);
  close(fd);
  assert_int_equal(open(path, O_WRONLY | O_CLOEXEC), -1);
  assert_int_equal(errno, EPERM);
}

/* After a crash between naming and protecting, the ordinary call protects. */
static void going_on_with_a_whole_volume_protects_it(void **state)
{
  g_autofree char *path = path_in(state, DISK);
  g_autoptr(GError) err = NULL;
  g_autoptr(VolumeFacts) facts = NULL;
  assert_ok(put_bytes(*state, DISK, 1, 4096, 0, &err), err);
  assert_int_equal(chmod(path, 0644), 0);
  assert_ok(put_bytes(*state, DISK, 1, 4096, VOLUME_RESUME | VOLUME_READ_ONLY, &err), err);
  assert_ok(volume_look(*state, NULL, DISK, &facts, &err), err);
  assert_true(facts->read_only);
}

/* What a call that was killed wrote is taken over: the file is the same one, and its written blocks are not written again. */
static void part_of_a_dead_call_is_taken_over(void **state)
{
  g_autofree char *part = path_in(state, "." DISK ".part"), *path = path_in(state, DISK);
  g_autoptr(GBytes) begin = bytes_of(7, 2 * MIB);
  g_autoptr(GError) err = NULL;
  struct stat before, after;
  file_write(part, g_bytes_get_data(begin, NULL), 2 * MIB);
  assert_int_equal(truncate(part, 5 * MIB), 0);
  assert_int_equal(stat(part, &before), 0);
  assert_ok(put_bytes(*state, DISK, 7, 5 * MIB, VOLUME_RESUME, &err), err);
  assert_int_equal(stat(path, &after), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  g_autoptr(GBytes) all = file_bytes(path), wanted = bytes_of(7, 5 * MIB);
  assert_true(g_bytes_equal(all, wanted));
  assert_false(g_file_test(part, G_FILE_TEST_EXISTS));
}

/* As one who is not root: there the mode counts. Sets up what the child needs, and returns its exit status. */
static int as_plain_user(void **state, bool (*act)(Volumes *v))
{
  const uid_t nobody = 65534;
  g_autofree char *part = path_in(state, "." DISK ".part"), *dir = g_path_get_dirname(part);
  bool root_runs = geteuid() == 0;
  int status;
  if (root_runs)
    assert_int_equal(chown(dir, nobody, nobody) | chown(part, nobody, nobody), 0);
  pid_t child = fork();
  if (child == 0)
    _exit(root_runs && (setgroups(0, NULL) || setresgid(nobody, nobody, nobody) || setresuid(nobody, nobody, nobody)) ? 2 : act(*state) ? 0 : 1);
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool put_it(Volumes *v) { return put_bytes(v, DISK, 7, 2 * MIB, VOLUME_RESUME | VOLUME_READ_ONLY, NULL); }
static bool put_anew(Volumes *v) { return put_bytes(v, DISK, 7, 2 * MIB, VOLUME_READ_ONLY, NULL); }

/* The writer died after it had made its part read-only, and before that had its name. */
static void protected_part_is_taken_over(void **state)
{
  g_autofree char *part = path_in(state, "." DISK ".part"), *path = path_in(state, DISK);
  g_autoptr(GBytes) bytes = bytes_of(7, 2 * MIB);
  bool (*const ways[])(Volumes *) = { put_it, put_anew };
  for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
    struct stat st;
    GError *err = NULL;
    file_write(part, g_bytes_get_data(bytes, NULL), 2 * MIB);
    assert_int_equal(chmod(part, 0444), 0);
    assert_int_equal(as_plain_user(state, ways[i]), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
    g_autoptr(GBytes) all = file_bytes(path);
    assert_true(g_bytes_equal(all, bytes));
    assert_false(g_file_test(part, G_FILE_TEST_EXISTS));
    assert_ok(volume_delete(*state, NULL, DISK, &err), err);
  }
}

/* Whoever links a file of ours to a part's name does not get it opened. */
static void protected_part_with_another_name_is_left_alone(void **state)
{
  g_autofree char *part = path_in(state, "." DISK ".part"), *other = path_in(state, "kept");
  struct stat st;
  file_write(part, "kept", 4);
  assert_int_equal(chmod(part, 0444) | link(part, other), 0);
  assert_int_equal(as_plain_user(state, put_it), 1);
  assert_int_equal(stat(other, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0444);
  assert_int_equal(st.st_size, 4);
}

static void put_without_resume_trusts_no_part(void **state)
{
  g_autofree char *part = path_in(state, "." DISK ".part"), *path = path_in(state, DISK);
  g_autoptr(GBytes) other = bytes_of(9, 2 * MIB), wanted = bytes_of(7, MIB);
  g_autoptr(GError) err = NULL;
  file_write(part, g_bytes_get_data(other, NULL), 2 * MIB);
  assert_ok(put_bytes(*state, DISK, 7, MIB, 0, &err), err);
  g_autoptr(GBytes) all = file_bytes(path);
  assert_true(g_bytes_equal(all, wanted));
}

static void take_the_name(void *path, int64_t done_bytes, int64_t total_bytes) { file_write(path, "first", 5); }

/* Somebody else gives a file that name while ours is being written: the first one stays. */
static void name_that_was_taken_meanwhile_is_not_taken_again(void **state)
{
  g_autofree char *path = path_in(state, DISK), *part = path_in(state, "." DISK ".part");
  const VolumeCall call = { .progress = take_the_name, .owner = path };
  g_autoptr(GBytes) bytes = bytes_of(7, MIB);
  g_autoptr(GError) err = NULL;
  assert_false(volume_put_bytes(*state, &call, DISK, bytes, MIB, 0, &err));
  assert_reason(&err, REASON_EXISTS, "name", DISK);
  g_autoptr(GBytes) kept = file_bytes(path);
  assert_int_equal(g_bytes_get_size(kept), 5);
  assert_false(g_file_test(part, G_FILE_TEST_EXISTS));
}

/* Another process holds the part: the lock is the kernel's, so it ends with its holder. */
static void lock_of_another_process_is_seen(void **state)
{
  g_autofree char *part = path_in(state, "." DISK ".part");
  g_autoptr(GError) err = NULL;
  int pipes[2];
  char ready;
  assert_int_equal(pipe(pipes), 0);
  pid_t child = fork();
  if (child == 0) {
    int fd = open(part, O_RDWR | O_CREAT, 0600);
    ready = fd >= 0 && flock(fd, LOCK_EX) == 0;
    if (write(pipes[1], &ready, 1) == 1)
      pause();
    _exit(1);
  }
  assert_int_equal(read(pipes[0], &ready, 1), 1);
  assert_int_equal(ready, 1);
  assert_false(put_bytes(*state, DISK, 7, MIB, 0, &err));
  assert_reason(&err, REASON_VOLUME_BUSY, "name", DISK);
  assert_int_equal(kill(child, SIGKILL), 0);
  assert_int_equal(waitpid(child, NULL, 0), child);
  assert_ok(put_bytes(*state, DISK, 7, MIB, 0, &err), err);
  close(pipes[0]);
  close(pipes[1]);
}

static void file_larger_than_may_be_is_a_full_disk(void **state)
{
  g_autofree char *part = path_in(state, "." DISK ".part"), *path = path_in(state, DISK);
  struct rlimit old, small = { 3 * MIB, RLIM_INFINITY };
  g_autoptr(GError) err = NULL;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small.rlim_max = old.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  bool ok = put_bytes(*state, DISK, 7, 5 * MIB, 0, &err);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
  assert_false(ok);
  assert_reason(&err, REASON_STORAGE_FULL, "storage", "fast");
  assert_false(g_file_test(part, G_FILE_TEST_EXISTS) || g_file_test(path, G_FILE_TEST_EXISTS));
}

enum { CANNOT_MOUNT = 77 };

/* In a process of its own, on a tmpfs of 3 MiB that nobody else sees: 4 MiB do not fit, and do once the disk has grown. */
static int fill_small_disk(const char *path)
{
  const VolumesOptions options = { VOLUMES_DIR, "small", path };
  g_autoptr(Volumes) v = NULL;
  g_autoptr(GError) full = NULL, full_again = NULL, err = NULL;
  g_autoptr(VolumeFacts) facts = NULL;
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
      mount("none", path, "tmpfs", 0, "size=3m") < 0)
    return CANNOT_MOUNT;
  if (!volumes_open(&options, NULL, &v, &err))
    return 1;
  bool kept = !put_bytes(v, DISK, 7, 4 * MIB, VOLUME_RESUME, &full) && error_is(full, REASON_STORAGE_FULL) &&
              faccessat(AT_FDCWD, g_build_filename(path, "." DISK ".part", NULL), F_OK, 0) == 0;
  bool dropped = !put_bytes(v, "d-18.g1.raw", 7, 4 * MIB, 0, &full_again) && error_is(full_again, REASON_STORAGE_FULL);
  if (!kept || !dropped || mount("none", path, "tmpfs", MS_REMOUNT, "size=8m") < 0)
    return 2;
  return put_bytes(v, DISK, 7, 4 * MIB, VOLUME_RESUME, &err) && volume_look(v, NULL, DISK, &facts, &err) &&
                 facts->size_bytes == 4 * MIB
             ? 0
             : 3;
}

static void full_disk_is_said_and_gone_on_with(void **state)
{
  g_autofree char *path = tmp_path(root, "small");
  int status;
  assert_int_equal(mkdir(path, 0700), 0);
  pid_t child = fork();
  if (child == 0)
    _exit(fill_small_disk(path));
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) == CANNOT_MOUNT)
    skip();
  assert_int_equal(WEXITSTATUS(status), 0);
}

/* ── fake ───────────────────────────────────────────────────────────────── */

static int open_fake(void **state)
{
  g_autoptr(GError) err = NULL;
  const VolumesOptions options = { VOLUMES_FAKE, "fast", FAKE };
  assert_ok(volumes_open(&options, NULL, (Volumes **)state, &err), err);
  return 0;
}

static int forget_fake(void **state)
{
  volumes_close(*state);
  volume_fake_forget(FAKE);
  return 0;
}

static void script(VolumeVerb verb, VolumeFault fault, int times)
{
  const VolumeFakeFault f = { verb, fault, times, .delay_us = 20000, .cut_bytes = MIB };
  volume_fake_script(FAKE, &f);
}

static bool is_there(Volumes *v, const char *name)
{
  g_autoptr(VolumeFacts) facts = NULL;
  return volume_look(v, NULL, name, &facts, NULL);
}

static void scripted_failures_come_as_often_as_asked(void **state)
{
  g_autoptr(GError) err = NULL;
  script(VOLUME_VERB_PUT, VOLUME_FAULT_FAIL, 2);
  for (int i = 0; i < 2; i++) {
    assert_false(put_bytes(*state, DISK, 1, 4096, 0, &err));
    assert_reason(&err, REASON_IO, "detail", "scripted failure");
  }
  assert_ok(put_bytes(*state, DISK, 1, 4096, 0, &err), err);
  script(VOLUME_VERB_DELETE, VOLUME_FAULT_AFTER, 1);
  assert_false(volume_delete(*state, NULL, DISK, &err));
  assert_reason(&err, REASON_IO, "action", "delete");
  assert_false(is_there(*state, DISK));
  VolumeSpace space;
  script(VOLUME_VERB_SPACE, VOLUME_FAULT_FAIL, -1);
  assert_false(volumes_space(*state, NULL, &space, NULL));
  assert_false(volumes_space(*state, NULL, &space, NULL));
  script(VOLUME_VERB_SPACE, VOLUME_FAULT_FAIL, 0);
  assert_ok(volumes_space(*state, NULL, &space, &err), err);
  Volumes *again;
  const VolumesOptions options = { VOLUMES_FAKE, "fast", FAKE };
  script(VOLUME_VERB_OPEN, VOLUME_FAULT_FAIL, 1);
  assert_false(volumes_open(&options, NULL, &again, &err));
  assert_reason(&err, REASON_STORAGE_UNREACHABLE, "storage", "fast");
}

static void hung_call_ends_with_its_deadline(void **state)
{
  g_autoptr(GError) err = NULL;
  g_autoptr(VolumeFacts) facts = NULL;
  VolumeCall call = { .deadline_us = g_get_monotonic_time() + 30000 };
  script(VOLUME_VERB_LOOK, VOLUME_FAULT_HANG, 1);
  assert_false(volume_look(*state, &call, DISK, &facts, &err));
  assert_reason(&err, REASON_TIMEOUT, "what", DISK);
  assert_true(g_get_monotonic_time() >= call.deadline_us);
  int64_t began_us = g_get_monotonic_time();
  script(VOLUME_VERB_PUT, VOLUME_FAULT_SLOW, 1);
  assert_ok(put_bytes(*state, DISK, 1, 4096, 0, &err), err);
  assert_true(g_get_monotonic_time() - began_us >= 20000);
}

static void cut_put_is_gone_on_with(void **state)
{
  g_autoptr(GError) err = NULL;
  script(VOLUME_VERB_PUT, VOLUME_FAULT_CUT, 1);
  assert_false(put_bytes(*state, DISK, 1, 3 * MIB, VOLUME_RESUME, &err));
  assert_reason(&err, REASON_IO, "detail", "scripted failure");
  assert_ok(put_bytes(*state, DISK, 1, 3 * MIB, VOLUME_RESUME, &err), err);
  assert_true(is_there(*state, DISK));
}

static void fake_disk_fills_up_and_outlives_its_mount(void **state)
{
  g_autoptr(GError) err = NULL;
  g_autoptr(GBytes) foreign = bytes_of(3, 100);
  volume_fake_resize(FAKE, 2 * MIB);
  assert_ok(put_bytes(*state, DISK, 1, MIB, 0, &err), err);
  assert_false(put_bytes(*state, "d-18.g1.raw", 1, MIB + 1, 0, &err));
  assert_reason(&err, REASON_STORAGE_FULL, "storage", "fast");
  assert_false(volume_copy(*state, NULL, DISK, "d-18.g1.raw", &err) && volume_copy(*state, NULL, DISK, "d-19.g1.raw", &err));
  assert_reason(&err, REASON_STORAGE_FULL, "storage", "fast");
  assert_ok(volume_delete(*state, NULL, "d-18.g1.raw", &err), err);
  volume_fake_plant(FAKE, "somebody.qcow2", foreign);
  volumes_close(*state);
  open_fake(state);
  g_autoptr(GPtrArray) list = NULL;
  assert_ok(volume_list(*state, NULL, &list, &err), err);
  assert_int_equal(list->len, 2);
  volume_fake_plant(FAKE, DISK, NULL);
  assert_false(is_there(*state, DISK));
}

/* ── libvirt's own test driver: as far as it goes, it cannot upload ──────── */

static int open_test_driver(void **state)
{
  g_autoptr(GError) err = NULL;
  const VolumesOptions options = { VOLUMES_LIBVIRT, "fast", "/srv/sarang", .uri = "test:///default", .create = true };
  assert_ok(volumes_open(&options, NULL, (Volumes **)state, &err), err);
  return 0;
}

static void test_driver_does_what_it_can(void **state)
{
  VolumeSpace space = { 0 };
  g_autoptr(GError) err = NULL;
  g_autoptr(GPtrArray) list = NULL, after = NULL;
  assert_ok(volumes_space(*state, NULL, &space, &err), err);
  assert_true(space.total_bytes > 0);
  assert_ok(volume_list(*state, NULL, &list, &err), err);
  assert_int_equal(list->len, 0);
  assert_false(put_bytes(*state, DISK, 1, 4096, 0, &err));
  assert_reason(&err, REASON_UNSUPPORTED, "by", "the host");
  assert_ok(volume_list(*state, NULL, &after, &err), err);
  assert_int_equal(after->len, 0);
  assert_ok(volume_delete(*state, NULL, DISK, &err), err);
}

static void pool_of_an_administrator_is_used_as_it_is(void **state)
{
  virConnectPtr conn = virConnectOpen("test:///default");
  g_autoptr(GError) err = NULL;
  Volumes *v;
  int before = virConnectNumOfStoragePools(conn) + virConnectNumOfDefinedStoragePools(conn);
  const VolumesOptions options = { VOLUMES_LIBVIRT, "default", "/default-pool/", .connection = conn };
  assert_ok(volumes_open(&options, NULL, &v, &err), err);
  assert_int_equal(virConnectNumOfStoragePools(conn) + virConnectNumOfDefinedStoragePools(conn), before);
  volumes_close(v);
  virConnectClose(conn);
}

static void host_that_cannot_be_reached_is_said(void **state)
{
  Volumes *v;
  g_autoptr(GError) err = NULL;
  const VolumesOptions options = { VOLUMES_LIBVIRT, "far", "/srv/sarang", .uri = "qemu+unix:///system?socket=/no/such/socket" };
  assert_false(volumes_open(&options, NULL, &v, &err));
  assert_reason(&err, REASON_STORAGE_UNREACHABLE, "storage", "far");
}

static void ignore(void *owner, virErrorPtr error) {}

#define D(f) cmocka_unit_test_setup_teardown(f, open_dir, close_volumes)
#define F(f) cmocka_unit_test_setup_teardown(f, open_fake, forget_fake)

static int run_own(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_are_made_and_read_alike),
    cmocka_unit_test(directory_that_is_not_there_is_not_made_unasked),
    D(only_regular_files_are_volumes),
    D(foreign_files_are_listed),
    D(read_only_volume_is_immutable_where_that_exists),
    D(going_on_with_a_whole_volume_protects_it),
    D(part_of_a_dead_call_is_taken_over),
    D(protected_part_is_taken_over),
    D(protected_part_with_another_name_is_left_alone),
    D(put_without_resume_trusts_no_part),
    D(name_that_was_taken_meanwhile_is_not_taken_again),
    D(lock_of_another_process_is_seen),
    D(file_larger_than_may_be_is_a_full_disk),
    cmocka_unit_test(full_disk_is_said_and_gone_on_with),
    F(scripted_failures_come_as_often_as_asked),
    F(hung_call_ends_with_its_deadline),
    F(cut_put_is_gone_on_with),
    F(fake_disk_fills_up_and_outlives_its_mount),
    cmocka_unit_test_setup_teardown(test_driver_does_what_it_can, open_test_driver, close_volumes),
    cmocka_unit_test(pool_of_an_administrator_is_used_as_it_is),
    cmocka_unit_test(host_that_cannot_be_reached_is_said),
  };
  return cmocka_run_group_tests_name("volume: each by itself", tests, NULL, NULL);
}

int main(void)
{
  root = tmp_make();
  virSetErrorFunc(NULL, ignore);
  g_autofree char *dir = tmp_path(root, "dir");
  const VolumeSubject subjects[] = {
    { "volume: fake", { VOLUMES_FAKE, "fast", FAKE }, .locks = true },
    { "volume: dir", { VOLUMES_DIR, "fast", "/srv/as-the-hosts-see-it", dir, .create = true }, .locks = true },
  };
  int failed = 0;
  for (size_t i = 0; i < G_N_ELEMENTS(subjects); i++)
    failed += volume_contract_run(&subjects[i]);
  failed += run_own();
  tmp_remove(root);
  return failed;
}
