/* The promises of drivers/volume/volume.h as tests that any driver must pass: fake and dir run them in `make check`, libvirt
 * against a real libvirtd in the lab. */
#pragma once

#include "drivers/volume/volume.h"

/* What is tested: options of an empty storage. */
typedef struct {
  const char *title;
  VolumesOptions options;
  bool locks; /* parts have names of their own: two writers of one volume, and a volume and its part, are told apart */
} VolumeSubject;

/* Runs the suite as a cmocka group of that title; the number of failed tests. */
int volume_contract_run(const VolumeSubject *subject);
