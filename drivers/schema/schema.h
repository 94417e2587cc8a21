/* libvirt's own RELAX NG for domain XML, asked offline: what virt-xml-validate asks, without a process or a daemon. The files
 * are the machine's (package libvirt-daemon or libvirt-common); another version of libvirt may take more. The host's own
 * validation at define time is the last word: hypervisor_define(). A loaded schema is read-only and may be used by any thread. */
#pragma once

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <stdint.h>

#define DOMAIN_SCHEMA_PATH "/usr/share/libvirt/schemas/domain.rng"

enum { SCHEMA_LIMIT_US = 10 * 1000 * 1000 }; /* what one file may take; a template takes 0.01 s */

typedef struct DomainSchema DomainSchema;

/* Loads the schema and the files it includes (about 0.1 s). Errors: IO. */
bool domain_schema_open(const char *path, DomainSchema **ret_schema, GError **err);
/* NULL is ignored. */
void domain_schema_close(DomainSchema *schema);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainSchema, domain_schema_close)

/* Told for each thing the schema finds wrong, at most 20; text is libxml2's, one line of English, borrowed. */
typedef void (*SchemaFinding)(void *sink, int line, const char *text);

/* Looks whether doc is valid, in a process of its own: what strangers write can keep libxml2 busy for minutes, or bring it down. *ret_valid where it came
 * to an end within limit_us; else SCHEMA_LIMIT, and what was found so far has been told. Errors: also INTERNAL where libxml2 died of it, IO where no process can be
 * made. Touches no file. */
bool domain_schema_check(const DomainSchema *schema, xmlDoc *doc, int64_t limit_us, SchemaFinding finding, void *sink, bool *ret_valid, GError **err);
