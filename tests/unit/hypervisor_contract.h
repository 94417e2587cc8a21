/* The contract suite of the hypervisor family: what every driver must do, run over fake and libvirt's test driver by
 * test_hypervisor.c, and over real hosts by tests/contract/contract_hypervisor.c. */
#pragma once

#include "drivers/hypervisor/hypervisor.h"

/* What a domain in the suite is to be. */
typedef struct {
  const char *uuid, *name, *controller;
  int generation;
  bool with_console, with_agent;
} ContractDomain;

typedef struct {
  const char *uri;
  bool allow_plain_tcp;
  bool has_agent_guest;  /* domains made with_agent boot one that runs qemu-guest-agent */
  bool gives_address;    /* its running domains have one, which the host knows */
  int boot_s;            /* until that one answers; 0 = no real guest runs here */
  /* Prepares what the domain needs (its disk) and returns its XML, owned by the caller. */
  char *(*xml)(const ContractDomain *domain, const void *data);
  const void *data;
} Contract;

/* Runs the suite as one cmocka group; the number of failed tests. */
int contract_run(const Contract *contract);

/* The owner element of a domain, for the builders. Owned by the caller. */
char *contract_metadata(const ContractDomain *domain);
