/* The volume contract against a real libvirtd: contract_libvirt URI PATH, where PATH is an empty directory on that host, or a
 * missing one whose parent is there. The lab runs it on its hosts. Everything it makes in PATH it takes away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <libvirt/virterror.h>

#include "tests/unit/volume_contract.h"

static void ignore(void *owner, virErrorPtr error) {}

int main(int argc, char **argv)
{
  if (argc != 3) {
    fprintf(stderr, "usage: %s URI PATH\n", argv[0]);
    return 2;
  }
  const VolumeSubject subject = { "volume: libvirt", { VOLUMES_LIBVIRT, "lab", argv[2], .uri = argv[1], .create = true } };
  virSetErrorFunc(NULL, ignore);
  return volume_contract_run(&subject);
}
