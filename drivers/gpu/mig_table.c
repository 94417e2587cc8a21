#include "drivers/gpu/mig_table.h"

#include "core/gpu.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 32, STARTS_MAX = 64 };

void mig_profile_free(MigProfile *profile)
{
  g_free(profile->name);
  g_array_unref(profile->starts);
  g_free(profile);
}

void mig_instance_free(MigInstance *instance)
{
  g_free(instance->profile);
  g_free(instance);
}

static bool table_wrong(const char *host, const char *line, GError **err)
{
  g_autofree char *detail = g_strdup_printf("nvidia-smi says \"%.120s\"", line);
  return error_false(err, REASON_GPU_FACTS, "host", host, "detail", detail, NULL);
}

static bool profiles_many(const char *host, GError **err)
{
  g_autofree char *detail = g_strdup_printf("nvidia-smi tells of more than %d types of parts on one card", GPU_TYPES_MOST);
  return error_false(err, REASON_GPU_FACTS, "host", host, "detail", detail, NULL);
}

/* Rows with a profile's name begin so; every other line is a frame, a heading or the second half of a row. */
static bool is_row(const char *line)
{
  const char *at = line + strspn(line, "| ");
  size_t digits = strspn(at, "0123456789");
  at += digits;
  return line[0] == '|' && digits && g_str_has_prefix(at + strspn(at, " "), "MIG ");
}

static bool in_range(int value)
{
  return value >= 0 && value <= 4096;
}

/* "|   0  MIG 1g.10gb         19     7/7        9.75 …" */
static bool profile_take(const char *line, GPtrArray *profiles)
{
  char name[NAME_BYTES + 1];
  int gpu, id, free_ones, total;
  if (sscanf(line, "| %d MIG %32[A-Za-z0-9.+_-] %d %d/%d", &gpu, name, &id, &free_ones, &total) != 5 || !in_range(id) || !in_range(free_ones) ||
      !in_range(total) || free_ones > total)
    return false;
  MigProfile *profile = g_new0(MigProfile, 1);
  *profile = (MigProfile){ g_strdup(name), id, free_ones, total, 0, g_array_new(FALSE, FALSE, sizeof(int)) };
  g_ptr_array_add(profiles, profile);
  return true;
}

bool mig_profiles_parse(const char *host, const char *text, GPtrArray **ret_profiles, GError **err)
{
  g_autoptr(GPtrArray) profiles = g_ptr_array_new_with_free_func((GDestroyNotify)mig_profile_free);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++) {
    if (is_row(*line) && !profile_take(*line, profiles))
      return table_wrong(host, *line, err);
    if (profiles->len > GPU_TYPES_MOST)
      return profiles_many(host, err);
  }
  if (!profiles->len)
    return table_wrong(host, *text ? text : "nothing", err);
  *ret_profiles = g_steal_pointer(&profiles);
  return true;
}

static MigProfile *profile_find(GPtrArray *profiles, int id)
{
  for (guint i = 0; i < profiles->len; i++)
    if (((MigProfile *)profiles->pdata[i])->id == id)
      return profiles->pdata[i];
  return NULL;
}

/* "{0,1,2}:1", "{0}:8", or "{}:2" where none is free. */
static bool starts_take(const char *text, GArray *starts, int *ret_size)
{
  const char *at = text;
  if (*at++ != '{')
    return false;
  while (*at != '}') {
    char *end;
    gint64 start = g_ascii_strtoll(at, &end, 10);
    if (end == at || start < 0 || start > STARTS_MAX || starts->len > STARTS_MAX)
      return false;
    int value = (int)start;
    g_array_append_val(starts, value);
    at = *end == ',' ? end + 1 : end;
  }
  return sscanf(at, "}:%d", ret_size) == 1 && *ret_size >= 1 && *ret_size <= STARTS_MAX;
}

/* "GPU  0 Profile ID 19 Placements: {0,1,2,3,4,5,6}:1" */
bool mig_placements_parse(const char *host, const char *text, GPtrArray *profiles, GError **err)
{
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++) {
    int gpu, id;
    if (!g_str_has_prefix(*line, "GPU"))
      continue;
    if (sscanf(*line, "GPU %d Profile ID %d Placement", &gpu, &id) != 2)
      return table_wrong(host, *line, err);
    g_autoptr(GArray) starts = g_array_new(FALSE, FALSE, sizeof(int));
    const char *brace = strchr(*line, '{');
    int size;
    if (!brace || !starts_take(brace, starts, &size))
      return table_wrong(host, *line, err);
    MigProfile *profile = profile_find(profiles, id);
    if (!profile)
      continue;
    g_array_unref(profile->starts);
    profile->starts = g_steal_pointer(&starts);
    profile->size = size;
  }
  return true;
}

/* "|   0  MIG 1g.10gb       19        9          2:1     |" */
bool mig_instances_parse(const char *host, const char *text, GPtrArray **ret_instances, GError **err)
{
  g_autoptr(GPtrArray) instances = g_ptr_array_new_with_free_func((GDestroyNotify)mig_instance_free);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++) {
    MigInstance found = { 0 };
    char name[NAME_BYTES + 1];
    int gpu;
    if (!is_row(*line))
      continue;
    if (sscanf(*line, "| %d MIG %32[A-Za-z0-9.+_-] %d %d %d:%d", &gpu, name, &found.profile_id, &found.id, &found.start, &found.size) != 6 ||
        !in_range(found.id) || !in_range(found.start) || !in_range(found.size))
      return table_wrong(host, *line, err);
    MigInstance *instance = g_new0(MigInstance, 1);
    *instance = found;
    instance->profile = g_strdup(name);
    g_ptr_array_add(instances, instance);
  }
  if (!instances->len && !strstr(text, "No GPU instances found") && !strstr(text, "No MIG-enabled devices found"))
    return table_wrong(host, *text ? text : "nothing", err);
  *ret_instances = g_steal_pointer(&instances);
  return true;
}
