#include "core/error.h"
#include "core/template/fat.h"
#include "core/template/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

static const char *const keys[] = { "ssh-ed25519 AAAAC3Nza jihye@laptop", "ecdsa-sha2-nistp256 AAAA: # x", NULL };
static const GuestPerson jihye = {
  .name = "jihye", .gecos = "김지혜", .password_hash = "$6$salt$hash/.", .ssh_keys = keys, .locale = "ko_KR.UTF-8",
};

/* ── text ────────────────────────────────────────────────────────────────── */

static void what_is_written(void **state)
{
  static const char *const dns[] = { "10.0.0.1", "fd00::1", NULL };
  const SeedNetwork network = { .mac = "52:54:00:12:34:56", .address = "10.0.0.5/24", .gateway = "10.0.0.1", .nameservers = dns };
  const Seed seed = { .instance_id = "d-17.g4", .hostname = "cad-17", .locale = "en_US.UTF-8", .timezone = "Asia/Seoul", .person = &jihye,
                      .network = &network };
  g_auto(SeedFiles) files = { 0 };
  assert_true(seed_files(&seed, &files, NULL));
  assert_string_equal(files.meta_data, "instance-id: \"d-17.g4\"\nlocal-hostname: \"cad-17\"\n");
  assert_string_equal(files.user_data,
                      "#cloud-config\nhostname: \"cad-17\"\nlocale: \"ko_KR.UTF-8\"\ntimezone: \"Asia/Seoul\"\nusers:\n- name: \"jihye\"\n"
                      "  gecos: \"김지혜\"\n  lock_passwd: false\n  hashed_passwd: \"$6$salt$hash/.\"\n  ssh_authorized_keys:\n"
                      "  - \"ssh-ed25519 AAAAC3Nza jihye@laptop\"\n  - \"ecdsa-sha2-nistp256 AAAA: # x\"\n");
  assert_string_equal(files.network_config,
                      "version: 2\nethernets:\n  nic0:\n    match:\n      macaddress: \"52:54:00:12:34:56\"\n    addresses:\n"
                      "    - \"10.0.0.5/24\"\n    gateway4: \"10.0.0.1\"\n    nameservers:\n      addresses:\n      - \"10.0.0.1\"\n"
                      "      - \"fd00::1\"\n");
}

static void what_is_left_out(void **state)
{
  const SeedNetwork network = { .mac = "52:54:00:12:34:56" };
  const GuestPerson person = { .name = "kim" };
  const Seed seed = { .instance_id = "1", .hostname = "true", .person = &person, .network = &network }, nobody = { .instance_id = "i",
                      .hostname = "h" };
  g_auto(SeedFiles) files = { 0 }, empty = { 0 };
  assert_true(seed_files(&seed, &files, NULL));
  assert_string_equal(files.meta_data, "instance-id: \"1\"\nlocal-hostname: \"true\"\n");
  assert_string_equal(files.user_data, "#cloud-config\nhostname: \"true\"\nusers:\n- name: \"kim\"\n  lock_passwd: true\n");
  assert_non_null(strstr(files.network_config, "    dhcp4: true\n"));
  assert_true(seed_files(&nobody, &empty, NULL));
  assert_string_equal(empty.user_data, "#cloud-config\nhostname: \"h\"\n");
  assert_null(empty.network_config);
}

static void refused(void **state)
{
  const GuestPerson broken = { .name = "kim", .gecos = "a\xff" };
  const Seed rows[] = { { .hostname = "h" }, { .instance_id = "i" }, { .instance_id = "i", .hostname = "h", .person = &broken } };
  static const char *const messages[] = { "instance-id is missing", "hostname is missing", "gecos is not valid UTF-8" };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    SeedFiles files = { 0 };
    assert_false(seed_files(&rows[i], &files, &err));
    assert_string_equal(err->message, messages[i]);
    assert_null(files.meta_data);
  }
}

/* ── read back by another part of libyaml ────────────────────────────────── */

