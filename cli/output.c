#include "cli/output.h"

#include <libsmartcols.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "core/error.h"
#include "core/text.h"

ENUM_DEFINE(OutputForm, output_form, OUTPUTS, N_OUTPUTS)
ENUM_DEFINE(OutputColor, output_color, COLORS, N_COLORS)

/* A table on a screen keeps its lines short; everything else says all of a value. */
enum { CELL_CHARACTERS = 60, WHOLE_CHARACTERS = 4096 };

static char *cell_of(json_t *value, int most);

static char *list_cell(json_t *list, int most)
{
  g_autoptr(GString) all = g_string_new(NULL);
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    g_autofree char *one = cell_of(item, most);
    g_string_append_printf(all, "%s%s", i ? "," : "", one);
  }
  return text_dup_visible(all->str, most);
}

static char *cell_of(json_t *value, int most)
{
  if (json_is_string(value))
    return text_dup_visible(json_string_value(value), most);
  if (json_is_integer(value))
    return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
  if (json_is_boolean(value))
    return g_strdup(json_boolean_value(value) ? "yes" : "no");
  if (json_is_array(value))
    return list_cell(value, most);
  const char *text = json_string_value(json_object_get(value, "text"));  /* an error */
  return text ? text_dup_visible(text, most) : g_strdup("-");
}

char *output_cell(json_t *value) { return cell_of(value, WHOLE_CHARACTERS); }

/* ── columns ──────────────────────────────────────────────────────────────── */

/* An event's number is its name, and its time is what people look for. */
static bool field_shown(const Schema *schema, const Field *f, OutputForm form)
{
  bool repeats = schema == &schemas[NOUN_EVENT] && !strcmp(f->name, "number");
  return !repeats && (f->flags & F_COL || (form != OUTPUT_TABLE && f->flags & F_WIDE));
}

/* What every object has beside its fields. */
static const char *const heads[] = { "name", "generation", "created", "changed", NULL };

/* Names of what is shown, of borrowed char *; owned by the caller. */
static GPtrArray *columns_of(const Schema *schema, OutputForm form, char **wanted)
{
  GPtrArray *columns = g_ptr_array_new();
  for (; wanted && *wanted; wanted++)
    g_ptr_array_add(columns, *wanted);
  if (columns->len)
    return columns;
  g_ptr_array_add(columns, (char *)heads[0]);
  if (schema == &schemas[NOUN_EVENT])
    g_ptr_array_add(columns, (char *)"created");
  for (int i = 0; i < schema->n_fields; i++)
    if (field_shown(schema, &schema->fields[i], form))
      g_ptr_array_add(columns, (char *)schema->fields[i].name);
  return columns;
}

bool output_columns_check(Noun noun, char **columns, GError **err)
{
  g_autoptr(GString) known = g_string_new("one of name, generation, created, changed");
  const Schema *schema = &schemas[noun];
  for (int i = 0; i < schema->n_fields; i++)
    if (!(schema->fields[i].flags & F_SECRET))
      g_string_append_printf(known, ", %s", schema->fields[i].name);
  for (char **c = columns; *c; c++) {
    const Field *f = schema_field(schema, *c);
    if (!g_strv_contains(heads, *c) && !(f && !(f->flags & F_SECRET)))
      return error_false(err, REASON_BAD_VALUE, "field", "--columns", "value", *c, "limit", known->str, NULL);
  }
  return true;
}

/* ── colours ──────────────────────────────────────────────────────────────── */

bool output_is_colored(OutputColor color)
{
  const char *no = g_getenv("NO_COLOR");
  return color == COLOR_ALWAYS || (color == COLOR_AUTO && isatty(STDOUT_FILENO) && !(no && *no));
}

/* States by what they ask of people: nothing, patience, a look. */
static const char *color_of_state(const char *state)
{
  static const char *const good[] = { "up", "available", "ready", "active", "done", "used", "assigned", NULL };
  static const char *const bad[] = { "error", "quarantined", "lost", "unreachable", "failed", "restrained", "fenced", NULL };
  return g_strv_contains(good, state) ? "green" : g_strv_contains(bad, state) ? "red" : "yellow";
}

/* ── tables ───────────────────────────────────────────────────────────────── */

typedef struct {
  const Schema *schema;
  GPtrArray *columns;   /* of char *, borrowed */
  size_t *widths;       /* least widths, of each column */
  bool headers, colored;
  int cell_characters;
} TableForm;

static int cell_most(const OutputStyle *style) { return style->form == OUTPUT_TABLE ? CELL_CHARACTERS : WHOLE_CHARACTERS; }

static struct libscols_table *table_new(const TableForm *form)
{
  struct libscols_table *table = scols_new_table();
  scols_table_enable_noheadings(table, !form->headers);
  scols_table_enable_colors(table, form->colored);
  for (guint i = 0; i < form->columns->len; i++) {
    g_autofree char *title = g_ascii_strup(form->columns->pdata[i], -1);
    const Field *f = schema_field(form->schema, form->columns->pdata[i]);
    g_strdelimit(title, "_", ' ');
    scols_table_new_column(table, title, form->widths ? (double)form->widths[i] : 0, f && f->type == FIELD_INT ? SCOLS_FL_RIGHT : 0);
  }
  return table;
}

