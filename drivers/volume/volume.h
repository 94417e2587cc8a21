/* The volume family: the directories on hosts that hold images, disks and seeds, and what can be done with the files in them.
 * dir (a directory that the controller itself sees), libvirt (through a host's libvirtd, where it does not) and fake (in
 * memory, scriptable) are its drivers. It knows no desktop and boots nothing; it never looks into guest data, and it never
 * finds out a format by itself: formats are stated.
 *
 * Names. A volume is named by volume_name() and by nothing else: what has no such name is foreign, which is listed and looked
 * at, never changed (VOLUME_FOREIGN). A name is never a path. A file that is being written is called `.NAME.part` and gets its
 * name only when it is whole and durable, so that what has a name is whole, after a power cut too (libvirt has no rename: see
 * libvirt.c).
 *
 * Idempotent. A verb's promise is an end state. volume_put of what is there with the same content succeeds where it was asked
 * to go on (VOLUME_RESUME), volume_clone of a fresh overlay that is already there succeeds, volume_delete of a missing volume
 * succeeds. After a crash the ordinary call goes on; there is no recovery.
 *
 * Threads. Verbs block, for as long as a disk, an NFS server or a host wants: call them on threads that can wait, a storage's
 * own. Several threads may work on one Volumes (libvirt does one verb at a time: give each thread its own); two writers of one
 * name do not mix: the second gets VOLUME_BUSY. Within a verb the call's deadline and cancellation are looked at between two
 * pieces of work (a MiB, a libvirt call), so a disk or a host that does not answer at all holds its thread.
 *
 * Ownership. What is handed in is borrowed for the call. What comes out belongs to the caller.
 *
 * Errors, any verb: STORAGE_UNREACHABLE (storage, detail), STORAGE_FULL (storage, name), NOT_FOUND (kind "volume"), BAD_NAME,
 * VOLUME_FOREIGN, VOLUME_BUSY, TIMEOUT, CANCELLED, UNSUPPORTED (a NULL slot, answered in volume.c alone), IO (action, path,
 * detail). Verbs name what they add. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/ground.h"
#include "core/model.h"
#include "core/names.h"
#include "core/text.h"
#include "drivers/volume/qcow2.h"

enum {
  VOLUME_NAME_MAX_BYTES = 128,
  VOLUME_LIST_MAX = 1000000,
  VOLUME_READ_MAX_BYTES = 4 << 20
};

/* ── names ──────────────────────────────────────────────────────────────── */

/* What a volume is for, and how it is called: OWNER and N are the image's family and version, or the desktop and the
 * generation of its disk. */
#define VOLUME_ROLES(X) \
  X(VOLUME_IMAGE_QCOW2, "img-", "-v", ".qcow2") X(VOLUME_IMAGE_RAW, "img-", "-v", ".raw") \
  X(VOLUME_DISK_QCOW2, "", ".g", ".qcow2") X(VOLUME_DISK_RAW, "", ".g", ".raw") X(VOLUME_SEED, "", ".g", ".seed.img")

typedef enum {
#define X(name, before, between, after) name,
  VOLUME_ROLES(X)
#undef X
  N_VOLUME_ROLES
} VolumeRole;

typedef struct {
  VolumeRole role;
  char owner[NAME_MAX_BYTES + 1];
  int64_t number; /* ≥ 1 */
} VolumeName;

/* img-linux-desktop-v3.qcow2, d-17.g4.qcow2, d-17.g4.seed.img …; owned by the caller. owner has passed name_check(), number
 * is ≥ 1. */
char *volume_name(VolumeRole role, const char *owner, int64_t number);
/* False where name is not one of ours. */
bool volume_name_parse(const char *name, VolumeName *ret_name);

/* ── calls ──────────────────────────────────────────────────────────────── */

/* How long a verb may take, and who hears how far it is. NULL: for ever, and nobody. progress is called on the verb's thread,
 * at least once a MiB written and once at the end, before the volume gets its name. */
typedef struct {
  int64_t deadline_us;  /* monotonic; 0 = none */
  GCancellable *cancel; /* NULL = none */
  void (*progress)(void *owner, int64_t done_bytes, int64_t total_bytes);
  void *owner;
} VolumeCall;

/* False with TIMEOUT or CANCELLED (what: such as "import of img-a-v1.qcow2") once the call is to end. */
bool volume_call_check(const VolumeCall *call, const char *what, GError **err);

