#include "cli/output.h"

#include <libsmartcols.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "cli/command.h"
#include "core/error.h"
#include "core/text.h"
#include "core/words.h"

ENUM_DEFINE(OutputForm, output_form, OUTPUTS, N_OUTPUTS)
ENUM_DEFINE(OutputColor, output_color, COLORS, N_COLORS)

/* A table on a screen keeps its lines short; everything else says all of a value. */
enum { CELL_CHARACTERS = 60, WHOLE_CHARACTERS = 4096, FIELD_COLUMNS = 16, FIELD_COLUMNS_KO = 20 };

/* How a value is told: what field it is of (NULL = unknown), to whom, and how long at most. */
typedef struct {
  const Field *field;
  Lang lang;
  int most;
} Telling;

static char *cell_of(json_t *value, Telling t);

static char *list_cell(json_t *list, Telling t)
{
  g_autoptr(GString) all = g_string_new(NULL);
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    g_autofree char *one = cell_of(item, t);
    g_string_append_printf(all, "%s%s", !i ? "" : json_is_object(item) ? "; " : ",", one);
  }
  return text_dup_visible(all->str, t.most);
}

/* Fields whose texts are words of the model. */
static const struct {
  const char *field;
  const char *(*say)(const char *word, Lang lang);
} worded[] = { { "noun", word_noun }, { "step", word_step } };

static const char *word_said(const char *text, Telling t)
{
  if (t.lang == LANG_EN || !t.field)
    return text;
  if (t.field->type == FIELD_ENUM)
    return word_value(t.field->names, text, t.lang);
  for (size_t i = 0; i < G_N_ELEMENTS(worded); i++)
    if (t.field->type == FIELD_REF && !strcmp(t.field->name, worded[i].field))
      return worded[i].say(text, t.lang);
  return text;
}

GError *output_error(json_t *value)
{
  const char *code = json_string_value(json_object_get(value, "code")), *key;
  g_autoptr(GPtrArray) pairs = g_ptr_array_new();
  json_t *arg;
  if (!code)
    return NULL;
  json_object_foreach(json_object_get(value, "args"), key, arg)
    if (json_is_string(arg)) {
      g_ptr_array_add(pairs, (char *)key);
      g_ptr_array_add(pairs, (char *)json_string_value(arg));
    }
  g_ptr_array_add(pairs, NULL);
  return error_new_from_pairs(code, (const char *const *)pairs->pdata);
}

static char *error_cell(json_t *value, Telling t)
{
  g_autoptr(GError) err = t.lang == LANG_KO ? output_error(value) : NULL;
  g_autofree char *said = err && reason_find(json_string_value(json_object_get(value, "code"))) != N_REASONS ? error_text(err, t.lang) : NULL;
  const char *text = said ? said : json_string_value(json_object_get(value, "text"));
  return text ? text_dup_visible(text, t.most) : g_strdup("-");
}

/* What is no refusal: "nvidia-558 free=6 NVIDIA A40-8Q max=6", texts as they are and numbers by name. */
static char *object_cell(json_t *object, Telling t)
{
  g_autoptr(GString) all = g_string_new(NULL);
  const char *key;
  json_t *member;
  json_object_foreach(object, key, member) {
    const char *before = all->len ? " " : "", *text = json_string_value(member);
    if (text)
      g_string_append_printf(all, "%s%s", before, text);
    else if (json_is_integer(member))
      g_string_append_printf(all, "%s%s=%" JSON_INTEGER_FORMAT, before, key, json_integer_value(member));
    else if (json_is_true(member))
      g_string_append_printf(all, "%s%s", before, key);
  }
  return all->len ? text_dup_visible(all->str, t.most) : g_strdup("-");
}

/* "slots 0, 1"; a lone number would be read as how many. Owned by the caller. */
static char *slots_cell(int64_t bits, Lang lang)
{
  g_autoptr(GString) all = g_string_new(NULL);
  int n = 0;
  for (int slot = 0; slot < 63; slot++)
    if (bits >> slot & 1)
      g_string_append_printf(all, "%s%d", n++ ? ", " : "", slot);
  return n ? g_strdup_printf(say(lang, n > 1 ? "slots %s" : "slot %s"), all->str) : g_strdup("-");
}