static void table_add_line(struct libscols_table *table, const TableForm *form, json_t *object, bool gone)
{
  struct libscols_line *line = scols_table_new_line(table, NULL);
  for (guint i = 0; i < form->columns->len; i++) {
    const char *column = form->columns->pdata[i];
    bool state = !strcmp(column, "state");
    g_autofree char *cell = cell_of(json_object_get(object, column), form->cell_characters);
    scols_line_set_data(line, i, gone && state ? "gone" : cell);
    if (state && form->colored)
      scols_cell_set_color(scols_line_get_cell(line, i), gone ? "darkgray" : color_of_state(cell));
  }
}

static void print_table(const OutputStyle *style, const Schema *schema, json_t *list)
{
  TableForm form = { schema, columns_of(schema, style->form, style->columns), NULL, style->headers, output_is_colored(style->color),
                     cell_most(style) };
  struct libscols_table *table = table_new(&form);
  size_t i;
  json_t *object;
  json_array_foreach(list, i, object)
    table_add_line(table, &form, object, false);
  if (json_array_size(list))
    scols_print_table(table);
  else if (isatty(STDERR_FILENO))
    fprintf(stderr, "there is no such %s\n", schema->noun);
  scols_unref_table(table);
  g_ptr_array_unref(form.columns);
}

/* A text of many lines: how much it is says more than what. */
static char *field_text(json_t *value)
{
  const char *text = json_string_value(value);
  if (text && strchr(text, '\n'))
    return g_strdup_printf("(%zu bytes; -o json shows it)", json_string_length(value));
  if (text)
    return text_dup_visible(text, WHOLE_CHARACTERS);
  return json_is_object(value) && !json_object_get(value, "text") ? json_dumps(value, JSON_COMPACT) : output_cell(value);
}

/* One object, a field a line. */
static void print_fields(const OutputStyle *style, json_t *object)
{
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    if (json_is_null(value) || !strcmp(key, "id") || (json_is_array(value) && !json_array_size(value)))
      continue;
    if (style->columns && !g_strv_contains((const char *const *)style->columns, key))
      continue;
    g_autofree char *text = field_text(value);
    printf("%-16s %s\n", key, text);
  }
}

/* ── CSV, names ───────────────────────────────────────────────────────────── */

/* RFC 4180; what a spreadsheet would take for a formula gets a quote in front. */
static void print_csv_cell(const char *text, bool first)
{
  printf("%s\"%s", first ? "" : ",", *text && strchr("=+-@\t", *text) && strcmp(text, "-") ? "'" : "");
  for (; *text; text++)
    printf(*text == '"' ? "\"\"" : "%c", *text);
  putchar('"');
}

static void print_csv_head(const GPtrArray *columns)
{
  for (guint i = 0; i < columns->len; i++)
    print_csv_cell(columns->pdata[i], !i);
  putchar('\n');
}

static void print_csv_line(const GPtrArray *columns, json_t *object)
{
  for (guint i = 0; i < columns->len; i++) {
    g_autofree char *cell = output_cell(json_object_get(object, columns->pdata[i]));
    print_csv_cell(cell, !i);
  }
  putchar('\n');
}

static void print_csv(const OutputStyle *style, const Schema *schema, json_t *list)
{
  g_autoptr(GPtrArray) columns = columns_of(schema, OUTPUT_WIDE, style->columns);
  if (style->headers)
    print_csv_head(columns);
  size_t n;
  json_t *object;
  json_array_foreach(list, n, object)
    print_csv_line(columns, object);
}

static void print_names(json_t *list)
{
  size_t i;
  json_t *object;
  json_array_foreach(list, i, object)
    puts(json_string_value(json_object_get(object, "name")));
}

/* ── YAML ─────────────────────────────────────────────────────────────────── */

static void emit(yaml_emitter_t *emitter, yaml_event_t *event)
{
  yaml_emitter_emit(emitter, event);
}

static void emit_scalar(yaml_emitter_t *emitter, const char *text, bool is_text)
{
  yaml_event_t event;
  yaml_scalar_event_initialize(&event, NULL, NULL, (yaml_char_t *)text, strlen(text), !is_text, 1,
                               !is_text ? YAML_PLAIN_SCALAR_STYLE : strchr(text, '\n') ? YAML_LITERAL_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
  emit(emitter, &event);
}

static void emit_value(yaml_emitter_t *emitter, json_t *value);

static void emit_array(yaml_emitter_t *emitter, json_t *array)
{
  yaml_event_t event;
  yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
  emit(emitter, &event);
  size_t i;
  json_t *item;
  json_array_foreach(array, i, item)
    emit_value(emitter, item);
  yaml_sequence_end_event_initialize(&event);
  emit(emitter, &event);
}

static void emit_object(yaml_emitter_t *emitter, json_t *object)
{
  yaml_event_t event;
  yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
  emit(emitter, &event);
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    emit_scalar(emitter, key, false);
    emit_value(emitter, value);
  }
  yaml_mapping_end_event_initialize(&event);
  emit(emitter, &event);
}

