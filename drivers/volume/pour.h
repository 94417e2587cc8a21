/* How a volume's content gets into a file, the same for every driver: extent by extent, a piece at a time, zeros left out as
 * holes; and how a call that failed or died is gone on with: what is there is compared with the content, and kept as far as
 * it is the same. So no journal can disagree with the file, and nothing has to be believed that was written before a crash.
 * Asked by drivers of the volume family only. */
#pragma once

#include "drivers/volume/volume.h"

/* Where it goes. Pieces come in ascending order. What is not written reads as zeros. */
typedef struct {
  bool (*write)(void *owner, int64_t offset, const void *data, size_t bytes, GError **err);
  /* Does the file hold these bytes there already? data NULL: zeros. Only asked while going on with a file. */
  bool (*same)(void *owner, int64_t offset, const void *data, int64_t bytes, bool *ret_same, GError **err);
  /* Makes everything from offset on read as zeros: what is there is not the content's. Or refuses. */
  bool (*cut)(void *owner, int64_t offset, GError **err);
  void *owner;
} VolumeSink;

/* Pours all of content into sink. resume: the file may hold a beginning of it. what: for errors. */
bool volume_pour(const VolumeContent *content, const VolumeSink *sink, bool resume, const VolumeCall *call,
                 const char *what, GError **err);

/* A call that was cut short may be gone on with, a content that was refused may not: is what there is of it kept for
 * VOLUME_RESUME? */
bool volume_error_keeps_part(const GError *err);

/* VOLUME_DIFFERS, for a sink's cut() where the file is not ours to cut. */
bool volume_refuse_other(const char *name, int64_t offset, GError **err);

/* True where all bytes are zero. */
bool bytes_are_zero(const uint8_t *data, size_t bytes);