/* All scalars and brackets of a document: "{key|value[...". Anchors, tags and aliases fail. */
static char *flatten(const char *text)
{
  yaml_parser_t parser;
  yaml_event_t event;
  GString *out = g_string_new(NULL);
  yaml_parser_initialize(&parser);
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
  for (bool more = true; more; yaml_event_delete(&event)) {
    assert_true(yaml_parser_parse(&parser, &event));
    static const char *const marks[] = { [YAML_MAPPING_START_EVENT] = "{", [YAML_MAPPING_END_EVENT] = "}", [YAML_SEQUENCE_START_EVENT] = "[",
                                         [YAML_SEQUENCE_END_EVENT] = "]" };
    assert_int_not_equal(event.type, YAML_ALIAS_EVENT);
    if (event.type == YAML_SCALAR_EVENT) {
      assert_null(event.data.scalar.tag);
      g_string_append_printf(out, "%s|", (char *)event.data.scalar.value);
    } else if (event.type < G_N_ELEMENTS(marks) && marks[event.type]) {
      g_string_append(out, marks[event.type]);
    }
    more = event.type != YAML_STREAM_END_EVENT;
  }
  yaml_parser_delete(&parser);
  return g_string_free(out, FALSE);
}

static void hostile_texts_come_back_as_they_were(void **state)
{
  static const char *const texts[] = {
    "#cloud-config", "a: b", "a\nruncmd:\n- id", "\"", "'", "\\", "\\n", "\t", "- x", "? x", "*alias", "&anchor", "!!python/object", "%TAG", "@",
    "`", "{a: b}", "[a]", "---", "...", "yes", "null", "~", "0x10", "1e3", "", " ", " a ", "a #b", "|", ">", "\r\n", "\x01\x1f\x7f",
    "\xe2\x80\xae" "evil", "\xe2\x80\xa8", "\xef\xbb\xbf", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "김지혜", "<<", "$(id)`id`", "a\\\"b",
    "\xc2\x85", "\xc2\xa0",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
    const char *const list[] = { texts[i], NULL };
    const GuestPerson person = { .name = texts[i], .gecos = texts[i], .password_hash = texts[i], .ssh_keys = list };
    const Seed seed = { .instance_id = texts[i], .hostname = texts[i], .locale = texts[i], .timezone = texts[i], .person = &person };
    g_auto(SeedFiles) files = { 0 };
    assert_true(seed_files(&seed, &files, NULL));
    g_autofree char *meta = flatten(files.meta_data), *user = flatten(files.user_data);
    g_autofree char *wanted_meta = g_strdup_printf("{instance-id|%s|local-hostname|%s|}", texts[i], texts[i]);
    g_autofree char *wanted_user = g_strdup_printf("{hostname|%1$s|locale|%1$s|timezone|%1$s|users|[{name|%1$s|gecos|%1$s|lock_passwd|false|"
                                                   "hashed_passwd|%1$s|ssh_authorized_keys|[%1$s|]}]}", texts[i]);
    assert_string_equal(meta, wanted_meta);
    assert_string_equal(user, wanted_user);
    assert_true(g_str_has_prefix(files.user_data, "#cloud-config\nhostname: \""));
    assert_string_equal(g_strrstr(files.user_data, "#cloud-config\n"), files.user_data);
  }
}

static void a_long_text_stays_on_its_line(void **state)
{
  g_autofree char *key = g_strnfill(5000, 'k'), *spaced = g_strdup_printf("ssh-rsa %s a b c d e f %s", key, key);
  const char *const list[] = { spaced, NULL };
  const GuestPerson person = { .name = "kim", .ssh_keys = list };
  const Seed seed = { .instance_id = "i", .hostname = "h", .person = &person };
  g_auto(SeedFiles) files = { 0 };
  assert_true(seed_files(&seed, &files, NULL));
  g_autofree char *line = g_strdup_printf("\n  - \"%s\"\n", spaced);
  assert_non_null(strstr(files.user_data, line));
}

/* ── the disk, read back by mtools ───────────────────────────────────────── */

typedef struct {
  char *dir, *path;
} Disk;

static Disk disk_of(GBytes *image)
{
  Disk disk = { .dir = g_dir_make_tmp("sarang-seed-XXXXXX", NULL) };
  disk.path = g_build_filename(disk.dir, "seed.img", NULL);
  assert_true(g_file_set_contents(disk.path, g_bytes_get_data(image, NULL), (gssize)g_bytes_get_size(image), NULL));
  return disk;
}

static void disk_done(Disk *disk)
{
  g_unlink(disk->path);
  g_rmdir(disk->dir);
  g_free(disk->path);
  g_free(disk->dir);
}

static char *run(const char *const *argv, int *ret_status)
{
  char *out = NULL;
  g_autoptr(GError) err = NULL;
  if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL, ret_status, &err))
    fail_msg("%s", err->message);
  return out;
}