static void emit_value(yaml_emitter_t *emitter, json_t *value)
{
  if (json_is_object(value)) {
    emit_object(emitter, value);
  } else if (json_is_array(value)) {
    emit_array(emitter, value);
  } else {
    g_autofree char *text = json_is_string(value) ? g_strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
    emit_scalar(emitter, text, json_is_string(value));
  }
}

void output_yaml(json_t *value)
{
  yaml_emitter_t emitter;
  yaml_event_t event;
  yaml_emitter_initialize(&emitter);
  yaml_emitter_set_output_file(&emitter, stdout);
  yaml_emitter_set_unicode(&emitter, 1);
  yaml_emitter_set_width(&emitter, -1);
  yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
  emit(&emitter, &event);
  yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
  emit(&emitter, &event);
  emit_value(&emitter, value);
  yaml_document_end_event_initialize(&event, 1);
  emit(&emitter, &event);
  yaml_stream_end_event_initialize(&event);
  emit(&emitter, &event);
  yaml_emitter_delete(&emitter);
}

void output_print(const OutputStyle *style, Noun noun, json_t *value)
{
  const Schema *schema = &schemas[noun];
  json_auto_t *list = json_is_array(value) ? json_incref(value) : json_pack("[O]", value);
  switch (style->form) {
  case OUTPUT_TABLE:
  case OUTPUT_WIDE:
    if (json_is_array(value))
      print_table(style, schema, list);
    else
      print_fields(style, value);
    return;
  case OUTPUT_JSON: {
    g_autofree char *text = json_dumps(value, JSON_INDENT(2));
    puts(text);
    return;
  }
  case OUTPUT_YAML:
    output_yaml(value);
    return;
  case OUTPUT_CSV:
    print_csv(style, schema, list);
    return;
  case OUTPUT_NAME:
    print_names(list);
    return;
  case N_OUTPUTS:
    return;
  }
}

/* ── streams ──────────────────────────────────────────────────────────────── */

enum { STATE_COLUMNS = 12, TEXT_COLUMNS = 16, SHORT_COLUMNS = 8 };

struct OutputStream {
  OutputStyle style;
  TableForm form;
  bool begun;
};

/* What comes later is not known yet, so columns get what such a thing takes as a rule. */
static size_t width_of(const Schema *schema, const char *column)
{
  const Field *f = schema_field(schema, column);
  size_t least = strlen(column), wish = !f || f->type == FIELD_BOOL || f->type == FIELD_INT ? SHORT_COLUMNS
                                        : f->type == FIELD_ENUM                             ? STATE_COLUMNS
                                                                                            : TEXT_COLUMNS;
  return MAX(least, wish);
}

OutputStream *output_stream_new(const OutputStyle *style, Noun noun)
{
  OutputStream *s = g_new0(OutputStream, 1);
  const Schema *schema = &schemas[noun];
  s->style = *style;
  s->form = (TableForm){ schema, columns_of(schema, style->form, style->columns), NULL, style->headers, output_is_colored(style->color),
                        cell_most(style) };
  s->form.widths = g_new(size_t, s->form.columns->len);
  for (guint i = 0; i < s->form.columns->len; i++)
    s->form.widths[i] = width_of(schema, s->form.columns->pdata[i]);
  return s;
}

/* One line, padded by hand: a table would shrink to what it holds. */
static void stream_line(OutputStream *s, json_t *object, bool gone)
{
  struct libscols_table *table = table_new(&s->form);
  scols_table_enable_noheadings(table, !s->form.headers || s->begun);
  table_add_line(table, &s->form, object, gone);
  for (guint i = 0; i < s->form.columns->len; i++)
    scols_column_set_flags(scols_table_get_column(table, i), SCOLS_FL_STRICTWIDTH | scols_column_get_flags(scols_table_get_column(table, i)));
  scols_print_table(table);
  scols_unref_table(table);
}

void output_stream_put(OutputStream *s, json_t *object, bool gone)
{
  if (gone && s->style.form != OUTPUT_NAME)
    json_object_set_new(object, "gone", json_true());
  switch (s->style.form) {
  case OUTPUT_TABLE:
  case OUTPUT_WIDE:
    stream_line(s, object, gone);
    break;
  case OUTPUT_JSON: {
    g_autofree char *text = json_dumps(object, JSON_COMPACT);
    puts(text);
    break;
  }
  case OUTPUT_YAML:
    output_yaml(object);
    break;
  case OUTPUT_CSV:
    if (s->style.headers && !s->begun)
      print_csv_head(s->form.columns);
    print_csv_line(s->form.columns, object);
    break;
  case OUTPUT_NAME:
    puts(json_string_value(json_object_get(object, "name")));
    break;
  case N_OUTPUTS:
    break;
  }
  s->begun = true;
  fflush(stdout);
}

void output_stream_free(OutputStream *s)
{
  g_ptr_array_unref(s->form.columns);
  g_free(s->form.widths);
  g_free(s);
}
