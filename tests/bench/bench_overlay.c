/* One clone's overlay: made in-process as a desktop's step does it (storage opened, image looked at, written, durable, named)
 * against qemu-img create, which the step would otherwise run; taken in turn, on the same directory, median against median.
 * Every overlay is checked by qemu-img afterwards.
 *   bench_overlay [DIRECTORY [ROUNDS]] */
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "drivers/volume/volume.h"

enum { ROUNDS = 15, WARM = 2, ROUNDS_MAX = 1000 };
#define IMAGE "img-bench-v1.qcow2"
#define VIRTUAL_BYTES (INT64_C(10) << 30)
#define REACH 0.2

static void fail(const char *what, const char *why)
{
  fprintf(stderr, "bench_overlay: %s: %s\n", what, why);
  exit(1);
}

static void run(const char *const *argv)
{
  g_autoptr(GError) err = NULL;
  int status;
  const GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL;
  if (!g_spawn_sync(NULL, (char **)argv, NULL, flags, NULL, NULL, NULL, NULL, &status, &err) ||
      !g_spawn_check_wait_status(status, &err))
    fail(argv[0], err->message);
}

static int64_t clone_us(const VolumesOptions *options, const char *name)
{
  const VolumeClone clone = { NULL, IMAGE, FORMAT_QCOW2, VIRTUAL_BYTES, "0f2a0c4e-7f60-4d3a-9b1e-5f1f0c1d2e3f/d-17/4" };
  g_autoptr(GError) err = NULL;
  int64_t began_us = g_get_monotonic_time();
  Volumes *volumes = NULL;
  bool ok = volumes_open(options, NULL, &volumes, &err) && volume_clone(volumes, NULL, name, &clone, &err);
  volumes_close(volumes);
  int64_t took_us = g_get_monotonic_time() - began_us;
  if (!ok)
    fail(name, err->message);
  return took_us;
}

static int64_t create_us(const char *image, const char *overlay)
{
  const char *const argv[] = { "qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", overlay, NULL };
  int64_t began_us = g_get_monotonic_time();
  run(argv);
  return g_get_monotonic_time() - began_us;
}

static int compare(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static double median(int64_t *values, int n)
{
  qsort(values, (size_t)n, sizeof *values, compare);
  return n % 2 ? (double)values[n / 2] : (double)(values[n / 2 - 1] + values[n / 2]) / 2;
}

static void check_and_remove(const char *path)
{
  const char *const argv[] = { "qemu-img", "check", "-q", "-f", "qcow2", path, NULL };
  run(argv);
  g_unlink(path);
}

/* Rounds before the first one are for caches, and do not count. */
static void measure(const char *directory, const char *image, int rounds, int64_t *ours_us, int64_t *theirs_us)
{
  const VolumesOptions options = { VOLUMES_DIR, "bench", directory };
  for (int i = -WARM; i < rounds; i++) {
    g_autofree char *name = volume_name(VOLUME_DISK_QCOW2, "d-17", i + WARM + 1);
    g_autofree char *other = g_strdup_printf("qemu-img-%d.qcow2", i);
    g_autofree char *ours = g_build_filename(directory, name, NULL), *theirs = g_build_filename(directory, other, NULL);
    ours_us[MAX(i, 0)] = clone_us(&options, name);
    theirs_us[MAX(i, 0)] = create_us(image, theirs);
    check_and_remove(ours);
    check_and_remove(theirs);
  }
}

int main(int argc, char **argv)
{
  int64_t ours_us[ROUNDS_MAX], theirs_us[ROUNDS_MAX];
  int rounds = argc > 2 ? CLAMP(atoi(argv[2]), 5, ROUNDS_MAX) : ROUNDS;
  g_autofree char *parent = g_canonicalize_filename(argc > 1 ? argv[1] : g_get_tmp_dir(), NULL);
  g_autofree char *directory = g_build_filename(parent, "bench-overlay-XXXXXX", NULL);
  if (!g_mkdtemp(directory))
    fail(directory, "cannot be made");
  g_autofree char *image = g_build_filename(directory, IMAGE, NULL);
  const char *const make_image[] = { "qemu-img", "create", "-q", "-f", "qcow2", image, "10G", NULL };
  run(make_image);
  measure(directory, image, rounds, ours_us, theirs_us);
  g_unlink(image);
  g_rmdir(directory);
  double ours = median(ours_us, rounds), theirs = median(theirs_us, rounds), ratio = ours / theirs;
  printf("{\"name\":\"overlay_vs_qemu_img\",\"value\":%.4f,\"unit\":\"ratio\",\"against\":\"qemu-img create (%.0f us / %.0f us)\","
         "\"reach\":\"<= %.2g\",\"holds\":%s}\n",
         ratio, ours, theirs, REACH, ratio <= REACH ? "true" : "false");
  return 0;
}
