/* sarang apply, diff, export: hosts, storages, templates, pools and users as YAML. All files are read, checked and compared before the first
 * change is asked for; a change names the generation that it was compared with. What the files do not name stays as it is. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "core/yaml.h"

/* Kinds that files may hold, in the order in which they need each other. */
static const struct { Noun noun; ApiVerb list, create, change; } kinds[] = {
  { NOUN_HOST, API_HOST_LIST, API_HOST_ADD, API_HOST_CHANGE },
  { NOUN_STORAGE, API_STORAGE_LIST, API_STORAGE_ADD, API_STORAGE_CHANGE },
  { NOUN_TEMPLATE, API_TEMPLATE_LIST, API_TEMPLATE_ADD, N_API_VERBS },
  { NOUN_USER, API_USER_LIST, API_USER_ADD, API_USER_CHANGE },
  { NOUN_GPU_CLASS, API_GPU_CLASS_LIST, API_GPU_CLASS_ADD, API_GPU_CLASS_CHANGE },
  { NOUN_LICENCE, API_LICENCE_LIST, API_LICENCE_ADD, API_LICENCE_CHANGE },
  { NOUN_POOL, API_POOL_LIST, API_POOL_CREATE, API_POOL_CHANGE },
};

#define KINDS_LIMIT "one of host, storage, template, user, gpu-class, licence, pool"

typedef struct {
  char *file, *name;
  int number;        /* of the document in its file */
  size_t kind;
  json_t *wanted;    /* its fields, without noun and name */
  json_t *found;     /* what there is, or NULL */
  json_t *changes;   /* fields that differ; empty = none */
} Item;

static void item_free(void *data)
{
  Item *item = data;
  g_free(item->file);
  g_free(item->name);
  json_decref(item->wanted);
  json_decref(item->found);
  json_decref(item->changes);
  g_free(item);
}

static const Schema *schema_of(const Item *item)
{
  return &schemas[kinds[item->kind].noun];
}

static bool is_template(const Item *item)
{
  return kinds[item->kind].noun == NOUN_TEMPLATE;
}

/* An error about one document, told with where that stands. Eats why. */
static bool refuse_item(const Item *item, GError *take_why, GError **err)
{
  g_autoptr(GError) why = take_why;
  g_autofree char *number = g_strdup_printf("%d", item->number), *text = error_text(why, LANG_EN), *fix = error_fix(why, LANG_EN);
  g_autofree char *object = g_strdup_printf("%s%s%s", schema_of(item)->noun, item->name ? " " : "", item->name ? item->name : "");
  return error_false(err, REASON_YAML_OBJECT, "file", item->file, "number", number, "object", object, "why", text, "fix", fix ? fix : "", NULL);
}

/* ── reading ──────────────────────────────────────────────────────────────── */

static char *read_all(const char *path, gsize *ret_n, GError **err)
{
  g_autoptr(GError) why = NULL;
  char *text = NULL;
  if (g_file_get_contents(strcmp(path, "-") ? path : "/dev/stdin", &text, ret_n, &why))
    return text;
  return error_null(err, REASON_IO, "action", "read", "path", path, "detail", why->message, NULL);
}

static bool refuse_document(const char *file, int number, const char *field, const char *value, const char *limit, GError **err)
{
  g_autoptr(GError) why = NULL;
  error_set(&why, REASON_BAD_VALUE, "field", field, "value", value, "limit", limit, NULL);
  g_autofree char *text = g_strdup_printf("%d", number);
  return error_false(err, REASON_YAML_OBJECT, "file", file, "number", text, "object", "?", "why", why->message, "fix", "", NULL);
}

static size_t kind_find(const char *text)
{
  size_t i = 0;
  while (i < G_N_ELEMENTS(kinds) && g_strcmp0(schemas[kinds[i].noun].noun, text) != 0)
    i++;
  return i;
}

