#include "drivers/volume/pour.h"

#include <string.h>

enum { PIECE_BYTES = 1 << 20, BLOCK_BYTES = 4096 };

typedef struct {
  const VolumeContent *content;
  const VolumeSink *sink;
  const VolumeCall *call;
  const char *what;
  uint8_t *buffer; /* of PIECE_BYTES */
  bool comparing;  /* so far the file was the content */
} Pour;

bool bytes_are_zero(const uint8_t *data, size_t bytes) { return bytes == 0 || (!data[0] && !memcmp(data, data + 1, bytes - 1)); }

bool volume_error_keeps_part(const GError *err)
{
  ErrorClass class = error_class(err);
  return class == CLASS_CANCELLED || class == CLASS_TIMEOUT || class == CLASS_NO_CAPACITY || class == CLASS_UNREACHABLE ||
         class == CLASS_FAILED;
}

bool volume_refuse_other(const char *name, int64_t offset, GError **err)
{
  g_autofree char *at = g_strdup_printf("%" G_GINT64_FORMAT, offset);
  return error_false(err, REASON_VOLUME_DIFFERS, "name", name, "offset", at, NULL);
}

/* Writes the blocks that are not all zeros, neighbours together. */
static bool write_piece(const Pour *p, int64_t offset, size_t bytes, GError **err)
{
  size_t begin = 0, end = 0;
  while (begin < bytes) {
    end = MIN(begin + BLOCK_BYTES, bytes);
    if (bytes_are_zero(p->buffer + begin, end - begin)) {
      begin = end;
      continue;
    }
    while (end < bytes && !bytes_are_zero(p->buffer + end, MIN(BLOCK_BYTES, bytes - end)))
      end = MIN(end + BLOCK_BYTES, bytes);
    if (!p->sink->write(p->sink->owner, offset + (int64_t)begin, p->buffer + begin, end - begin, err))
      return false;
    begin = end;
  }
  return true;
}

/* data NULL: a hole of bytes. */
static bool compare(Pour *p, int64_t offset, const void *data, int64_t bytes, GError **err)
{
  if (!p->comparing)
    return true;
  if (!p->sink->same(p->sink->owner, offset, data, bytes, &p->comparing, err))
    return false;
  return p->comparing || p->sink->cut(p->sink->owner, offset, err);
}

static bool tell(const Pour *p, int64_t done_bytes, GError **err)
{
  if (p->call && p->call->progress)
    p->call->progress(p->call->owner, done_bytes, p->content->size_bytes);
  return volume_call_check(p->call, p->what, err);
}

static bool pour_data(Pour *p, int64_t from, int64_t to, GError **err)
{
  for (int64_t at = from; at < to;) {
    size_t bytes = (size_t)MIN(to - at, PIECE_BYTES);
    if (!p->content->read(p->content->owner, at, p->buffer, bytes, err) || !compare(p, at, p->buffer, (int64_t)bytes, err) ||
        (!p->comparing && !write_piece(p, at, bytes, err)) || !tell(p, at + (int64_t)bytes, err))
      return false;
    at += (int64_t)bytes;
  }
  return true;
}

bool volume_pour(const VolumeContent *content, const VolumeSink *sink, bool resume, const VolumeCall *call,
                 const char *what, GError **err)
{
  g_autofree uint8_t *buffer = g_malloc((gsize)CLAMP(content->size_bytes, 1, PIECE_BYTES));
  Pour p = { content, sink, call, what, buffer, resume };
  int64_t from, to;
  for (int64_t at = 0; at < content->size_bytes; at = to) {
    if (!content->extent(content->owner, at, &from, &to, err) || (from > at && !compare(&p, at, NULL, from - at, err)) ||
        !pour_data(&p, from, to, err))
      return false;
    g_assert(from >= at && to <= content->size_bytes && (to > from || from == content->size_bytes));
  }
  return tell(&p, content->size_bytes, err);
}
