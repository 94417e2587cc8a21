/* libvirt's own RELAX NG for domain XML, asked offline: what virt-xml-validate asks, without a process or a daemon. The files
 * are the machine's (package libvirt-daemon or libvirt-common); another version of libvirt may take more. The host's own
 * validation at define time is the last word: hypervisor_define(). A loaded schema is read-only and may be used by any thread. */
#pragma once

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>

#define DOMAIN_SCHEMA_PATH "/usr/share/libvirt/schemas/domain.rng"

typedef struct DomainSchema DomainSchema;

/* Loads the schema and the files it includes (about 0.1 s). Errors: IO. */
bool domain_schema_open(const char *path, DomainSchema **ret_schema, GError **err);
/* NULL is ignored. */
void domain_schema_close(DomainSchema *schema);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainSchema, domain_schema_close)

/* Told for each thing the schema finds wrong, at most 20; text is libxml2's, one line of English, borrowed. */
typedef void (*SchemaFinding)(void *sink, int line, const char *text);

/* True where doc is valid. Touches no file. */
bool domain_schema_check(const DomainSchema *schema, xmlDoc *doc, SchemaFinding finding, void *sink);