/* xml: "@FILE" stands for what a file beside the YAML holds. */
static bool take_file(Item *item, GError **err)
{
  const char *xml = is_template(item) ? json_string_value(json_object_get(item->wanted, "xml")) : NULL;
  if (!xml || xml[0] != '@')
    return true;
  g_autofree char *file = g_canonicalize_filename(item->file, NULL), *dir = g_path_get_dirname(file);
  g_autofree char *path = g_canonicalize_filename(xml + 1, dir);
  gsize n;
  g_autofree char *text = read_all(path, &n, err);
  if (text)
    json_object_set_new(item->wanted, "xml", json_string(text));
  return text;
}

static bool take_document(GPtrArray *items, const char *file, int number, json_t *document, GError **err)
{
  const char *kind = json_string_value(json_object_get(document, "noun"));
  size_t k = kind_find(kind);
  if (!json_is_object(document))
    return refuse_document(file, number, "the document", "…", "keys with values", err);
  if (k == G_N_ELEMENTS(kinds))
    return refuse_document(file, number, "noun", kind ? kind : "", KINDS_LIMIT, err);
  const char *key = kinds[k].noun == NOUN_TEMPLATE ? "family" : "name";
  const char *name = json_string_value(json_object_get(document, key));
  if (!name)
    return refuse_document(file, number, key, "", "a text", err);
  Item *item = g_new0(Item, 1);
  *item = (Item){ g_strdup(file), g_strdup(name), number, k, json_incref(document), NULL, json_object() };
  g_ptr_array_add(items, item);
  json_object_del(item->wanted, "noun");
  if (!is_template(item))
    json_object_del(item->wanted, "name");
  return take_file(item, err);
}

static bool take_yaml(GPtrArray *items, const char *path, GError **err)
{
  gsize n;
  g_autofree char *text = read_all(path, &n, err);
  json_auto_t *documents = text ? yaml_read(path, text, n, err) : NULL;
  if (!documents)
    return false;
  size_t i;
  json_t *document;
  json_array_foreach(documents, i, document)
    if (!json_is_null(document) && !take_document(items, path, (int)i + 1, document, err))
      return false;
  return true;
}

static int by_kind(const void *a, const void *b)
{
  const Item *x = *(Item *const *)a, *y = *(Item *const *)b;
  return x->kind == y->kind ? strcmp(x->name, y->name) : x->kind < y->kind ? -1 : 1;
}

/* Every document of every file, in the order in which they need each other. NULL on failure. */
static GPtrArray *items_read(Command *c, GError **err)
{
  g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
  for (guint i = 0; i + 1 < c->flags->len; i += 2)
    if (!strcmp(c->flags->pdata[i], "file") && !take_yaml(items, c->flags->pdata[i + 1], err))
      return NULL;
  g_ptr_array_sort(items, by_kind);
  for (guint i = 1; i < items->len; i++)
    if (!by_kind(&items->pdata[i - 1], &items->pdata[i])) {
      GError *why = NULL;
      const Item *item = items->pdata[i];
      error_set(&why, REASON_EXISTS, "kind", schema_of(item)->noun, "name", item->name, NULL);
      refuse_item(item, why, err);
      return NULL;
    }
  return g_steal_pointer(&items);
}

/* ── comparing ────────────────────────────────────────────────────────────── */

/* The object of that name; of templates the newest version. */
static json_t *item_find(const Item *item, json_t *list)
{
  json_t *best = NULL, *object;
  size_t i;
  json_array_foreach(list, i, object) {
    const char *name = json_string_value(json_object_get(object, is_template(item) ? "family" : "name"));
    json_int_t version = json_integer_value(json_object_get(object, "version"));
    if (!g_strcmp0(name, item->name) && (!best || version > json_integer_value(json_object_get(best, "version"))))
      best = object;
  }
  return json_incref(best);
}

