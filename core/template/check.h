/* Everything that can be said about a template file without a daemon: is it XML, is it a template, is it allowed, does libvirt's
 * schema take it. `sarang template check FILE` prints the list, the controller refuses by its first line. Pure but for a schema
 * that the caller has loaded. */
#pragma once

#include "core/template/lint.h"
#include "drivers/schema/schema.h"

typedef struct {
  int line;       /* 0 where no line is to blame */
  char *rule;     /* "policy:host-device", "schema", or a reason's wire name: "xml-doctype", "template-value" */
  char *text[2];  /* by Lang: one sentence, without the line */
  char *fix[2];   /* by Lang: the next step, or NULL */
} TemplateFinding;

void template_finding_free(TemplateFinding *finding);

/* Findings in the order of their lines: TemplateFinding *, freed with the array; empty where all is well. schema NULL: that part
 * is left out; else it may take schema_limit_us, and what takes longer is a finding. */
GPtrArray *template_check(const char *bytes, size_t len, const LintPolicy *policy, const DomainSchema *schema, int64_t schema_limit_us);
