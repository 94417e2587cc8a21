/* qemu-img's own look at a qcow2 file, in a child process that can do little: an argument vector without a shell, 30 s of
 * processor time, 1 GiB of address space, no files written. Asked by image.c. */
#pragma once

#include "drivers/volume/volume.h"

/* False with IMAGE_TOOL where there is no qemu-img: better known before a long copy than after it. */
bool image_check_available(GError **err);

/* fd: the file, open for reading. The child is killed when the call ends. Errors: IMAGE_CHECK (detail: its first complaint),
 * IMAGE_TOOL, TIMEOUT, CANCELLED. Leaked clusters, which only waste room, are no complaint. */
bool image_check_file(int fd, const VolumeCall *call, GError **err);
