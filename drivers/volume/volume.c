#include "drivers/volume/volume.h"

#include <string.h>

ENUM_DEFINE(VolumeDriverKind, volume_driver, VOLUME_DRIVERS, N_VOLUME_DRIVERS)

static const VolumeDriver *const drivers[N_VOLUME_DRIVERS] = {
  [VOLUMES_DIR] = &volume_driver_dir,
  [VOLUMES_LIBVIRT] = &volume_driver_libvirt,
  [VOLUMES_FAKE] = &volume_driver_fake,
};

static const struct { const char *before, *between, *after; } roles[N_VOLUME_ROLES] = {
#define X(name, before, between, after) [name] = { before, between, after },
  VOLUME_ROLES(X)
#undef X
};

/* ── names ──────────────────────────────────────────────────────────────── */

char *volume_name(VolumeRole role, const char *owner, int64_t number)
{
  g_assert(role < N_VOLUME_ROLES && number >= 1);
  return g_strdup_printf("%s%s%s%" G_GINT64_FORMAT "%s", roles[role].before, owner, roles[role].between, number,
                         roles[role].after);
}

/* What comes out must make the same name again: so 07, +7 and a number that wraps are nobody's. */
static bool parse_as(VolumeRole role, const char *name, VolumeName *ret_name)
{
  if (!g_str_has_prefix(name, roles[role].before) || !g_str_has_suffix(name, roles[role].after))
    return false;
  const char *owner = name + strlen(roles[role].before);
  const char *between = g_strrstr_len(owner, (gssize)(strlen(owner) - strlen(roles[role].after)), roles[role].between);
  if (!between || between == owner || between - owner > NAME_MAX_BYTES)
    return false;
  VolumeName found = { .role = role, .number = g_ascii_strtoll(between + strlen(roles[role].between), NULL, 10) };
  memcpy(found.owner, owner, (size_t)(between - owner));
  if (found.number < 1 || !name_check("owner", found.owner, NULL))
    return false;
  g_autofree char *again = volume_name(role, found.owner, found.number);
  if (strcmp(again, name))
    return false;
  *ret_name = found;
  return true;
}

bool volume_name_parse(const char *name, VolumeName *ret_name)
{
  for (VolumeRole role = 0; role < N_VOLUME_ROLES; role++)
    if (parse_as(role, name, ret_name))
      return true;
  return false;
}

static bool check_name(const char *name, GError **err)
{
  bool good = name && g_ascii_isalnum(*name) && !g_ascii_isupper(*name) && strlen(name) <= VOLUME_NAME_MAX_BYTES;
  for (const char *c = name; good && *c; c++)
    good = g_ascii_islower(*c) || g_ascii_isdigit(*c) || *c == '.' || *c == '-';
  return good || error_false(err, REASON_BAD_NAME, "field", "volume", "value", name,
                             "limit", "1 to 128 of a-z, 0-9, - and ., beginning with a letter or digit", NULL);
}

static bool check_ours(const Volumes *volumes, const char *name, GError **err)
{
  VolumeName parsed;
  if (!check_name(name, err))
    return false;
  return volume_name_parse(name, &parsed) ||
         error_false(err, REASON_VOLUME_FOREIGN, "storage", volumes->storage, "name", name, NULL);
}

/* ── calls ──────────────────────────────────────────────────────────────── */

bool volume_call_check(const VolumeCall *call, const char *what, GError **err)
{
  if (call && call->cancel && g_cancellable_is_cancelled(call->cancel))
    return error_false(err, REASON_CANCELLED, "what", what, NULL);
  if (call && call->deadline_us && g_get_monotonic_time() >= call->deadline_us)
    return error_false(err, REASON_TIMEOUT, "what", what, "limit", "its deadline", NULL);
  return true;
}

/* The one place that answers for a verb that a driver does not have. */
static bool check_verb(const Volumes *volumes, bool has, const char *verb, GError **err)
{
  return has || error_false(err, REASON_UNSUPPORTED, "what", verb, "by", volume_driver_name(volumes->kind), NULL);
}

#define CAN(volumes, verb, err) check_verb(volumes, (volumes)->driver->verb != NULL, #verb " of a volume", err)

/* ── storages ───────────────────────────────────────────────────────────── */

bool volumes_open(const VolumesOptions *options, const VolumeCall *call, Volumes **ret_volumes, GError **err)
{
  const char *const paths[] = { options->path, options->controller_path };
  for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
    if ((i == 0 || paths[i]) && (!paths[i] || paths[i][0] != '/'))
      return error_false(err, REASON_BAD_VALUE, "field", i ? "controller_path" : "path", "value", paths[i],
                         "limit", "an absolute path", NULL);
  Volumes *volumes;
  VolumesOptions named = *options;
  named.storage = options->storage ? options->storage : options->path;
  if (!drivers[options->driver]->open(&named, call, &volumes, err))
    return false;
  volumes->driver = drivers[options->driver];
  volumes->kind = options->driver;
  volumes->storage = g_strdup(named.storage);
  volumes->path = g_strdup(options->path);
  *ret_volumes = volumes;
  return true;
}