static char *cell_of(json_t *value, Telling t)
{
  if (json_is_integer(value) && t.field && t.field->flags & F_SLOTS)
    return slots_cell(json_integer_value(value), t.lang);
  if (json_is_string(value))
    return text_dup_visible(word_said(json_string_value(value), t), t.most);
  if (json_is_integer(value))
    return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
  if (json_is_boolean(value))
    return g_strdup(word_bool(json_boolean_value(value), t.lang));
  if (json_is_array(value))
    return list_cell(value, t);
  return json_is_object(value) && !json_object_get(value, "code") && !json_object_get(value, "text") ? object_cell(value, t) : error_cell(value, t);
}

char *output_cell(json_t *value) { return cell_of(value, (Telling){ NULL, LANG_EN, WHOLE_CHARACTERS }); }

char *output_value(Noun noun, const char *field, json_t *value, Lang lang)
{
  return cell_of(value, (Telling){ schema_field(&schemas[noun], field), lang, WHOLE_CHARACTERS });
}

/* ── columns ──────────────────────────────────────────────────────────────── */

/* What lists tell beside fields: how much of a host is taken, and of how much. They stand before its error. */
static const struct { const char *name, *of; } taken[] = {
  { "desktops", NULL }, { "vcpus_used", "vcpus_total" }, { "memory_used_mib", "memory_total_mib" },
};

static bool is_taken(const Schema *schema, const char *name)
{
  for (size_t i = 0; schema == &schemas[NOUN_HOST] && i < G_N_ELEMENTS(taken); i++)
    if (!strcmp(name, taken[i].name) || !g_strcmp0(name, taken[i].of))
      return true;
  return false;
}

/* An event's number is its name, and its time is what people look for. */
static bool field_shown(const Schema *schema, const Field *f, OutputForm form)
{
  bool repeats = schema == &schemas[NOUN_EVENT] && !strcmp(f->name, "number");
  return !repeats && (f->flags & F_COL || (form != OUTPUT_TABLE && f->flags & F_WIDE));
}

/* What every object has beside its fields. */
static const char *const heads[] = { "name", "generation", "created", "changed", NULL };

/* Programs get two numbers where people read "4/64". */
static void add_taken(GPtrArray *columns, OutputForm form)
{
  for (size_t i = 0; i < G_N_ELEMENTS(taken); i++) {
    g_ptr_array_add(columns, (char *)taken[i].name);
    if (taken[i].of && form == OUTPUT_CSV)
      g_ptr_array_add(columns, (char *)taken[i].of);
  }
}

