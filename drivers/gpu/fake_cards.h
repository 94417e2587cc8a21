/* Cards of a fake host: a directory that looks like the host's /sys, with the vendors' rules at work in it: one type a card or mixed
 * sizes, places, lists of creatable types that change with every claim, functions that stay dirty until they are reset, EBUSY while a
 * guest has them, cards that get lost. The directory is all there is, so it outlives the process. Asked by the fake hypervisor
 * (fake:NAME?gpus=DIR) and by the fake Exec; the back ends never know.
 *
 * DIR/sys                 as the host's                 DIR/mdev/UUID           "ADDRESS TYPE"
 * DIR/mig/ADDRESS         GPU instances, one a line     DIR/held/DEVICE         a running guest has it
 * DIR/sys/…/ADDRESS/fail  "FILE ERRNO": writes to that file of the function fail so; ETIMEDOUT: they never end
 * DIR/sys/…/ADDRESS/unwanted  a driver for guests does not take the function
 * DIR/no-NAME             there is no such module: modprobe fails
 * DIR/modules/NAME        modprobe loaded it            DIR/xen                 it is dom0's: see fake_cards_xen()
 * DIR/smi-silent          "failed WHY": so ends the list of cards, else an address that is not in it
 * DIR/smi-fails           what nvidia-smi mig -lgi says, and fails
 * DIR/xen-can             virt_caps of xl info          DIR/xen-no-store        xenstore-ls is not installed */
#pragma once

#include "drivers/exec/exec.h"
#include "drivers/gpu/gpu.h"

/* Models: mdpy, mbochs, t4 (mediated devices: shared count, shared memory, one type a card), a40mdev (the
 * last on virtual functions, one a function), a40 (vendor functions, one type a card),
 * rtx6000ada (the same), l40s (mixed sizes), flex170 and alderlake (SR-IOV, the second the host's own screen), a100 (MIG), w6800 (whole, with its
 * sound), rtx2080 (whole, with sound, USB-C and its UCSI), console (whole, the host's own screen). */
bool fake_cards_add(const char *dir, const char *address, const char *model, GError **err);
/* A folder with all that is in it; a link is taken away, never followed. What is not there is no error. */
void fake_tree_del(const char *path);
/* The card leaves the bus. */
void fake_cards_lose(const char *dir, const char *address);
/* What a host's reboot leaves: no mediated device, no type on a function, no GPU instance, every function with its first driver. */
void fake_cards_reboot(const char *dir);

/* As libvirt tells them: HostDevice *. */
GPtrArray *fake_cards_devices(const char *dir);
bool fake_cards_mdev_create(const char *dir, const char *host, const char *parent, const char *type, const char *uuid, GError **err);
bool fake_cards_mdev_destroy(const char *dir, const char *host, const char *uuid, GError **err);

/* From now on the directory is dom0's, as libvirt's Xen driver and xen-pciback have it: no IOMMU group, functions for guests are pciback's, which comes with
 * a module and remembers every one it had, and neither unbinding nor a reset is refused while a guest has one: Xen's store alone tells. */
void fake_cards_xen(const char *dir);

/* A guest that starts takes its devices, and gives them back. false: it is not there, or another guest has it. */
bool fake_cards_hold(const char *dir, const char *device);
void fake_cards_let_go(const char *dir, const char *device);

/* A write to a file of the host: 0 or an errno. */
int fake_cards_write(const char *dir, const char *path, const char *text);
/* modprobe MODULE: an exit status. */
int fake_cards_modprobe(const char *dir, const char *module);
/* xenstore-ls of the guests' PCI devices; NULL = there are none. Owned by the caller. */
char *fake_cards_store(const char *dir);
/* nvidia-smi mig …: what it prints, and its exit status. Owned by the caller. */
char *fake_cards_smi(const char *dir, const char *const *argv, int *ret_status);
/* Lines "smi …" of NVIDIA's cards, none where there is no such card and so no nvidia-smi, as the reading command would add them. Owned by the caller. */
char *fake_cards_smi_lines(const char *dir);

/* The way to the files of that directory, for gpu.h. */
bool fake_exec_open(const char *host, const char *dir, Exec **ret_exec, GError **err);
