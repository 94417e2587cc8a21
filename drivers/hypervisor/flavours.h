/* Which URI leads to which driver and flavour, and what each may carry: asked by hypervisor.c when a connection is opened. */
#pragma once

#include "drivers/hypervisor/hypervisor.h"

/* LOCAL: this machine. REMOTE: encrypted, both sides authenticated. PLAIN: neither. NAME: no address at all. */
typedef enum { URI_LOCAL, URI_REMOTE, URI_PLAIN, URI_NAME } UriWhere;

typedef struct {
  const char *scheme;
  FlavourKind flavour;
  const HypervisorDriver *driver;
  UriWhere where;
  const char *paths;       /* allowed ones, by spaces; NULL = any but "/" */
  const char *parameters;  /* allowed ones, by spaces, each an absolute path; NULL = the driver checks them */
} UriRow;

/* The row of a URI that may be used; BAD_URI. Static. */
const UriRow *uri_row(const char *uri, bool allow_plain_tcp, GError **err);
