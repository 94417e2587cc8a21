#include "core/template/fat.h"

#include "core/error.h"

#include <stdint.h>
#include <string.h>

/* Microsoft's "FAT: General Overview of On-Disk Format" 1.03: one sector a cluster, two FATs, 64 root entries. FAT12 is what has
 * fewer than 4085 clusters: 1 MiB of files has about 2050. */
enum {
  SECTOR = 512,
  ENTRY = 32,
  ROOT_ENTRIES = 64,
  ROOT_SECTORS = ROOT_ENTRIES * ENTRY / SECTOR,
  MIN_CLUSTERS = 64,
  FIRST_CLUSTER = 2,
  END_OF_CHAIN = 0xfff,
  LONG_NAME_CHARACTERS = 13,
  MAX_NAME_CHARACTERS = 2 * LONG_NAME_CHARACTERS,
  DATE_1980_01_01 = 0x21,
};

enum { ATTRIBUTE_LABEL = 0x08, ATTRIBUTE_LONG_NAME = 0x0f, ATTRIBUTE_ARCHIVE = 0x20, LAST_LONG_ENTRY = 0x40, MEDIA_FIXED = 0xf8 };

typedef struct {
  uint8_t *bytes;
  size_t clusters, fat_sectors, sectors;
} Image;

static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

static void put16(uint8_t *at, unsigned value)
{
  at[0] = (uint8_t)value;
  at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
  put16(at, value & 0xffff);
  put16(at + 2, value >> 16);
}

static void put_padded(uint8_t *at, const char *text, size_t width)
{
  size_t n = MIN(strlen(text), width);
  memset(at, ' ', width);
  memcpy(at, text, n);
}

/* A volume's number should differ from another's; without a clock it is a hash of what the volume holds (FNV-1a). */
static uint32_t volume_number(const FatFile *files, size_t n)
{
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < files[i].len; j++)
      hash = (hash ^ (uint8_t)files[i].bytes[j]) * 16777619u;
  return hash;
}

static void put_boot_sector(const Image *image, const char *label, uint32_t number)
{
  uint8_t *b = image->bytes;
  memcpy(b, "\xeb\x3c\x90", 3);
  put_padded(b + 3, "SARANG", 8);
  put16(b + 11, SECTOR);
  b[13] = 1;                          /* sectors a cluster */
  put16(b + 14, 1);                   /* reserved sectors */
  b[16] = 2;                          /* FATs */
  put16(b + 17, ROOT_ENTRIES);
  put16(b + 19, (unsigned)image->sectors);
  b[21] = MEDIA_FIXED;
  put16(b + 22, (unsigned)image->fat_sectors);
  put16(b + 24, 32);                  /* sectors a track */
  put16(b + 26, 2);                   /* heads */
  b[36] = 0x80;                       /* first fixed disk */
  b[38] = 0x29;                       /* number, label and type follow */
  put32(b + 39, number);
  put_padded(b + 43, label, 11);
  put_padded(b + 54, "FAT12", 8);
  put16(b + 510, 0xaa55);
}

static void put_link(const Image *image, size_t cluster, unsigned next)
{
  for (int copy = 0; copy < 2; copy++) {
    uint8_t *at = image->bytes + SECTOR * (1 + (size_t)copy * image->fat_sectors) + cluster * 3 / 2;
    if (cluster % 2) {
      at[0] = (uint8_t)((at[0] & 0x0f) | (next & 0x0f) << 4);
      at[1] = (uint8_t)(next >> 4);
    } else {
      at[0] = (uint8_t)next;
      at[1] = (uint8_t)((at[1] & 0xf0) | next >> 8);
    }
  }
}

static uint8_t *cluster_at(const Image *image, size_t cluster)
{
  return image->bytes + SECTOR * (1 + 2 * image->fat_sectors + ROOT_SECTORS + cluster - FIRST_CLUSTER);
}

static void put_chain(const Image *image, size_t first, const FatFile *file)
{
  size_t n = ceil_div(file->len, SECTOR);
  for (size_t i = 0; i < n; i++)
    put_link(image, first + i, i + 1 < n ? (unsigned)(first + i + 1) : END_OF_CHAIN);
  if (file->len)
    memcpy(cluster_at(image, first), file->bytes, file->len);
}

static uint8_t checksum(const uint8_t *short_name)
{
  uint8_t sum = 0;
  for (int i = 0; i < 11; i++)
    sum = (uint8_t)((sum >> 1 | sum << 7) + short_name[i]);
  return sum;
}

