/* Volumes through a host's libvirtd, as a storage pool of type dir: for directories that the controller itself does not see.
 *
 * libvirt has no rename and no lock, so a volume has its name while it is being written. Its first 4 KiB are written last: a
 * qcow2 volume without its magic is not whole (and libvirt takes it for raw). A part has no name of its own here, and of raw
 * volumes nobody can tell whether they are whole.
 *
 * One verb at a time on a connection. libvirtd stops reading from one that has five messages waiting, those of streams
 * included: with several streams and calls side by side both ends were seen to wait for each other for ever (libvirt 9.0).
 *
 * The formats that libvirtd finds by looking are never used but for one thing, copying: see libvirt_copy(). */
#include "drivers/volume/libvirt.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <libxml/parser.h>
#include <libxml/xmlwriter.h>
#include <string.h>

#include "drivers/hypervisor/xml_read.h"
#include "drivers/volume/lock.h"
#include "drivers/volume/pour.h"

enum { KEEPALIVE_S = 5, KEEPALIVE_COUNT = 3 };

/* ── errors ─────────────────────────────────────────────────────────────── */

static bool is_connection_error(const virError *error)
{
  return error->domain == VIR_FROM_RPC || error->domain == VIR_FROM_REMOTE || error->code == VIR_ERR_NO_CONNECT ||
         error->code == VIR_ERR_INVALID_CONN || error->code == VIR_ERR_AUTH_FAILED;
}

static bool is_full(const virError *error)
{
  return error->code == VIR_ERR_SYSTEM_ERROR && (error->int1 == ENOSPC || error->int1 == EDQUOT || error->int1 == EFBIG);
}

static bool is_there(const virError *error)
{
  return error->code == VIR_ERR_STORAGE_VOL_EXIST || (error->code == VIR_ERR_SYSTEM_ERROR && error->int1 == EEXIST);
}

static bool set_error(const char *storage, const char *action, const char *name, const virError *error, GError **err)
{
  const char *said = error && error->message ? error->message : "it did not say why", *what = name ? name : storage;
  if (error && error->code == VIR_ERR_NO_STORAGE_VOL)
    return error_false(err, REASON_NOT_FOUND, "kind", "volume", "name", what, NULL);
  if (error && is_there(error))
    return error_false(err, REASON_EXISTS, "kind", "volume", "name", what, NULL);
  if (error && is_full(error))
    return error_false(err, REASON_STORAGE_FULL, "storage", storage, "name", what, NULL);
  if (error && (error->code == VIR_ERR_NO_SUPPORT || error->code == VIR_ERR_OPERATION_UNSUPPORTED))
    return error_false(err, REASON_UNSUPPORTED, "what", action, "by", "the host", NULL);
  if (!name || !error || is_connection_error(error) || error->code == VIR_ERR_NO_STORAGE_POOL)
    return error_false(err, REASON_STORAGE_UNREACHABLE, "storage", storage, "detail", said, NULL);
  return error_false(err, REASON_IO, "action", action, "path", what, "detail", said, NULL);
}

bool libvirt_volume_failed(const LibvirtVolumes *v, const char *action, const char *name, GError **err)
{
  virErrorPtr error = virSaveLastError();
  bool alive = virConnectIsAlive(v->conn) != 0;
  set_error(v->base.storage, action, alive ? name : NULL, error, err);
  virFreeError(error);
  return false;
}

/* ── XML ────────────────────────────────────────────────────────────────── */

static void xml_doc_clear(xmlDocPtr *doc) { xmlFreeDoc(*doc); }
#define AUTO_XML __attribute__((cleanup(xml_doc_clear))) xmlDocPtr

/* Text of the first element called name below node, at any depth but below backingStore, which tells of another file. */
static const xmlNode *find_element(const xmlNode *node, const char *name)
{
  for (const xmlNode *child = node->children; child; child = child->next) {
    if (child->type != XML_ELEMENT_NODE || xmlStrEqual(child->name, BAD_CAST "backingStore"))
      continue;
    const xmlNode *found = xmlStrEqual(child->name, BAD_CAST name) ? child : find_element(child, name);
    if (found)
      return found;
  }
  return NULL;
}