void volumes_close(Volumes *volumes)
{
  if (!volumes)
    return;
  g_free(volumes->storage);
  g_free(volumes->path);
  volumes->driver->close(volumes);
}

char *volume_path(const Volumes *volumes, const char *name) { return g_build_filename(volumes->path, name, NULL); }

/* ── verbs ──────────────────────────────────────────────────────────────── */

void volume_facts_free(VolumeFacts *facts)
{
  if (!facts)
    return;
  g_free(facts->name);
  g_free(facts);
}

bool volumes_space(Volumes *volumes, const VolumeCall *call, VolumeSpace *ret_space, GError **err)
{
  return CAN(volumes, space, err) && volume_call_check(call, volumes->storage, err) &&
         volumes->driver->space(volumes, call, ret_space, err);
}

bool volume_list(Volumes *volumes, const VolumeCall *call, GPtrArray **ret_volumes, GError **err)
{
  VolumeName parsed;
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)volume_facts_free);
  if (!CAN(volumes, list, err) || !volume_call_check(call, volumes->storage, err) ||
      !volumes->driver->list(volumes, call, "", list, err))
    return false;
  for (guint i = 0; i < list->len; i++) {
    VolumeFacts *facts = g_ptr_array_index(list, i);
    facts->ours = volume_name_parse(facts->name, &parsed);
  }
  *ret_volumes = g_steal_pointer(&list);
  return true;
}

bool volume_look(Volumes *volumes, const VolumeCall *call, const char *name, VolumeFacts **ret_facts, GError **err)
{
  VolumeName parsed;
  if (!CAN(volumes, look, err) || !check_name(name, err) || !volume_call_check(call, name, err) ||
      !volumes->driver->look(volumes, call, name, ret_facts, err))
    return false;
  (*ret_facts)->ours = volume_name_parse(name, &parsed);
  return true;
}

bool volume_read(Volumes *volumes, const VolumeCall *call, const char *name, int64_t offset, size_t bytes, GBytes **ret_bytes,
                 GError **err)
{
  g_assert(offset >= 0 && bytes <= VOLUME_READ_MAX_BYTES);
  return CAN(volumes, read, err) && check_name(name, err) && volume_call_check(call, name, err) &&
         volumes->driver->read(volumes, call, name, offset, bytes, ret_bytes, err);
}

bool volume_put(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeContent *content, VolumeFlags flags,
                GError **err)
{
  return CAN(volumes, put, err) && check_ours(volumes, name, err) && volume_call_check(call, name, err) &&
         volumes->driver->put(volumes, call, name, content, flags, err);
}

bool volume_copy(Volumes *volumes, const VolumeCall *call, const char *from, const char *name, GError **err)
{
  return CAN(volumes, copy, err) && check_name(from, err) && check_ours(volumes, name, err) &&
         volume_call_check(call, name, err) &&
         volumes->driver->copy(volumes, call, from, name, err);
}

bool volume_delete(Volumes *volumes, const VolumeCall *call, const char *name, GError **err)
{
  return CAN(volumes, del, err) && check_ours(volumes, name, err) && volume_call_check(call, name, err) &&
         volumes->driver->del(volumes, call, name, err);
}

/* ── made of the verbs ──────────────────────────────────────────────────── */

typedef struct {
  const uint8_t *data;
  int64_t bytes, size_bytes;
} BytesContent;

static bool bytes_extent(void *owner, int64_t offset, int64_t *ret_from, int64_t *ret_to, GError **err)
{
  const BytesContent *c = owner;
  *ret_from = offset < c->bytes ? offset : c->size_bytes;
  *ret_to = offset < c->bytes ? c->bytes : c->size_bytes;
  return true;
}

static bool bytes_read(void *owner, int64_t offset, void *buffer, size_t bytes, GError **err)
{
  memcpy(buffer, ((const BytesContent *)owner)->data + offset, bytes);
  return true;
}

bool volume_put_bytes(Volumes *volumes, const VolumeCall *call, const char *name, GBytes *bytes, int64_t size_bytes,
                      VolumeFlags flags, GError **err)
{
  BytesContent owner = { g_bytes_get_data(bytes, NULL), (int64_t)g_bytes_get_size(bytes), size_bytes };
  const VolumeContent content = { size_bytes, bytes_extent, bytes_read, NULL, &owner };
  g_assert(owner.bytes <= size_bytes);
  return volume_put(volumes, call, name, &content, flags, err);
}

bool volume_header(Volumes *volumes, const VolumeCall *call, const char *name, Qcow2Header **ret_header, GError **err)
{
  g_autoptr(VolumeFacts) facts = NULL;
  g_autoptr(GBytes) head = NULL;
  return volume_look(volumes, call, name, &facts, err) && volume_read(volumes, call, name, 0, QCOW2_HEAD_BYTES, &head, err) &&
         qcow2_header_parse(g_bytes_get_data(head, NULL), g_bytes_get_size(head), facts->size_bytes, ret_header, err);
}

