/* Writing a volume through libvirt: one stream over all of it, then a second one with its first bytes. The file grows as it is
 * written, so the length of a part that a call left behind tells how far it came; all but its last piece is compared by reading
 * it back. */
#include <libvirt/virterror.h>
#include <string.h>

#include "drivers/volume/libvirt.h"
#include "drivers/volume/pour.h"

enum { HEAD_BYTES = 4096, PIECE_MAX_BYTES = 1 << 20 };

typedef struct {
  const LibvirtVolumes *v;
  virStorageVolPtr vol;
  const char *name;
  virStreamPtr stream;   /* NULL until something is written */
  int64_t stream_offset; /* where it stands */
  int64_t part_bytes;    /* length of what an earlier call left; 0 = nothing */
  bool whole;            /* what is there has its first bytes: it is not ours to change */
  size_t head_bytes;     /* of the content that come last: HEAD_BYTES, or all of a shorter one */
  uint8_t head[HEAD_BYTES];
} Put;

static bool failed(const Put *put, GError **err) { return libvirt_volume_failed(put->v, "write", put->name, err); }

/* ── streams ────────────────────────────────────────────────────────────── */

static void stream_drop(Put *put)
{
  if (!put->stream)
    return;
  (void)virStreamAbort(put->stream);
  g_clear_pointer(&put->stream, virStreamFree);
}

static bool stream_start(Put *put, int64_t offset, unsigned flags, GError **err)
{
  put->stream = virStreamNew(put->v->conn, 0);
  put->stream_offset = offset;
  if (put->stream && virStorageVolUpload(put->vol, put->stream, (unsigned long long)offset, 0, flags) == 0)
    return true;
  failed(put, err);
  g_clear_pointer(&put->stream, virStreamFree);
  return false;
}

static bool stream_send(Put *put, const uint8_t *data, size_t bytes, GError **err)
{
  for (size_t done = 0; done < bytes;) {
    int n = virStreamSend(put->stream, (const char *)data + done, bytes - done);
    if (n < 0)
      return failed(put, err);
    done += (size_t)n;
  }
  put->stream_offset += (int64_t)bytes;
  return true;
}

static bool stream_skip(Put *put, int64_t to, GError **err)
{
  if (to > put->stream_offset && virStreamSendHole(put->stream, to - put->stream_offset, 0) < 0)
    return failed(put, err);
  put->stream_offset = to;
  return true;
}

static bool stream_finish(Put *put, GError **err)
{
  if (!put->stream)
    return true;
  bool ok = virStreamFinish(put->stream) == 0 || failed(put, err);
  g_clear_pointer(&put->stream, virStreamFree);
  return ok;
}

/* ── the sink ───────────────────────────────────────────────────────────── */

static bool sink_write(void *owner, int64_t offset, const void *data, size_t bytes, GError **err)
{
  Put *put = owner;
  size_t head = offset < HEAD_BYTES ? MIN(bytes, (size_t)(HEAD_BYTES - offset)) : 0;
  if (head)
    memcpy(put->head + offset, data, head);
  if (head == bytes)
    return true;
  int64_t from = offset + (int64_t)head;
  if (!put->stream && !stream_start(put, from, VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM, err))
    return false;
  return stream_skip(put, from, err) && stream_send(put, (const uint8_t *)data + head, bytes - head, err);
}

/* Of a part all is compared but its first bytes, which are still to come, and its last piece, which may be half of one. */
static bool sink_same(void *owner, int64_t offset, const void *data, int64_t bytes, bool *ret_same, GError **err)
{
  Put *put = owner;
  g_autofree uint8_t *there = g_malloc(data ? (gsize)bytes : 1);
  if (data && offset < (int64_t)put->head_bytes)
    memcpy(put->head + offset, data, MIN((size_t)bytes, put->head_bytes - (size_t)offset));
  *ret_same = offset + bytes <= put->part_bytes;
  if (!*ret_same)
    return true;
  if (!data)
    return libvirt_volume_is_zero(put->v, put->vol, offset, bytes, ret_same, err);
  size_t got, skip = put->whole ? 0 : (size_t)CLAMP(HEAD_BYTES - offset, 0, bytes);
  if (!libvirt_volume_download(put->v, put->vol, offset, there, (size_t)bytes, &got, err))
    return false;
  *ret_same = got == (size_t)bytes && !memcmp(there + skip, (const uint8_t *)data + skip, got - skip);
  return true;
}

/* Only the last piece of a part can be cut, by writing zeros over it. Anything else was never this content. */
static bool sink_cut(void *owner, int64_t offset, GError **err)
{
  Put *put = owner;
  int64_t left = put->part_bytes - offset;
  if (put->whole || left > PIECE_MAX_BYTES)
    return volume_refuse_other(put->name, offset, err);
  if (left <= 0)
    return true;
  g_autofree uint8_t *zeros = g_malloc0((gsize)left);
  bool ok = stream_start(put, offset, 0, err) && stream_send(put, zeros, (size_t)left, err) && stream_finish(put, err);
  stream_drop(put);
  return ok;
}

