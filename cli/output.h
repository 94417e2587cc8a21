/* How answers are shown: as a table for people, or as JSON, YAML, CSV or names for programs. What programs read is never coloured nor translated. */
#pragma once

#include <jansson.h>

#include "core/model.h"

#define OUTPUTS(X) \
  X(OUTPUT_TABLE, "table") X(OUTPUT_WIDE, "wide") X(OUTPUT_JSON, "json") X(OUTPUT_YAML, "yaml") X(OUTPUT_CSV, "csv") X(OUTPUT_NAME, "name")
ENUM_DECLARE(OutputForm, output_form, OUTPUTS, N_OUTPUTS)

/* Prints an object, or an array of them, of noun to standard output. Text of strangers is made harmless for terminals. */
void output_print(OutputForm form, Noun noun, json_t *value, bool headers);
/* One value as a cell of a table; owned by the caller. */
char *output_cell(json_t *value);