/* Part n, counted from 1, of a long name; what is behind its end is one NUL, then 0xffff. */
static void put_long_entry(uint8_t *entry, const char *name, int n, bool is_last, uint8_t sum)
{
  static const uint8_t places[LONG_NAME_CHARACTERS] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };
  size_t len = strlen(name), at = (size_t)(n - 1) * LONG_NAME_CHARACTERS;
  entry[0] = (uint8_t)(n | (is_last ? LAST_LONG_ENTRY : 0));
  entry[11] = ATTRIBUTE_LONG_NAME;
  entry[13] = sum;
  for (int i = 0; i < LONG_NAME_CHARACTERS; i++, at++)
    put16(entry + places[i], at > len ? 0xffff : (uint8_t)name[at]);
}

static void put_short_entry(uint8_t *entry, const uint8_t *short_name, uint8_t attribute, size_t first, size_t len)
{
  memcpy(entry, short_name, 11);
  entry[11] = attribute;
  put16(entry + 16, DATE_1980_01_01);
  put16(entry + 18, DATE_1980_01_01);
  put16(entry + 24, DATE_1980_01_01);
  put16(entry + 26, (unsigned)first);
  put32(entry + 28, (uint32_t)len);
}

/* "META-D~1": six characters of the name and which file it is make it unique. */
static void short_name_of(const char *name, size_t i, uint8_t *ret_name)
{
  g_autofree char *upper = g_ascii_strup(name, -1);
  g_autofree char *text = g_strdup_printf("%.6s~%zu", upper, i + 1);
  for (char *c = text; *c; c++)
    if (!g_ascii_isalnum(*c) && *c != '-' && *c != '~')
      *c = '_';
  put_padded(ret_name, text, 11);
}

/* Entries of one file; returns where the next ones go. */
static uint8_t *put_entries(uint8_t *entry, const FatFile *file, size_t i, size_t first)
{
  uint8_t short_name[11];
  short_name_of(file->name, i, short_name);
  int parts = (int)ceil_div(strlen(file->name), LONG_NAME_CHARACTERS);
  for (int n = parts; n >= 1; n--, entry += ENTRY)
    put_long_entry(entry, file->name, n, n == parts, checksum(short_name));
  put_short_entry(entry, short_name, ATTRIBUTE_ARCHIVE, file->len ? first : 0, file->len);
  return entry + ENTRY;
}

static void lay_out(Image *image, const FatFile *files, size_t n)
{
  image->clusters = 0;
  for (size_t i = 0; i < n; i++)
    image->clusters += ceil_div(files[i].len, SECTOR);
  image->clusters = MAX(image->clusters, (size_t)MIN_CLUSTERS);
  image->fat_sectors = ceil_div(ceil_div((image->clusters + FIRST_CLUSTER) * 3, 2), SECTOR);
  image->sectors = 1 + 2 * image->fat_sectors + ROOT_SECTORS + image->clusters;
  image->bytes = g_malloc0(image->sectors * SECTOR);
}

static bool contents_check(const FatFile *files, size_t n, GError **err)
{
  size_t len = 0;
  for (size_t i = 0; i < n; i++)
    len += MIN(files[i].len, (size_t)FAT_MAX_CONTENT_BYTES + 1);
  if (len <= FAT_MAX_CONTENT_BYTES)
    return true;
  g_autofree char *value = g_strdup_printf("%zu bytes", len), *limit = g_strdup_printf("%d", FAT_MAX_CONTENT_BYTES);
  return error_false(err, REASON_TOO_LARGE, "what", "seed", "value", value, "limit", limit, NULL);
}

bool fat_image(const char *label, const FatFile *files, size_t n_files, GBytes **ret_image, GError **err)
{
  g_assert(n_files <= FAT_MAX_FILES && strlen(label) <= 11);
  if (!contents_check(files, n_files, err))
    return false;
  Image image;
  lay_out(&image, files, n_files);
  put_boot_sector(&image, label, volume_number(files, n_files));
  put_link(&image, 0, 0xf00 | MEDIA_FIXED);
  put_link(&image, 1, END_OF_CHAIN);
  uint8_t *entry = image.bytes + SECTOR * (1 + 2 * image.fat_sectors), padded[11];
  put_padded(padded, label, 11);
  put_short_entry(entry, padded, ATTRIBUTE_LABEL, 0, 0);
  entry += ENTRY;
  size_t cluster = FIRST_CLUSTER;
  for (size_t i = 0; i < n_files; i++) {
    g_assert(strlen(files[i].name) <= MAX_NAME_CHARACTERS);
    entry = put_entries(entry, &files[i], i, cluster);
    put_chain(&image, cluster, &files[i]);
    cluster += ceil_div(files[i].len, SECTOR);
  }
  *ret_image = g_bytes_new_take(image.bytes, image.sectors * SECTOR);
  return true;
}
