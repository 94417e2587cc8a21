/* What the files of the libvirt driver share. Asked by libvirt*.c of this room alone. */
#pragma once

#include <libvirt/libvirt.h>
#include <pthread.h>

#include "drivers/volume/volume.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virConnect, virConnectClose)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStoragePool, virStoragePoolFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStorageVol, virStorageVolFree)

typedef struct {
  Volumes base;
  virConnectPtr conn, own_conn; /* own_conn: NULL where the caller lent one */
  virStoragePoolPtr pool;
  pthread_mutex_t lock; /* one verb at a time, see libvirt.c */
} LibvirtVolumes;

/* What a volume's XML tells. */
typedef struct {
  int64_t size_bytes, allocated_bytes;
  unsigned mode;
  char format[16]; /* libvirt's own guess, by the first bytes */
} LibvirtVolume;

/* Sets err from libvirt's last error of this thread, which must have been the last call; returns false. name may be NULL. */
bool libvirt_volume_failed(const LibvirtVolumes *v, const char *action, const char *name, GError **err);

/* A volume by name, to be freed. One that libvirtd has not met (made by another host, or by hand) makes it look into the
 * directory once. NULL with NOT_FOUND. */
virStorageVolPtr libvirt_volume_find(const LibvirtVolumes *v, const char *name, GError **err);
/* What a host's XML of a volume tells, read as a stranger's: a number that is none, or is below 0, is 0. False for what is no XML, is longer than 4 MiB
 * or has a DOCTYPE. Pure. */
bool libvirt_volume_read(const char *xml, LibvirtVolume *ret_facts);
bool libvirt_volume_facts(const LibvirtVolumes *v, virStorageVolPtr vol, LibvirtVolume *ret_facts, GError **err);
/* An empty raw file; EXISTS. */
bool libvirt_volume_create(const LibvirtVolumes *v, const char *name, unsigned mode, virStorageVolPtr *ret_vol, GError **err);
bool libvirt_volume_delete(const LibvirtVolumes *v, virStorageVolPtr vol, const char *name, GError **err);
/* Fills buffer with what is at offset; *ret_bytes is less than bytes at the end of the volume. */
bool libvirt_volume_download(const LibvirtVolumes *v, virStorageVolPtr vol, int64_t offset, void *buffer, size_t bytes,
                             size_t *ret_bytes, GError **err);

/* Whether all of a range reads as zeros; holes do not travel. */
bool libvirt_volume_is_zero(const LibvirtVolumes *v, virStorageVolPtr vol, int64_t offset, int64_t bytes, bool *ret_zero,
                            GError **err);

/* ── libvirt_put.c ──────────────────────────────────────────────────────── */

/* The verb, with the lock held. */
bool libvirt_volume_put(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeContent *content,
                        VolumeFlags flags, GError **err);