static void assert_file(const Disk *disk, const char *name, const char *wanted, size_t len)
{
  g_autofree char *file = g_strdup_printf("::%s", name), *copy = g_build_filename(disk->dir, "copy", NULL), *text = NULL;
  const char *const argv[] = { "mcopy", "-n", "-i", disk->path, file, copy, NULL };
  gsize got = 0;
  int status;
  g_free(run(argv, &status));
  assert_int_equal(status, 0);
  assert_true(g_file_get_contents(copy, &text, &got, NULL));
  g_unlink(copy);
  assert_int_equal(got, len);
  assert_memory_equal(text, wanted, len);
}

/* Where the machine has fsck.fat it must find nothing to say. */
static void assert_clean(const Disk *disk)
{
  g_autofree char *fsck = g_find_program_in_path("fsck.fat");
  if (!fsck)
    return;
  const char *const argv[] = { fsck, "-n", disk->path, NULL };
  int status;
  g_autofree char *out = run(argv, &status);
  if (status)
    fail_msg("%s", out);
}

static void a_disk_holds_its_files(void **state)
{
  static const size_t sizes[][3] = { { 0, 1, 511 }, { 512, 513, 1024 }, { 0, 0, 0 }, { 300000, 500000, 200000 }, { 1048576, 0, 0 } };
  g_autofree char *bytes = g_malloc(FAT_MAX_CONTENT_BYTES);
  for (size_t i = 0; i < FAT_MAX_CONTENT_BYTES; i++)
    bytes[i] = (char)(i * 31 + i / 512);
  for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
    const FatFile files[] = {
      { "meta-data", bytes, sizes[i][0] }, { "user-data", bytes + 1, sizes[i][1] }, { "a-name-of-26-characters-xx", bytes + 2, sizes[i][2] },
    };
    g_autoptr(GBytes) image = NULL;
    assert_true(fat_image("CIDATA", files, 3, &image, NULL));
    assert_int_equal(g_bytes_get_size(image) % 512, 0);
    Disk disk = disk_of(image);
    assert_clean(&disk);
    for (size_t j = 0; j < 3; j++)
      assert_file(&disk, files[j].name, files[j].bytes, files[j].len);
    disk_done(&disk);
  }
}

static void a_seed_is_a_disk_labelled_cidata(void **state)
{
  const SeedNetwork network = { .mac = "52:54:00:12:34:56" };
  const Seed seed = { .instance_id = "d-17.g4", .hostname = "cad-17", .person = &jihye, .network = &network };
  g_autoptr(GBytes) image = NULL, again = NULL;
  assert_true(seed_image(&seed, &image, NULL));
  assert_true(seed_image(&seed, &again, NULL));
  assert_true(g_bytes_equal(image, again));
  g_auto(SeedFiles) files = { 0 };
  assert_true(seed_files(&seed, &files, NULL));
  Disk disk = disk_of(image);
  assert_file(&disk, "meta-data", files.meta_data, strlen(files.meta_data));
  assert_file(&disk, "user-data", files.user_data, strlen(files.user_data));
  assert_file(&disk, "network-config", files.network_config, strlen(files.network_config));
  const char *const label[] = { "mlabel", "-s", "-i", disk.path, "::", NULL }, *const blkid[] = { "/usr/sbin/blkid", "-p", "-o", "export", disk.path, NULL };
  int status;
  g_autofree char *said = run(label, &status), *probed = run(blkid, &status);
  assert_non_null(strstr(said, "CIDATA"));
  assert_non_null(strstr(probed, "\nLABEL=CIDATA\n"));
  assert_non_null(strstr(probed, "\nTYPE=vfat\n"));
  disk_done(&disk);
}

static void too_much_for_a_seed(void **state)
{
  g_autofree char *key = g_strnfill(FAT_MAX_CONTENT_BYTES, 'k');
  const char *const list[] = { key, NULL };
  const GuestPerson person = { .name = "kim", .ssh_keys = list };
  const Seed seed = { .instance_id = "i", .hostname = "h", .person = &person };
  g_autoptr(GError) err = NULL;
  GBytes *image = NULL;
  assert_false(seed_image(&seed, &image, &err));
  assert_true(error_is(err, REASON_TOO_LARGE));
  assert_null(image);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_written),
    cmocka_unit_test(what_is_left_out),
    cmocka_unit_test(refused),
    cmocka_unit_test(hostile_texts_come_back_as_they_were),
    cmocka_unit_test(a_long_text_stays_on_its_line),
    cmocka_unit_test(a_disk_holds_its_files),
    cmocka_unit_test(a_seed_is_a_disk_labelled_cidata),
    cmocka_unit_test(too_much_for_a_seed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