/* The wanted fields as Sarang would tell them, checked against their limits. NULL on failure. */
static json_t *item_normal(const Item *item, GError **err)
{
  const Schema *schema = schema_of(item);
  json_auto_t *fields = json_deep_copy(item->wanted);
  for (int i = 0; item->found && i < schema->n_fields; i++)
    if (schema->fields[i].flags & F_NEED && !json_object_get(fields, schema->fields[i].name))
      json_object_set(fields, schema->fields[i].name, json_object_get(item->found, schema->fields[i].name));
  g_autoptr(GString) text = g_string_new(NULL);
  Object *object = object_new(schema, kinds[item->kind].noun, item->name);
  bool ok = object_set_json(schema, object, fields, JSON_CREATE, err);
  if (ok)
    object_append_json(schema, object, text);
  object_unref(schema, object);
  return ok ? json_loadb(text->str, text->len, 0, NULL) : NULL;
}

static char *value_text(json_t *value)
{
  const char *text = json_string_value(value);
  if (text && (strchr(text, '\n') || strlen(text) > 60))
    return g_strdup_printf("%zu bytes", json_string_length(value));
  return text ? g_strdup(text) : value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : g_strdup("null");
}

static bool field_fixed(const Item *item, const char *field, json_t *wanted, GError **err)
{
  g_autofree char *is = value_text(json_object_get(item->found, field)), *says = value_text(wanted);
  return error_false(err, REASON_FIELD_FIXED, "kind", schema_of(item)->noun, "name", item->name, "field", field, "found", is, "wanted", says, NULL);
}

static bool item_compare(Item *item, GError **err)
{
  json_auto_t *normal = item_normal(item, err);
  if (!normal)
    return false;
  const char *field;
  json_t *unused;
  json_object_foreach(item->wanted, field, unused) {
    json_t *wanted = json_object_get(normal, field), *is = json_object_get(item->found, field);
    if (item->found && json_equal(wanted, is))
      continue;
    bool may = !item->found || is_template(item) || schema_field(schema_of(item), field)->flags & F_CHANGE;
    if (!may)
      return field_fixed(item, field, wanted, err);
    json_object_set(item->changes, field, wanted);
  }
  return true;
}

/* A template that will be sent is looked at as template add looks at one. */
static bool item_check(const Command *c, const Item *item, GError **err)
{
  bool sent = is_template(item) && (!item->found || json_object_size(item->changes));
  return !sent || template_add_check(c, item->wanted, err);
}

static bool items_compare(Command *c, GPtrArray *items, GError **err)
{
  json_t *lists[G_N_ELEMENTS(kinds)] = { NULL };
  bool ok = true;
  for (guint i = 0; i < items->len && ok; i++) {
    Item *item = items->pdata[i];
    json_auto_t *filters = json_object();
    ok = lists[item->kind] || command_ask_list(c, kinds[item->kind].list, filters, &lists[item->kind], NULL, err);
    item->found = ok ? item_find(item, lists[item->kind]) : NULL;
    GError *why = NULL;
    if (ok && (!item_compare(item, &why) || !item_check(c, item, &why)))
      ok = refuse_item(item, why, err);
  }
  for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
    json_decref(lists[k]);
  return ok;
}

/* ── telling ──────────────────────────────────────────────────────────────── */

static void print_item(const Item *item)
{
  bool versions = is_template(item) && item->found;
  printf("%s %s %s%s\n", item->found ? "~" : "+", schema_of(item)->noun, item->name, versions ? " (a new version)" : "");
  const char *field;
  json_t *value;
  json_object_foreach(item->changes, field, value) {
    g_autofree char *wanted = value_text(value), *is = value_text(json_object_get(item->found, field));
    if (item->found)
      printf("    %s: %s → %s\n", field, is, wanted);
    else
      printf("    %s: %s\n", field, wanted);
  }
}

static int print_items(const GPtrArray *items)
{
  int n = 0;
  for (guint i = 0; i < items->len; i++) {
    const Item *item = items->pdata[i];
    bool differs = !item->found || json_object_size(item->changes);
    if (differs)
      print_item(item);
    n += differs;
  }
  return n;
}

bool command_diff(Command *c, GError **err)
{
  g_autoptr(GPtrArray) items = items_read(c, err);
  if (!items || !items_compare(c, items, err))
    return false;
  c->status = print_items(items) ? 1 : 0;
  return true;
}