/* ── storages ───────────────────────────────────────────────────────────── */

#define VOLUME_DRIVERS(X) X(VOLUMES_DIR, "dir") X(VOLUMES_LIBVIRT, "libvirt") X(VOLUMES_FAKE, "fake")
ENUM_DECLARE(VolumeDriverKind, volume_driver, VOLUME_DRIVERS, N_VOLUME_DRIVERS)

typedef struct {
  VolumeDriverKind driver;
  const char *storage;         /* what people call it: goes into errors; NULL = its path */
  const char *path;            /* absolute: the directory as the hosts see it, which is what overlays and domains name */
  const char *controller_path; /* dir: the same directory as the controller sees it; NULL = as path */
  const char *uri;             /* libvirt: the host; not needed with a connection */
  void *connection;            /* libvirt: a virConnectPtr to borrow, without other streams; NULL = one of its own to uri */
  bool create;                 /* make the directory where it is missing. Else that is an error: it may not be mounted */
  const StorageGround *ground; /* of dir: a path that it takes must lead to one that it takes too; NULL = any may */
} VolumesOptions;

typedef struct Volumes Volumes;

/* Errors: BAD_VALUE (a path that is not absolute), STORAGE_UNREACHABLE, STORAGE_OUTSIDE (a link led out of the ground). */
bool volumes_open(const VolumesOptions *options, const VolumeCall *call, Volumes **ret_volumes, GError **err);
/* NULL is ignored. No verb may be running. */
void volumes_close(Volumes *volumes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Volumes, volumes_close)

/* The volume's path as the hosts see it; owned by the caller. */
char *volume_path(const Volumes *volumes, const char *name);

/* ── verbs ──────────────────────────────────────────────────────────────── */

typedef struct {
  int64_t total_bytes, free_bytes; /* of the file system; free = what we may still write */
} VolumeSpace;

/* Also the probe: it succeeds ⇔ the storage answers. */
bool volumes_space(Volumes *volumes, const VolumeCall *call, VolumeSpace *ret_space, GError **err);

typedef struct {
  char *name;
  int64_t size_bytes;      /* of the file */
  int64_t allocated_bytes; /* on disk; holes do not count */
  bool ours;               /* has a name of ours */
  bool partial;            /* a `.NAME.part` (name is NAME): being written, or left by a crash */
  bool read_only;          /* nobody may write it, by its mode */
} VolumeFacts;

void volume_facts_free(VolumeFacts *facts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeFacts, volume_facts_free)

/* Every regular file as VolumeFacts *, freed with the array. TOO_LARGE past VOLUME_LIST_MAX. */
bool volume_list(Volumes *volumes, const VolumeCall *call, GPtrArray **ret_volumes, GError **err);
bool volume_look(Volumes *volumes, const VolumeCall *call, const char *name, VolumeFacts **ret_facts, GError **err);
/* bytes (at most VOLUME_READ_MAX_BYTES) from offset on; fewer at the end of the volume. */
bool volume_read(Volumes *volumes, const VolumeCall *call, const char *name, int64_t offset, size_t bytes, GBytes **ret_bytes,
                 GError **err);

/* What a new volume is to hold, pulled by the driver: extents in ascending order, the bytes of each once and in order. A
 * driver may begin anew at 0, once, where a part turned out to be of something else. */
typedef struct {
  int64_t size_bytes;
  /* The next data at or after offset: [*ret_from, *ret_to), *ret_from = size_bytes where there is none. What lies between
   * reads as zeros. */
  bool (*extent)(void *owner, int64_t offset, int64_t *ret_from, int64_t *ret_to, GError **err);
  bool (*read)(void *owner, int64_t offset, void *buffer, size_t bytes, GError **err);
  /* All bytes are there and durable, and the volume is about to get its name: the last chance to refuse. fd is open on them
   * for reading; -1: they are not on this machine. NULL = nothing to check. */
  bool (*check)(void *owner, int fd, GError **err);
  void *owner;
} VolumeContent;

typedef enum {
  VOLUME_REPLACE = 1 << 0,   /* take the place of a volume of that name, at once; else that is EXISTS */
  VOLUME_READ_ONLY = 1 << 1, /* nobody may write it afterwards: mode 0444, and immutable where file system and rights allow it */
  VOLUME_RESUME = 1 << 2     /* go on where a call that failed or died had come to: what is there is compared with the content,
                                byte for byte, and kept as far as it is the same. A whole volume of that name with the same
                                content is success, with another VOLUME_DIFFERS (offset) */
} VolumeFlags;

