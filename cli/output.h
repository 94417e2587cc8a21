/* How answers are shown: as a table for people, or as JSON, YAML, CSV or names for programs. What programs read is never coloured nor translated. */
#pragma once

#include <jansson.h>

#include "core/error.h"
#include "core/model.h"

#define OUTPUTS(X) \
  X(OUTPUT_TABLE, "table") X(OUTPUT_WIDE, "wide") X(OUTPUT_JSON, "json") X(OUTPUT_YAML, "yaml") X(OUTPUT_CSV, "csv") X(OUTPUT_NAME, "name")
ENUM_DECLARE(OutputForm, output_form, OUTPUTS, N_OUTPUTS)
#define COLORS(X) X(COLOR_AUTO, "auto") X(COLOR_ALWAYS, "always") X(COLOR_NEVER, "never")
ENUM_DECLARE(OutputColor, output_color, COLORS, N_COLORS)

typedef struct {
  OutputForm form;
  OutputColor color;
  char **columns;   /* names of fields, or NULL; borrowed */
  bool headers;
  Lang lang;        /* of tables; what programs read is English */
} OutputStyle;

/* Prints an object, or an array of them, of noun to standard output. Text of strangers is made harmless for terminals. */
void output_print(const OutputStyle *style, Noun noun, json_t *value);
/* One value as a cell of a table, in English; owned by the caller. */
char *output_cell(json_t *value);
/* The same with the words of noun's field of that name in lang. */
char *output_value(Noun noun, const char *field, json_t *value, Lang lang);
/* The error that stands as JSON on an object, as it was made; NULL where value is none. Owned by the caller. */
GError *output_error(json_t *value);
/* Whether standard output is coloured: by the person's wish, else on a terminal where NO_COLOR is not set (https://no-color.org). */
bool output_is_colored(OutputColor color);
/* The colour of a state, by its English word, as libsmartcols names it. */
const char *output_state_color(const char *state);
/* Whether every name is a column of noun. BAD_VALUE. */
bool output_columns_check(Noun noun, char **columns, GError **err);

/* Lines of a table that grows: later lines keep the widths of the first ones. */
typedef struct OutputStream OutputStream;
OutputStream *output_stream_new(const OutputStyle *style, Noun noun);
/* Prints one change; gone: it is the object's end. */
void output_stream_put(OutputStream *stream, json_t *object, bool gone);
void output_stream_free(OutputStream *stream);

/* A value as a YAML document to standard output. */
void output_yaml(json_t *value);