static const char *element_text(const xmlNode *root, const char *name)
{
  const xmlNode *element = find_element(root, name);
  const xmlNode *text = element ? element->children : NULL;
  return text && text->type == XML_TEXT_NODE ? (const char *)text->content : "";
}

static char *finish_xml(xmlTextWriterPtr w, xmlBufferPtr buffer)
{
  xmlTextWriterEndDocument(w);
  xmlFreeTextWriter(w);
  char *text = g_strdup((const char *)buffer->content);
  xmlBufferFree(buffer);
  return text;
}

static xmlTextWriterPtr start_xml(const char *root, xmlBufferPtr *ret_buffer)
{
  *ret_buffer = xmlBufferCreate();
  xmlTextWriterPtr w = xmlNewTextWriterMemory(*ret_buffer, 0);
  xmlTextWriterStartElement(w, BAD_CAST root);
  return w;
}

static char *pool_xml(const char *name, const char *uuid, const char *path)
{
  xmlBufferPtr buffer;
  xmlTextWriterPtr w = start_xml("pool", &buffer);
  xmlTextWriterWriteAttribute(w, BAD_CAST "type", BAD_CAST "dir");
  xmlTextWriterWriteElement(w, BAD_CAST "name", BAD_CAST name);
  xmlTextWriterWriteElement(w, BAD_CAST "uuid", BAD_CAST uuid);
  xmlTextWriterStartElement(w, BAD_CAST "target");
  xmlTextWriterWriteElement(w, BAD_CAST "path", BAD_CAST path);
  return finish_xml(w, buffer);
}

static char *volume_xml(const char *name, const char *format, unsigned mode, int64_t size_bytes)
{
  xmlBufferPtr buffer;
  xmlTextWriterPtr w = start_xml("volume", &buffer);
  xmlTextWriterWriteElement(w, BAD_CAST "name", BAD_CAST name);
  xmlTextWriterWriteFormatElement(w, BAD_CAST "capacity", "%" G_GINT64_FORMAT, size_bytes);
  xmlTextWriterWriteElement(w, BAD_CAST "allocation", BAD_CAST "0");
  xmlTextWriterStartElement(w, BAD_CAST "target");
  xmlTextWriterStartElement(w, BAD_CAST "format");
  xmlTextWriterWriteAttribute(w, BAD_CAST "type", BAD_CAST format);
  xmlTextWriterEndElement(w);
  xmlTextWriterStartElement(w, BAD_CAST "permissions");
  xmlTextWriterWriteFormatElement(w, BAD_CAST "mode", "%04o", mode);
  return finish_xml(w, buffer);
}

/* ── the pool ───────────────────────────────────────────────────────────── */

/* Of the path alone, so that two controllers, or one that was made anew, share one pool. */
static void pool_uuid(const char *path, char uuid[VIR_UUID_STRING_BUFLEN])
{
  g_autofree char *text = g_strconcat("urn:sarang:storage:", path, NULL);
  g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
  g_snprintf(uuid, VIR_UUID_STRING_BUFLEN, "%.8s-%.4s-8%.3s-8%.3s-%.12s", hash, hash + 8, hash + 12, hash + 15, hash + 18);
}

static bool pool_has_path(virStoragePoolPtr pool, const char *path)
{
  g_autofree char *text = virStoragePoolGetXMLDesc(pool, 0);
  AUTO_XML doc = xml_doc_read(text, NULL);
  const xmlNode *target = doc ? find_element(xmlDocGetRootElement(doc), "target") : NULL;
  g_autofree char *wanted = g_canonicalize_filename(path, "/");
  g_autofree char *found = target ? g_canonicalize_filename(element_text(target, "path"), "/") : NULL;
  return !g_strcmp0(found, wanted);
}

/* libvirt allows one pool a directory: where an administrator has made one, it is used as it is. */
static virStoragePoolPtr pool_find_by_path(virConnectPtr conn, const char *path)
{
  virStoragePoolPtr *pools = NULL, found = NULL;
  int n = virConnectListAllStoragePools(conn, &pools, 0);
  for (int i = 0; i < n; i++)
    if (!found && pool_has_path(pools[i], path))
      found = pools[i];
    else
      virStoragePoolFree(pools[i]);
  free(pools);
  return found;
}