/* Names of what is shown, of borrowed char *; owned by the caller. */
static GPtrArray *columns_of(const Schema *schema, const OutputStyle *style)
{
  GPtrArray *columns = g_ptr_array_new();
  for (char **wanted = style->columns; wanted && *wanted; wanted++)
    g_ptr_array_add(columns, *wanted);
  if (columns->len)
    return columns;
  g_ptr_array_add(columns, (char *)heads[0]);
  if (schema == &schemas[NOUN_EVENT])
    g_ptr_array_add(columns, (char *)"created");
  for (int i = 0; i < schema->n_fields; i++) {
    if (schema == &schemas[NOUN_HOST] && !strcmp(schema->fields[i].name, "error"))
      add_taken(columns, style->form);
    if (field_shown(schema, &schema->fields[i], style->form))
      g_ptr_array_add(columns, (char *)schema->fields[i].name);
  }
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
    if (!g_strv_contains(heads, *c) && !is_taken(schema, *c) && !(f && !(f->flags & F_SECRET)))
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
const char *output_state_color(const char *state)
{
  static const char *const good[] = { "up", "available", "ready", "active", "done", "used", "assigned", "attached", NULL };
  static const char *const bad[] = { "error", "quarantined", "lost", "unreachable", "failed", "restrained", "fenced", "broken", "gone", NULL };
  return g_strv_contains(good, state) ? "green" : g_strv_contains(bad, state) ? "red" : "yellow";
}

/* ── tables ───────────────────────────────────────────────────────────────── */

typedef struct {
  const Schema *schema;
  GPtrArray *columns;   /* of char *, borrowed */
  size_t *widths;       /* least widths, of each column */
  bool headers, colored;
  int cell_characters;
  Lang lang;
} TableForm;

static int cell_most(const OutputStyle *style) { return style->form == OUTPUT_TABLE ? CELL_CHARACTERS : WHOLE_CHARACTERS; }

/* "HOST CPUS", or "호스트 CPU"; owned by the caller. */
static char *title_of(const char *column, Lang lang)
{
  const char *korean = word_column(column, lang);
  return korean ? g_strdup(korean) : g_strdelimit(g_ascii_strup(column, -1), "_", ' ');
}

static struct libscols_table *table_new(const TableForm *form)
{
  struct libscols_table *table = scols_new_table();
  scols_table_enable_noheadings(table, !form->headers);
  scols_table_enable_colors(table, form->colored);
  for (guint i = 0; i < form->columns->len; i++) {
    g_autofree char *title = title_of(form->columns->pdata[i], form->lang);
    const Field *f = schema_field(form->schema, form->columns->pdata[i]);
    bool number = (f && f->type == FIELD_INT) || is_taken(form->schema, form->columns->pdata[i]);
    scols_table_new_column(table, title, form->widths ? (double)form->widths[i] : 0, number ? SCOLS_FL_RIGHT : 0);
  }
  return table;
}

/* "4/64"; NULL where the column is no such pair. Owned by the caller. */
static char *share_cell(const TableForm *form, const char *column, json_t *object)
{
  const char *of = NULL;
  for (size_t i = 0; form->schema == &schemas[NOUN_HOST] && i < G_N_ELEMENTS(taken); i++)
    if (!strcmp(column, taken[i].name))
      of = taken[i].of;
  json_t *used = json_object_get(object, column), *all = of ? json_object_get(object, of) : NULL;
  return used && all ? g_strdup_printf("%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT, json_integer_value(used), json_integer_value(all)) : NULL;
}

static char *table_cell(const TableForm *form, const char *column, json_t *object)
{
  char *share = share_cell(form, column, object);
  return share ? share : cell_of(json_object_get(object, column), (Telling){ schema_field(form->schema, column), form->lang, form->cell_characters });
}

static void table_add_line(struct libscols_table *table, const TableForm *form, json_t *object, bool gone)
{
  struct libscols_line *line = scols_table_new_line(table, NULL);
  for (guint i = 0; i < form->columns->len; i++) {
    const char *column = form->columns->pdata[i];
    bool state = !strcmp(column, "state");
    g_autofree char *cell = table_cell(form, column, object), *english = output_cell(json_object_get(object, column));
    scols_line_set_data(line, i, gone && state ? word_verb("gone", form->lang) : cell);
    if (state && form->colored)
      scols_cell_set_color(scols_line_get_cell(line, i), gone ? "darkgray" : output_state_color(english));
  }
}

static void print_table(const OutputStyle *style, const Schema *schema, json_t *list)
{
  TableForm form = { schema, columns_of(schema, style), NULL, style->headers, output_is_colored(style->color), cell_most(style),
                     style->lang };
  struct libscols_table *table = table_new(&form);
  size_t i;
  json_t *object;
  json_array_foreach(list, i, object)
    table_add_line(table, &form, object, false);
  if (json_array_size(list))
    scols_print_table(table);
  scols_unref_table(table);
  g_ptr_array_unref(form.columns);
}

/* A text of many lines: how much it is says more than what. */
static char *field_text(const Schema *schema, const char *field, json_t *value, Lang lang)
{
  const char *text = json_string_value(value);
  if (text && strchr(text, '\n'))
    return g_strdup_printf(say(lang, "(%zu bytes; -o json shows it)"), json_string_length(value));
  if (json_is_object(value) && !json_object_get(value, "text"))
    return json_dumps(value, JSON_COMPACT);
  return cell_of(value, (Telling){ schema_field(schema, field), lang, WHOLE_CHARACTERS });
}

static void print_line(const OutputStyle *style, const char *title, const char *text)
{
  print_padded(title, style->lang == LANG_KO ? FIELD_COLUMNS_KO : FIELD_COLUMNS);
  printf(" %s\n", text);
}

/* Functions that nobody has stand among a card's parts for programs; people want to know how many there are. Takes them out of a copy. */
static json_t *parts_in_use(json_t *parts, int *ret_idle)
{
  json_t *used = json_array(), *part;
  size_t i;
  json_array_foreach(parts, i, part)
    if (json_object_get(part, "type"))
      json_array_append(used, part);
  *ret_idle = (int)(json_array_size(parts) - json_array_size(used));
  return used;
}

static void print_parts(const OutputStyle *style, const Schema *schema, json_t *parts)
{
  int idle;
  json_auto_t *used = parts_in_use(parts, &idle);
  g_autofree char *text = field_text(schema, "parts", used, style->lang), *number = g_strdup_printf("%d", idle);
  const char *title = word_column("parts", style->lang);
  if (json_array_size(used))
    print_line(style, title ? title : "parts", text);
  if (idle)
    print_line(style, say(style->lang, "idle functions"), number);
}

/* One object, a field a line. */
static void print_fields(const OutputStyle *style, const Schema *schema, json_t *object)
{
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    if (json_is_null(value) || !strcmp(key, "id") || (json_is_array(value) && !json_array_size(value)))
      continue;
    if (style->columns && !g_strv_contains((const char *const *)style->columns, key))
      continue;
    if (schema == &schemas[NOUN_GPU] && !strcmp(key, "parts")) {
      print_parts(style, schema, value);
      continue;
    }
    g_autofree char *text = field_text(schema, key, value, style->lang);
    const char *title = word_column(key, style->lang);
    print_line(style, title ? title : key, text);
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
  g_autoptr(GPtrArray) columns = columns_of(schema, style);
  if (style->headers)
    print_csv_head(columns);
  size_t n;
  json_t *object;
  json_array_foreach(list, n, object)
    print_csv_line(columns, object);
}

static void print_name(json_t *object)
{
  const char *name = json_string_value(json_object_get(object, "name"));
  if (name)
    puts(name);
}

static void print_names(json_t *list)
{
  size_t i;
  json_t *object;
  json_array_foreach(list, i, object)
    print_name(object);
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
      print_fields(style, schema, value);
    return;
  case OUTPUT_JSON: {
    g_autofree char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
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
static size_t width_of(const Schema *schema, const char *column, Lang lang)
{
  const Field *f = schema_field(schema, column);
  g_autofree char *title = title_of(column, lang);
  bool share = is_taken(schema, column);
  size_t least = (size_t)text_columns(title), wish = share                                                 ? TEXT_COLUMNS
                                        : !f || f->type == FIELD_BOOL || f->type == FIELD_INT ? SHORT_COLUMNS
                                        : f->type == FIELD_ENUM                             ? STATE_COLUMNS
                                                                                            : TEXT_COLUMNS;
  return MAX(least, wish);
}

OutputStream *output_stream_new(const OutputStyle *style, Noun noun)
{
  OutputStream *s = g_new0(OutputStream, 1);
  const Schema *schema = &schemas[noun];
  s->style = *style;
  s->form = (TableForm){ schema, columns_of(schema, style), NULL, style->headers, output_is_colored(style->color), cell_most(style),
                        style->lang };
  s->form.widths = g_new(size_t, s->form.columns->len);
  for (guint i = 0; i < s->form.columns->len; i++)
    s->form.widths[i] = width_of(schema, s->form.columns->pdata[i], style->lang);
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
    print_name(object);
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