/* Makes a volume, durably. Without VOLUME_RESUME a failed put leaves nothing behind. */
bool volume_put(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeContent *content, VolumeFlags flags,
                GError **err);

/* A second volume with the bytes of from: a disk of its own for a desktop. Shares blocks where the file system can. EXISTS. */
bool volume_copy(Volumes *volumes, const VolumeCall *call, const char *from, const char *name, GError **err);

/* Takes volume and partial of that name away, read-only ones too. The caller knows that no domain uses it; VOLUME_BUSY while
 * it is being written. */
bool volume_delete(Volumes *volumes, const VolumeCall *call, const char *name, GError **err);

/* ── made of the verbs ──────────────────────────────────────────────────── */

/* Puts bytes, then zeros up to size_bytes: an overlay, a seed. */
bool volume_put_bytes(Volumes *volumes, const VolumeCall *call, const char *name, GBytes *bytes, int64_t size_bytes,
                      VolumeFlags flags, GError **err);

/* The header of a qcow2 volume. Errors: those of qcow2_header_parse. */
bool volume_header(Volumes *volumes, const VolumeCall *call, const char *name, Qcow2Header **ret_header, GError **err);

/* Deletes every disk and seed of a desktop, and what there is of one, but those of generation keep (0 = none is kept). Costs what
 * they are, not what else is on the storage. */
bool volume_delete_desktop(Volumes *volumes, const VolumeCall *call, const char *desktop, int64_t keep, GError **err);

/* A desktop's disk on an image version. */
typedef struct {
  Volumes *images;       /* storage of the image, NULL = that of the disk; the hosts see both */
  const char *image;     /* volume name */
  ImageFormat format;    /* as stored with the image, never probed */
  int64_t virtual_bytes; /* of the disk; at least the image's */
  const char *tag;       /* whose disk, which generation, such as "CONTROLLER/d-17/4"; kept in the overlay */
} VolumeClone;

/* Makes an overlay, durably. A fresh one of the same clone that is already there is success. Errors: NOT_FOUND (the image),
 * VOLUME_CHAIN (the image stands on another: one level is all there is), BAD_VALUE (disk smaller than its image),
 * VOLUME_DIFFERS (what is there is not this fresh overlay). */
bool volume_clone(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeClone *clone, GError **err);

/* True where the volume is byte for byte the overlay that volume_clone made of clone, and nothing was ever written to it: ask
 * before the desktop is started. Errors: QCOW2_NOT_FRESH (field, value, wanted) and those of the header. */
bool volume_prove(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeClone *clone, GError **err);

/* ── drivers ────────────────────────────────────────────────────────────── */

/* A driver's verbs; NULL = it cannot. volume.c has checked names, foreignness and limits before it calls one. prefix: only
 * volumes whose names begin so, "" = all. */
typedef struct {
  bool (*open)(const VolumesOptions *options, const VolumeCall *call, Volumes **ret_volumes, GError **err);
  void (*close)(Volumes *volumes);
  bool (*space)(Volumes *volumes, const VolumeCall *call, VolumeSpace *ret_space, GError **err);
  bool (*list)(Volumes *volumes, const VolumeCall *call, const char *prefix, GPtrArray *volumes_out, GError **err);
  bool (*look)(Volumes *volumes, const VolumeCall *call, const char *name, VolumeFacts **ret_facts, GError **err);
  bool (*read)(Volumes *volumes, const VolumeCall *call, const char *name, int64_t offset, size_t bytes, GBytes **ret_bytes,
               GError **err);
  bool (*put)(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeContent *content, VolumeFlags flags,
              GError **err);
  bool (*copy)(Volumes *volumes, const VolumeCall *call, const char *from, const char *name, GError **err);
  bool (*del)(Volumes *volumes, const VolumeCall *call, const char *name, GError **err);
} VolumeDriver;

extern const VolumeDriver volume_driver_dir, volume_driver_libvirt, volume_driver_fake;

/* What a driver's storage begins with; volumes_open() fills it after the driver's open. */
struct Volumes {
  const VolumeDriver *driver;
  VolumeDriverKind kind;
  char *storage, *path;
};