static virStoragePoolPtr pool_define(const LibvirtVolumes *v, const VolumesOptions *options, GError **err)
{
  char uuid[VIR_UUID_STRING_BUFLEN];
  pool_uuid(options->path, uuid);
  virStoragePoolPtr pool = virStoragePoolLookupByUUIDString(v->conn, uuid);
  if (!pool)
    pool = pool_find_by_path(v->conn, options->path);
  if (pool)
    return pool;
  g_autofree char *name = g_strdup_printf("sarang-%s-%.8s", options->storage, uuid);
  g_autofree char *xml = pool_xml(name, uuid, options->path);
  pool = virStoragePoolDefineXML(v->conn, xml, 0);
  if (!pool)
    libvirt_volume_failed(v, "define", NULL, err);
  return pool;
}

static bool pool_start(const LibvirtVolumes *v, const VolumesOptions *options, GError **err)
{
  if (virStoragePoolIsActive(v->pool) == 1)
    return true;
  if (options->create && virStoragePoolBuild(v->pool, 0) < 0)
    return libvirt_volume_failed(v, "build", NULL, err);
  /* another thread or controller may have started it meanwhile */
  return virStoragePoolCreate(v->pool, 0) == 0 || virStoragePoolIsActive(v->pool) == 1 ||
         libvirt_volume_failed(v, "start", NULL, err);
}

static void libvirt_free(LibvirtVolumes *v)
{
  pthread_mutex_destroy(&v->lock);
  if (v->pool)
    virStoragePoolFree(v->pool);
  if (v->own_conn)
    virConnectClose(v->own_conn);
  g_free(v);
}

static void libvirt_close(Volumes *volumes) { libvirt_free((LibvirtVolumes *)volumes); }

static bool connect_host(LibvirtVolumes *v, const VolumesOptions *options, GError **err)
{
  v->conn = options->connection;
  if (v->conn)
    return true;
  v->conn = v->own_conn = virConnectOpen(options->uri);
  if (!v->conn)
    return set_error(options->storage, "open", NULL, virGetLastError(), err);
  /* works where somebody runs libvirt's event loop; without it a dead host is noticed by the call's deadline only */
  (void)virConnectSetKeepAlive(v->conn, KEEPALIVE_S, KEEPALIVE_COUNT);
  return true;
}

static bool libvirt_open(const VolumesOptions *options, const VolumeCall *call, Volumes **ret_volumes, GError **err)
{
  LibvirtVolumes *v = g_new0(LibvirtVolumes, 1);
  pthread_mutex_init(&v->lock, NULL);
  v->base.storage = (char *)options->storage;
  if (connect_host(v, options, err) && volume_call_check(call, options->path, err) && (v->pool = pool_define(v, options, err)) &&
      volume_call_check(call, options->path, err) && pool_start(v, options, err)) {
    *ret_volumes = &v->base;
    return true;
  }
  libvirt_free(v);
  return false;
}

/* Makes libvirtd look into the directory. It does not while one of its volumes is being made, through whatever connection;
 * then what it knows is about right, since that is what it does itself. */
static bool pool_refresh(const LibvirtVolumes *v)
{
  enum { TRIES = 10, WAIT_US = 20000 };
  for (int i = 0; i < TRIES; i++) {
    if (virStoragePoolRefresh(v->pool, 0) == 0)
      return true;
    const virError *error = virGetLastError();
    if (!error || !error->message || !strstr(error->message, "asynchronous jobs running"))
      return false;
    g_usleep(WAIT_US);
  }
  return true;
}

/* Uploads and deletions keep libvirtd's numbers right, other hosts and other programs do not. */
static bool libvirt_space(Volumes *volumes, const VolumeCall *call, VolumeSpace *ret_space, GError **err)
{
  LibvirtVolumes *v = (LibvirtVolumes *)volumes;
  LOCKED(&v->lock);
  virStoragePoolInfo info;
  if (!pool_refresh(v) || virStoragePoolGetInfo(v->pool, &info) < 0)
    return libvirt_volume_failed(v, "look at", NULL, err);
  *ret_space = (VolumeSpace){ (int64_t)info.capacity, (int64_t)info.available };
  return true;
}

