/* The policy for domain XML: what a template may ask of a host. Rules are rows of rules.def; anything that names something of
 * the host and is not on a row's list is refused. Asked when a template is added, by `template check`, and again for each domain
 * made of one. It opens no file: whether a path is allowed is decided by its text alone. Pure; any thread. */
#pragma once

#include "core/template/template.h"

typedef enum { WAIVE_NEVER, WAIVE_RULE, WAIVE_TREE } LintWaive;

typedef enum {
#define X(id, name, waive, paths, attribute, allowed, function, en, ko) LINT_##id,
#include "core/template/rules.def"
#undef X
  N_LINT_RULES
} LintRule;

const char *lint_rule_name(LintRule rule);
/* Why the rule is there, one clause. */
const char *lint_rule_text(LintRule rule, Lang lang);
LintWaive lint_rule_waive(LintRule rule);
/* LINT_… of a name; N_LINT_RULES where there is none. */
LintRule lint_rule_find(const char *name);

typedef struct {
  const char *const *directories; /* storage directories, absolute, NULL-ended; NULL = none */
  const char *const *waived;      /* names of rules waived for this template, NULL-ended; unknown ones waive nothing */
} LintPolicy;

/* Whether every name is a rule that may be waived. Errors: NOT_FOUND (kind "rule"), BAD_VALUE. */
bool lint_waived_check(const char *const *waived, GError **err);

typedef struct {
  LintRule rule;
  int line;
  char *what; /* "/domain/devices/disk/@type is \"block\"" */
} LintFinding;

void lint_finding_free(LintFinding *finding);

/* What the controller itself has put into a domain. */
typedef struct {
  const char *disk, *format, *seed, *network, *listen; /* seed and network may be NULL */
  const char *kernel, *initrd; /* the image's: booted from wherever they lie, and nothing else there; NULL = none */
} LintTarget;

/* Every finding of a file, in its order: LintFinding *, freed with the array; never NULL. network is the one its metadata names,
 * or NULL. */
GPtrArray *lint_list(xmlDoc *doc, const char *network, const LintPolicy *policy);
/* The first finding of a template as an error: TEMPLATE_POLICY with line, what, rule. */
bool lint_template(const DomainTemplate *template, const LintPolicy *policy, GError **err);
/* The same for a domain, which must hold exactly what target says where that is the controller's to set. */
bool lint_domain(xmlDoc *domain, const LintPolicy *policy, const LintTarget *target, GError **err);