/* ── put ────────────────────────────────────────────────────────────────── */

/* A volume whose first bytes are zeros is a part. (So is a whole raw volume that begins with 4 KiB of zeros: going on with
 * it, or making it again, is all that can happen to it.) */
static bool look_whole(Put *put, GError **err)
{
  uint8_t head[HEAD_BYTES];
  size_t got = 0;
  if (put->part_bytes && !libvirt_volume_download(put->v, put->vol, 0, head, MIN(put->part_bytes, HEAD_BYTES), &got, err))
    return false;
  put->whole = !bytes_are_zero(head, got);
  return true;
}

static bool take_over(Put *put, GError **err)
{
  LibvirtVolume facts;
  put->vol = libvirt_volume_find(put->v, put->name, err);
  if (!put->vol || !libvirt_volume_facts(put->v, put->vol, &facts, err))
    return false;
  put->part_bytes = facts.size_bytes;
  return look_whole(put, err);
}

static bool make_anew(Put *put, unsigned mode, GError **err)
{
  bool ok = !put->vol || libvirt_volume_delete(put->v, put->vol, put->name, err);
  g_clear_pointer(&put->vol, virStorageVolFree);
  put->part_bytes = 0;
  put->whole = false;
  return ok && libvirt_volume_create(put->v, put->name, mode, &put->vol, err);
}

static bool put_begin(Put *put, const VolumeContent *content, VolumeFlags flags, GError **err)
{
  unsigned mode = flags & VOLUME_READ_ONLY ? 0444 : 0600;
  g_autoptr(GError) why = NULL;
  if (libvirt_volume_create(put->v, put->name, mode, &put->vol, &why))
    return true;
  if (!error_is(why, REASON_EXISTS)) {
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
  }
  if (!take_over(put, err))
    return false;
  if (put->whole && !(flags & (VOLUME_REPLACE | VOLUME_RESUME)))
    return error_false(err, REASON_EXISTS, "kind", "volume", "name", put->name, NULL);
  if (put->whole && (flags & VOLUME_RESUME) && put->part_bytes != content->size_bytes)
    return volume_refuse_other(put->name, MIN(put->part_bytes, content->size_bytes), err);
  bool resume = (flags & VOLUME_RESUME) && put->part_bytes <= content->size_bytes;
  return resume || make_anew(put, mode, err);
}

/* What the content ends in may be a hole: the file is made as long as it is. */
static bool put_body(Put *put, const VolumeCall *call, const VolumeContent *content, bool resume, GError **err)
{
  const VolumeSink sink = { sink_write, sink_same, sink_cut, put };
  bool ok = volume_pour(content, &sink, resume, call, put->name, err);
  int64_t end = put->stream ? put->stream_offset : MAX(put->part_bytes, (int64_t)put->head_bytes);
  if (ok && end < content->size_bytes)
    ok = (put->stream || stream_start(put, end, VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM, err)) &&
         stream_skip(put, content->size_bytes, err);
  ok = ok && stream_finish(put, err);
  stream_drop(put);
  return ok;
}

static bool put_head(Put *put, const VolumeContent *content, GError **err)
{
  if (put->whole)
    return true;
  if (content->check && !content->check(content->owner, -1, err))
    return false;
  bool ok = stream_start(put, 0, 0, err) && stream_send(put, put->head, put->head_bytes, err) && stream_finish(put, err);
  stream_drop(put);
  return ok;
}

static bool put_run(Put *put, const VolumeCall *call, const VolumeContent *content, VolumeFlags flags, GError **err)
{
  g_autoptr(GError) why = NULL;
  if (put_body(put, call, content, put->part_bytes > 0, &why) && put_head(put, content, &why))
    return true;
  /* the part was of another content */
  if (error_is(why, REASON_VOLUME_DIFFERS) && !put->whole) {
    g_clear_error(&why);
    if (make_anew(put, flags & VOLUME_READ_ONLY ? 0444 : 0600, &why) && put_body(put, call, content, false, &why) &&
        put_head(put, content, &why))
      return true;
  }
  if (!put->whole && put->vol && (!(flags & VOLUME_RESUME) || !volume_error_keeps_part(why)))
    (void)libvirt_volume_delete(put->v, put->vol, put->name, NULL);
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

bool libvirt_volume_put(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeContent *content,
                        VolumeFlags flags, GError **err)
{
  g_autofree Put *put = g_new0(Put, 1);
  put->v = (LibvirtVolumes *)volumes;
  put->name = name;
  put->head_bytes = (size_t)MIN(content->size_bytes, HEAD_BYTES);
  bool ok = put_begin(put, content, flags, err) && put_run(put, call, content, flags, err);
  g_clear_pointer(&put->vol, virStorageVolFree);
  return ok;
}