/* ── volumes ────────────────────────────────────────────────────────────── */

virStorageVolPtr libvirt_volume_find(const LibvirtVolumes *v, const char *name, GError **err)
{
  virStorageVolPtr vol = virStorageVolLookupByName(v->pool, name);
  if (!vol && virGetLastErrorCode() == VIR_ERR_NO_STORAGE_VOL && pool_refresh(v))
    vol = virStorageVolLookupByName(v->pool, name);
  if (!vol)
    libvirt_volume_failed(v, "find", name, err);
  return vol;
}

bool libvirt_volume_read(const char *xml, LibvirtVolume *ret_facts)
{
  AUTO_XML doc = xml_doc_read(xml, NULL);
  const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL, *format = root ? find_element(root, "format") : NULL;
  if (!root)
    return false;
  const char *physical = element_text(root, "physical");
  *ret_facts = (LibvirtVolume){
    .size_bytes = MAX(0, g_ascii_strtoll(*physical ? physical : element_text(root, "capacity"), NULL, 10)),
    .allocated_bytes = MAX(0, g_ascii_strtoll(element_text(root, "allocation"), NULL, 10)),
    .mode = (unsigned)g_ascii_strtoull(element_text(root, "mode"), NULL, 8),
  };
  xmlChar *type = format ? xmlGetProp(format, BAD_CAST "type") : NULL;
  g_strlcpy(ret_facts->format, type ? (const char *)type : "", sizeof ret_facts->format);
  xmlFree(type);
  return true;
}

bool libvirt_volume_facts(const LibvirtVolumes *v, virStorageVolPtr vol, LibvirtVolume *ret_facts, GError **err)
{
  const char *name = virStorageVolGetName(vol);
  g_autofree char *text = virStorageVolGetXMLDesc(vol, 0);
  if (!text)
    return libvirt_volume_failed(v, "look at", name, err);
  return libvirt_volume_read(text, ret_facts) ||
         error_false(err, REASON_IO, "action", "look at", "path", name, "detail", "the host's answer is not XML that is taken", NULL);
}

static VolumeFacts *facts_new(const char *name, const LibvirtVolume *volume)
{
  VolumeFacts *facts = g_new0(VolumeFacts, 1);
  facts->name = g_strdup(name);
  facts->size_bytes = volume->size_bytes;
  facts->allocated_bytes = volume->allocated_bytes;
  facts->read_only = volume->mode && !(volume->mode & 0222);
  facts->partial = g_str_has_suffix(name, ".qcow2") && strcmp(volume->format, "qcow2");
  return facts;
}

static bool libvirt_look(Volumes *volumes, const VolumeCall *call, const char *name, VolumeFacts **ret_facts, GError **err)
{
  LibvirtVolumes *v = (LibvirtVolumes *)volumes;
  LOCKED(&v->lock);
  LibvirtVolume facts;
  g_autoptr(virStorageVol) vol = libvirt_volume_find(v, name, err);
  if (!vol || !libvirt_volume_facts(v, vol, &facts, err))
    return false;
  *ret_facts = facts_new(name, &facts);
  return true;
}