/* ── applying ─────────────────────────────────────────────────────────────── */

static bool item_apply(Command *c, const Item *item, GError **err)
{
  bool create = !item->found || is_template(item);
  ApiVerb verb = create ? kinds[item->kind].create : kinds[item->kind].change;
  json_auto_t *body = create ? json_deep_copy(item->wanted) : json_deep_copy(item->changes);
  g_autofree char *path = client_path(verb, item->name);
  if (create && !is_template(item))
    json_object_set_new(body, "name", json_string(item->name));
  int64_t generation = create ? 0 : json_integer_value(json_object_get(item->found, "generation"));
  return client_ask_if(&c->place, api_rows[verb].method, path, body, generation, NULL, err);
}

bool command_apply(Command *c, GError **err)
{
  g_autoptr(GPtrArray) items = items_read(c, err);
  if (!items || !items_compare(c, items, err))
    return false;
  int made = 0, changed = 0;
  for (guint i = 0; i < items->len; i++) {
    const Item *item = items->pdata[i];
    if (item->found && !json_object_size(item->changes))
      continue;
    if (!c->dry_run && !item_apply(c, item, err))
      return false;
    if (!c->quiet)
      print_item(item);
    *(item->found ? &changed : &made) += 1;
  }
  if (!c->quiet)
    fprintf(stderr, say(c->place.lang, "%d made, %d changed, %d as they were\n"), made, changed, (int)items->len - made - changed);
  return true;
}

/* ── exporting ────────────────────────────────────────────────────────────── */

static bool says_nothing(json_t *value)
{
  return !value || json_is_null(value) || json_is_false(value) || (json_is_array(value) && !json_array_size(value)) ||
         (json_is_integer(value) && !json_integer_value(value));
}

static void export_object(size_t k, json_t *object)
{
  const Schema *schema = &schemas[kinds[k].noun];
  json_auto_t *document = json_pack("{ss}", "noun", schema->noun);
  if (kinds[k].noun != NOUN_TEMPLATE)
    json_object_set(document, "name", json_object_get(object, "name"));
  for (int i = 0; i < schema->n_fields; i++) {
    json_t *value = json_object_get(object, schema->fields[i].name);
    if (schema->fields[i].flags & F_IN && !says_nothing(value))
      json_object_set(document, schema->fields[i].name, value);
  }
  puts("---");
  output_yaml(document);
}

static bool is_newest(json_t *object, json_t *list)
{
  const char *family = json_string_value(json_object_get(object, "family"));
  size_t i;
  json_t *other;
  json_array_foreach(list, i, other)
    if (!g_strcmp0(json_string_value(json_object_get(other, "family")), family) &&
        json_integer_value(json_object_get(other, "version")) > json_integer_value(json_object_get(object, "version")))
      return false;
  return true;
}

static bool export_kind(Command *c, size_t k, GError **err)
{
  json_auto_t *filters = json_object(), *list = NULL;
  if (!command_ask_list(c, kinds[k].list, filters, &list, NULL, err))
    return false;
  size_t i;
  json_t *object;
  json_array_foreach(list, i, object)
    if (kinds[k].noun != NOUN_TEMPLATE || is_newest(object, list))
      export_object(k, object);
  return true;
}

bool command_export(Command *c, GError **err)
{
  for (guint w = 0; w < c->words->len; w++)
    if (kind_find(c->words->pdata[w]) == G_N_ELEMENTS(kinds))
      return error_false(err, REASON_BAD_VALUE, "field", "NOUN", "value", c->words->pdata[w], "limit",
                         KINDS_LIMIT, NULL);
  g_ptr_array_add(c->words, NULL);
  for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
    bool wanted = c->words->len == 1 || g_strv_contains((const char *const *)c->words->pdata, schemas[kinds[k].noun].noun);
    if (wanted && !export_kind(c, k, err))
      return false;
  }
  return true;
}