static bool delete_listed(Volumes *volumes, const VolumeCall *call, GPtrArray *list, const VolumeName *but, GError **err)
{
  for (guint i = 0; i < list->len; i++) {
    const VolumeFacts *facts = g_ptr_array_index(list, i);
    VolumeName name;
    bool of_it = volume_name_parse(facts->name, &name) && !strcmp(name.owner, but->owner) &&
                 (name.role == VOLUME_DISK_QCOW2 || name.role == VOLUME_DISK_RAW || name.role == VOLUME_SEED);
    if (of_it && name.number != but->number && !volume_delete(volumes, call, facts->name, err))
      return false;
  }
  return true;
}

bool volume_delete_desktop(Volumes *volumes, const VolumeCall *call, const char *desktop, int64_t keep, GError **err)
{
  VolumeName but = { .number = keep };
  g_autofree char *prefix = g_strconcat(desktop, ".g", NULL);
  g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)volume_facts_free);
  if (!name_check("desktop", desktop, err) || !CAN(volumes, list, err) || !volume_call_check(call, desktop, err))
    return false;
  g_strlcpy(but.owner, desktop, sizeof but.owner);
  return volumes->driver->list(volumes, call, prefix, list, err) && delete_listed(volumes, call, list, &but, err);
}

static bool image_virtual_bytes(const VolumeClone *clone, Volumes *images, const VolumeCall *call, int64_t *ret_bytes,
                                GError **err)
{
  g_autoptr(VolumeFacts) facts = NULL;
  g_autoptr(Qcow2Header) header = NULL;
  if (clone->format == FORMAT_RAW) {
    if (!volume_look(images, call, clone->image, &facts, err))
      return false;
    *ret_bytes = facts->size_bytes;
    return true;
  }
  if (!volume_header(images, call, clone->image, &header, err))
    return false;
  if (header->backing_path)
    return error_false(err, REASON_VOLUME_CHAIN, "name", clone->image, "path", header->backing_path, NULL);
  *ret_bytes = header->virtual_bytes;
  return true;
}

static bool check_clone(const VolumeClone *clone, Volumes *images, const VolumeCall *call, GError **err)
{
  int64_t image_bytes = 0;
  if (!image_virtual_bytes(clone, images, call, &image_bytes, err))
    return false;
  if (clone->virtual_bytes >= image_bytes)
    return true;
  g_autofree char *value = g_strdup_printf("%" G_GINT64_FORMAT " bytes", clone->virtual_bytes);
  g_autofree char *limit = g_strdup_printf("at least the %" G_GINT64_FORMAT " bytes of its image", image_bytes);
  return error_false(err, REASON_BAD_VALUE, "field", "disk size", "value", value, "limit", limit, NULL);
}

static Qcow2Overlay overlay_of(const VolumeClone *clone, const char *path)
{
  return (Qcow2Overlay){ clone->virtual_bytes, path, image_format_name(clone->format), clone->tag };
}

bool volume_clone(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeClone *clone, GError **err)
{
  Volumes *images = clone->images ? clone->images : volumes;
  g_autofree char *path = volume_path(images, clone->image);
  const Qcow2Overlay overlay = overlay_of(clone, path);
  int64_t bytes;
  g_autoptr(GBytes) head = qcow2_overlay_emit(&overlay, &bytes, err);
  if (!head || !check_clone(clone, images, call, err))
    return false;
  /* what is there already must be this overlay, byte for byte: so nobody has written to it */
  return volume_put_bytes(volumes, call, name, head, bytes, VOLUME_RESUME, err);
}

static bool read_whole(Volumes *volumes, const VolumeCall *call, const char *name, GByteArray *into, GError **err)
{
  for (;;) {
    g_autoptr(GBytes) part = NULL;
    if (!volume_read(volumes, call, name, into->len, VOLUME_READ_MAX_BYTES, &part, err))
      return false;
    g_byte_array_append(into, g_bytes_get_data(part, NULL), (guint)g_bytes_get_size(part));
    if (g_bytes_get_size(part) < VOLUME_READ_MAX_BYTES)
      return true;
  }
}

bool volume_prove(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeClone *clone, GError **err)
{
  g_autofree char *path = volume_path(clone->images ? clone->images : volumes, clone->image);
  const Qcow2Overlay overlay = overlay_of(clone, path);
  int64_t fresh_bytes;
  g_autoptr(GBytes) fresh = qcow2_overlay_emit(&overlay, &fresh_bytes, err);
  g_autoptr(VolumeFacts) facts = NULL;
  g_autoptr(GByteArray) file = g_byte_array_new();
  if (!fresh || !volume_look(volumes, call, name, &facts, err))
    return false;
  if (facts->size_bytes > fresh_bytes + (1 << 20)) {
    g_autofree char *value = g_strdup_printf("%" G_GINT64_FORMAT, facts->size_bytes);
    g_autofree char *wanted = g_strdup_printf("%" G_GINT64_FORMAT, fresh_bytes);
    return error_false(err, REASON_QCOW2_NOT_FRESH, "field", "file size", "value", value, "wanted", wanted, NULL);
  }
  return read_whole(volumes, call, name, file, err) && qcow2_overlay_prove(&overlay, file->data, file->len, err);
}