static bool list_one(const LibvirtVolumes *v, virStorageVolPtr vol, GPtrArray *volumes_out, GError **err)
{
  LibvirtVolume facts;
  g_autoptr(GError) why = NULL;
  if (libvirt_volume_facts(v, vol, &facts, &why)) {
    g_ptr_array_add(volumes_out, facts_new(virStorageVolGetName(vol), &facts));
    return true;
  }
  /* gone since the list was made */
  if (error_is(why, REASON_NOT_FOUND))
    return true;
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

static bool libvirt_list(Volumes *volumes, const VolumeCall *call, const char *prefix, GPtrArray *volumes_out, GError **err)
{
  LibvirtVolumes *v = (LibvirtVolumes *)volumes;
  LOCKED(&v->lock);
  virStorageVolPtr *vols = NULL;
  int n = pool_refresh(v) ? virStoragePoolListAllVolumes(v->pool, &vols, 0) : -1;
  if (n < 0)
    return libvirt_volume_failed(v, "list", NULL, err);
  bool ok = n <= VOLUME_LIST_MAX ||
            error_false(err, REASON_TOO_LARGE, "what", "the number of files", "value", "more", "limit", "1000000", NULL);
  for (int i = 0; i < n; i++) {
    bool wanted = g_str_has_prefix(virStorageVolGetName(vols[i]), prefix);
    ok = ok && (!wanted || list_one(v, vols[i], volumes_out, err)) && volume_call_check(call, volumes->storage, err);
    virStorageVolFree(vols[i]);
  }
  free(vols);
  return ok;
}

bool libvirt_volume_create(const LibvirtVolumes *v, const char *name, unsigned mode, virStorageVolPtr *ret_vol, GError **err)
{
  g_autofree char *xml = volume_xml(name, "raw", mode, 0);
  *ret_vol = virStorageVolCreateXML(v->pool, xml, 0);
  return *ret_vol || libvirt_volume_failed(v, "make", name, err);
}

bool libvirt_volume_delete(const LibvirtVolumes *v, virStorageVolPtr vol, const char *name, GError **err)
{
  return virStorageVolDelete(vol, 0) == 0 || virGetLastErrorCode() == VIR_ERR_NO_STORAGE_VOL ||
         libvirt_volume_failed(v, "delete", name, err);
}

static bool libvirt_del(Volumes *volumes, const VolumeCall *call, const char *name, GError **err)
{
  LibvirtVolumes *v = (LibvirtVolumes *)volumes;
  LOCKED(&v->lock);
  g_autoptr(GError) why = NULL;
  g_autoptr(virStorageVol) vol = libvirt_volume_find(v, name, &why);
  if (vol)
    return libvirt_volume_delete(v, vol, name, err);
  if (error_is(why, REASON_NOT_FOUND))
    return true;
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

bool libvirt_volume_download(const LibvirtVolumes *v, virStorageVolPtr vol, int64_t offset, void *buffer, size_t bytes,
                             size_t *ret_bytes, GError **err)
{
  virStreamPtr stream = virStreamNew(v->conn, 0);
  size_t done = 0;
  int n = stream ? virStorageVolDownload(vol, stream, (unsigned long long)offset, bytes, 0) : -1;
  for (int got = 1; n >= 0 && got > 0 && done < bytes; done += (size_t)MAX(got, 0))
    n = got = virStreamRecv(stream, (char *)buffer + done, bytes - done);
  bool ok = n >= 0 && virStreamFinish(stream) == 0;
  if (!ok)
    libvirt_volume_failed(v, "read", virStorageVolGetName(vol), err);
  if (stream && n < 0)
    (void)virStreamAbort(stream);
  g_clear_pointer(&stream, virStreamFree);
  *ret_bytes = done;
  return ok;
}

/* One piece of a sparse stream: > 0 bytes or a hole of zeros, 0 the end, < 0 an error. */
static int recv_zeros(virStreamPtr stream, uint8_t *buffer, size_t bytes, bool *ret_zero)
{
  long long hole;
  int n = virStreamRecvFlags(stream, (char *)buffer, bytes, VIR_STREAM_RECV_STOP_AT_HOLE);
  if (n == -3)
    return virStreamRecvHole(stream, &hole, 0) < 0 ? -1 : hole > 0;
  *ret_zero = *ret_zero && (n <= 0 || bytes_are_zero(buffer, (size_t)n));
  return n;
}

bool libvirt_volume_is_zero(const LibvirtVolumes *v, virStorageVolPtr vol, int64_t offset, int64_t bytes, bool *ret_zero,
                            GError **err)
{
  enum { BUFFER_BYTES = 256 << 10 };
  g_autofree uint8_t *buffer = g_malloc(BUFFER_BYTES);
  virStreamPtr stream = virStreamNew(v->conn, 0);
  unsigned long long from = (unsigned long long)offset, length = (unsigned long long)bytes;
  int n = stream ? virStorageVolDownload(vol, stream, from, length, VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM) : -1;
  *ret_zero = true;
  for (n = n < 0 ? n : 1; n > 0 && *ret_zero;)
    n = recv_zeros(stream, buffer, BUFFER_BYTES, ret_zero);
  bool ok = n > 0 || (n == 0 && virStreamFinish(stream) == 0) || libvirt_volume_failed(v, "read", virStorageVolGetName(vol), err);
  if (stream && n != 0)
    (void)virStreamAbort(stream);
  g_clear_pointer(&stream, virStreamFree);
  return ok;
}

static bool libvirt_read(Volumes *volumes, const VolumeCall *call, const char *name, int64_t offset, size_t bytes,
                         GBytes **ret_bytes, GError **err)
{
  LibvirtVolumes *v = (LibvirtVolumes *)volumes;
  LOCKED(&v->lock);
  LibvirtVolume facts;
  g_autoptr(virStorageVol) vol = libvirt_volume_find(v, name, err);
  if (!vol || !libvirt_volume_facts(v, vol, &facts, err))
    return false;
  size_t there = (size_t)CLAMP(facts.size_bytes - offset, 0, (int64_t)bytes), got = 0;
  g_autofree void *buffer = g_malloc(MAX(there, 1));
  if (there && !libvirt_volume_download(v, vol, offset, buffer, there, &got, err))
    return false;
  *ret_bytes = g_bytes_new_take(g_steal_pointer(&buffer), got);
  return true;
}

/* ── copy ───────────────────────────────────────────────────────────────── */

typedef struct {
  const LibvirtVolumes *v;
  virStorageVolPtr vol;
  const char *name;
  int64_t size_bytes;
} VolContent;

static bool vol_extent(void *owner, int64_t offset, int64_t *ret_from, int64_t *ret_to, GError **err)
{
  const VolContent *c = owner;
  *ret_from = offset;
  *ret_to = c->size_bytes;
  return true;
}

static bool vol_read(void *owner, int64_t offset, void *buffer, size_t bytes, GError **err)
{
  const VolContent *c = owner;
  size_t got;
  if (!libvirt_volume_download(c->v, c->vol, offset, buffer, bytes, &got, err))
    return false;
  return got == bytes || error_false(err, REASON_IO, "action", "read", "path", c->name, "detail", "it became shorter", NULL);
}

/* libvirtd copies by the format that it found by looking. It may do so only where that is the format that the name states: a
 * raw volume that looks like qcow2 would be converted on the host, backing file and all. Such a one goes through us, byte for
 * byte. */
static bool libvirt_copy(Volumes *volumes, const VolumeCall *call, const char *from, const char *name, GError **err)
{
  LibvirtVolumes *v = (LibvirtVolumes *)volumes;
  LOCKED(&v->lock);
  LibvirtVolume facts;
  g_autoptr(virStorageVol) vol = libvirt_volume_find(v, from, err);
  if (!vol || !libvirt_volume_facts(v, vol, &facts, err))
    return false;
  g_autoptr(virStorageVol) there = virStorageVolLookupByName(v->pool, name);
  if (there)
    return error_false(err, REASON_EXISTS, "kind", "volume", "name", name, NULL);
  const char *stated = g_str_has_suffix(from, ".qcow2") ? "qcow2" : "raw";
  if (strcmp(facts.format, stated)) {
    VolContent owner = { v, vol, from, facts.size_bytes };
    const VolumeContent content = { facts.size_bytes, vol_extent, vol_read, NULL, &owner };
    return libvirt_volume_put(volumes, call, name, &content, 0, err);
  }
  g_autofree char *xml = volume_xml(name, stated, 0600, 0);
  g_autoptr(virStorageVol) copy = virStorageVolCreateXMLFrom(v->pool, xml, vol, 0);
  return copy || libvirt_volume_failed(v, "copy", name, err);
}

static bool libvirt_put(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeContent *content,
                        VolumeFlags flags, GError **err)
{
  LOCKED(&((LibvirtVolumes *)volumes)->lock);
  return libvirt_volume_put(volumes, call, name, content, flags, err);
}

const VolumeDriver volume_driver_libvirt = {
  .open = libvirt_open,
  .close = libvirt_close,
  .space = libvirt_space,
  .list = libvirt_list,
  .look = libvirt_look,
  .read = libvirt_read,
  .put = libvirt_put,
  .copy = libvirt_copy,
  .del = libvirt_del,
};
