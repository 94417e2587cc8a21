#include "cli/output.h"

#include <libsmartcols.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "core/text.h"

ENUM_DEFINE(OutputForm, output_form, OUTPUTS, N_OUTPUTS)

enum { CELL_CHARACTERS = 60 };

static char *list_cell(json_t *list)
{
  g_autoptr(GString) all = g_string_new(NULL);
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    g_autofree char *one = output_cell(item);
    g_string_append_printf(all, "%s%s", i ? "," : "", one);
  }
  return text_dup_visible(all->str, CELL_CHARACTERS);
}

char *output_cell(json_t *value)
{
  if (json_is_string(value))
    return text_dup_visible(json_string_value(value), CELL_CHARACTERS);
  if (json_is_integer(value))
    return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
  if (json_is_boolean(value))
    return g_strdup(json_boolean_value(value) ? "yes" : "no");
  if (json_is_array(value))
    return list_cell(value);
  const char *text = json_string_value(json_object_get(value, "text"));  /* an error */
  return text ? text_dup_visible(text, CELL_CHARACTERS) : g_strdup("-");
}

static bool field_shown(const Field *f, OutputForm form)
{
  return f->flags & F_COL || (form != OUTPUT_TABLE && f->flags & F_WIDE);
}

/* ── tables ───────────────────────────────────────────────────────────────── */

static void table_add_line(struct libscols_table *table, const Schema *schema, OutputForm form, json_t *object)
{
  struct libscols_line *line = scols_table_new_line(table, NULL);
  g_autofree char *name = output_cell(json_object_get(object, "name"));
  scols_line_set_data(line, 0, name);
  int column = 1;
  for (int i = 0; i < schema->n_fields; i++) {
    if (!field_shown(&schema->fields[i], form))
      continue;
    g_autofree char *cell = output_cell(json_object_get(object, schema->fields[i].name));
    scols_line_set_data(line, column++, cell);
  }
}

static void print_table(OutputForm form, const Schema *schema, json_t *list, bool headers)
{
  scols_init_debug(0);
  struct libscols_table *table = scols_new_table();
  scols_table_enable_noheadings(table, !headers);
  scols_table_new_column(table, "NAME", 0, 0);
  for (int i = 0; i < schema->n_fields; i++) {
    if (!field_shown(&schema->fields[i], form))
      continue;
    g_autofree char *title = g_ascii_strup(schema->fields[i].name, -1);
    g_strdelimit(title, "_", ' ');
    scols_table_new_column(table, title, 0, schema->fields[i].type == FIELD_INT ? SCOLS_FL_RIGHT : 0);
  }
  size_t i;
  json_t *object;
  json_array_foreach(list, i, object)
    table_add_line(table, schema, form, object);
  if (json_array_size(list))
    scols_print_table(table);
  else if (isatty(STDERR_FILENO))
    fprintf(stderr, "there is no %s yet\n", schema->noun);
  scols_unref_table(table);
}

/* One object, a field a line. */
static void print_fields(const Schema *schema, json_t *object)
{
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    if (json_is_null(value) || !strcmp(key, "id"))
      continue;
    g_autofree char *cell = json_is_string(value) ? text_dup_visible(json_string_value(value), 4096) : NULL;
    g_autofree char *other = cell ? NULL : json_is_object(value) ? json_dumps(value, JSON_COMPACT) : output_cell(value);
    printf("%-16s %s\n", key, cell ? cell : other);
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

static void print_csv(const Schema *schema, json_t *list, bool headers)
{
  if (headers) {
    print_csv_cell("name", true);
    for (int i = 0; i < schema->n_fields; i++)
      if (field_shown(&schema->fields[i], OUTPUT_WIDE))
        print_csv_cell(schema->fields[i].name, false);
    putchar('\n');
  }
  size_t n;
  json_t *object;
  json_array_foreach(list, n, object) {
    print_csv_cell(json_string_value(json_object_get(object, "name")), true);
    for (int i = 0; i < schema->n_fields; i++) {
      if (!field_shown(&schema->fields[i], OUTPUT_WIDE))
        continue;
      g_autofree char *cell = output_cell(json_object_get(object, schema->fields[i].name));
      print_csv_cell(cell, false);
    }
    putchar('\n');
  }
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
                               is_text ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE);
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

static void print_yaml(json_t *value)
{
  yaml_emitter_t emitter;
  yaml_event_t event;
  yaml_emitter_initialize(&emitter);
  yaml_emitter_set_output_file(&emitter, stdout);
  yaml_emitter_set_unicode(&emitter, 1);
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

void output_print(OutputForm form, Noun noun, json_t *value, bool headers)
{
  const Schema *schema = &schemas[noun];
  json_auto_t *list = json_is_array(value) ? json_incref(value) : json_pack("[O]", value);
  switch (form) {
  case OUTPUT_TABLE:
  case OUTPUT_WIDE:
    if (json_is_array(value))
      print_table(form, schema, list, headers);
    else
      print_fields(schema, value);
    return;
  case OUTPUT_JSON: {
    g_autofree char *text = json_dumps(value, JSON_INDENT(2));
    puts(text);
    return;
  }
  case OUTPUT_YAML:
    print_yaml(value);
    return;
  case OUTPUT_CSV:
    print_csv(schema, list, headers);
    return;
  case OUTPUT_NAME:
    print_names(list);
    return;
  case N_OUTPUTS:
    return;
  }
}
