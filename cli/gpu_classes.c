/* sarang gpu classes, gpu release: what people ask for, held against the cards there are; and a claim that is freed, named by itself or by its
 * place. */
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "core/accepts.h"
#include "core/text.h"
#include "core/words.h"

enum { CLASS_NAME, CLASS_CARD, CLASS_FREE, CLASS_CLAIMED, N_CLASS_COLUMNS };

static const char *member(json_t *object, const char *name)
{
  const char *text = json_string_value(json_object_get(object, name));
  return text ? text : "";
}

static bool is(json_t *object, const char *name, const char *value) { return *value && !strcmp(member(object, name), value); }

static int number(json_t *object, const char *name) { return (int)json_integer_value(json_object_get(object, name)); }

static void add(json_t *object, const char *name, int n) { json_object_set_new(object, name, json_integer(number(object, name) + n)); }

/* ── what a class could be given ──────────────────────────────────────────── */

typedef struct {
  json_t *classes, *gpus, *vgpus;
} Known;

/* As a class names it: of a whole card the card itself. Owned by the caller. */
static char *type_name(json_t *gpu, json_t *type)
{
  return is(gpu, "backend", "whole") ? g_strdup_printf("whole:%s", member(gpu, "pci_id")) : g_strdup(member(type, "id"));
}

/* Its row in the class: one a type and model of card. Borrowed. */
static json_t *row_of(json_t *class, const char *type, const char *model)
{
  json_t *rows = json_object_get(class, "types"), *row;
  size_t i;
  json_array_foreach(rows, i, row)
    if (!strcmp(member(row, "type"), type) && !strcmp(member(row, "model"), model))
      return row;
  json_array_append_new(rows, json_pack("{ss ss si si si}", "type", type, "model", model, "cards", 0, "free", 0, "claimed", 0));
  return json_array_get(rows, json_array_size(rows) - 1);
}

static bool is_shown(json_t *gpu, json_t *v)
{
  size_t i;
  json_t *part;
  json_array_foreach(json_object_get(gpu, "parts"), i, part)
    if (*member(part, "type") && (is(part, "uuid", member(v, "uuid")) || is(part, "address", member(v, "address"))))
      return true;
  return false;
}

/* The next generation's claim is in the very place of one that is let go of. */
static bool is_succeeded(const Known *f, json_t *v)
{
  size_t i;
  json_t *next;
  json_array_foreach(f->vgpus, i, next)
    if (is(next, "gpu", member(v, "gpu")) && is(next, "state", "claimed") && is(next, "address", member(v, "address")))
      return true;
  return false;
}

/* What was claimed on the card and is not made there yet, or was let go of and waits for its reset: the card counts it as free. */
static int unmade_on(const Known *f, json_t *gpu)
{
  int n = 0;
  size_t i;
  json_t *v;
  json_array_foreach(f->vgpus, i, v) {
    bool waits = is(v, "state", "releasing") && !is_shown(gpu, v) && !is_succeeded(f, v);
    n += is(v, "gpu", member(gpu, "name")) && (waits || is(v, "state", "claimed"));
  }
  return n;
}

static bool gives(json_t *gpu)
{
  bool own_screen = json_is_true(json_object_get(gpu, "console")) && !json_is_true(json_object_get(gpu, "give_console"));
  return is(gpu, "state", "ready") && !own_screen;
}

static bool is_accepted(json_t *class, const char *const *accepts, json_t *gpu, json_t *type, const char *name)
{
  bool screen = !is(class, "display", "off");
  int heads = number(type, "heads");
  return accepts_type(accepts, name, number(type, "framebuffer_mib")) && (!screen || is(gpu, "backend", "mdev")) &&
         (!heads || heads >= number(class, "heads"));
}

/* Of several types that the card has for the class, the one that goes most often says how many more it could give. */
static void card_count(const Known *f, json_t *class, const char *const *accepts, json_t *gpu)
{
  int unmade = unmade_on(f, gpu), best = 0;
  size_t i;
  json_t *type;
  json_array_foreach(json_object_get(gpu, "types"), i, type) {
    g_autofree char *name = type_name(gpu, type);
    if (!is_accepted(class, accepts, gpu, type, name))
      continue;
    int more = gives(gpu) ? MAX(number(type, "free") - unmade, 0) : 0;
    json_t *row = row_of(class, name, member(gpu, "model"));
    add(row, "cards", 1);
    add(row, "free", more);
    best = MAX(best, more);
  }
  add(class, "free", best);
}

static const char *model_of(const Known *f, const char *gpu)
{
  size_t i;
  json_t *each;
  json_array_foreach(f->gpus, i, each)
    if (is(each, "name", gpu))
      return member(each, "model");
  return "";
}

static void claims_count(const Known *f, json_t *class)
{
  size_t i;
  json_t *v;
  json_array_foreach(f->vgpus, i, v) {
    if (!is(v, "class", member(class, "name")) || is(v, "state", "releasing"))
      continue;
    add(row_of(class, member(v, "type"), model_of(f, member(v, "gpu"))), "claimed", 1);
    add(class, "claimed", 1);
  }
}

/* A name that no known card has stays in sight. */
static void unknown_add(json_t *class)
{
  size_t i, k;
  json_t *entry, *row;
  json_array_foreach(json_object_get(class, "accepts"), i, entry) {
    bool known = accepts_mib(json_string_value(entry)) && json_array_size(json_object_get(class, "types"));
    json_array_foreach(json_object_get(class, "types"), k, row)
      known = known || is(row, "type", json_string_value(entry));
    if (!known)
      row_of(class, json_string_value(entry), "");
  }
}

static void class_count(const Known *f, json_t *class)
{
  g_autoptr(GPtrArray) accepts = g_ptr_array_new();
  size_t i;
  json_t *each;
  json_array_foreach(json_object_get(class, "accepts"), i, each)
    g_ptr_array_add(accepts, (char *)json_string_value(each));
  g_ptr_array_add(accepts, NULL);
  json_object_set_new(class, "free", json_integer(0));
  json_object_set_new(class, "claimed", json_integer(0));
  json_object_set_new(class, "types", json_array());
  json_array_foreach(f->gpus, i, each)
    card_count(f, class, (const char *const *)accepts->pdata, each);
  claims_count(f, class);
  unknown_add(class);
}

/* ── gpu classes ──────────────────────────────────────────────────────────── */

static struct libscols_line *add_line(struct libscols_table *table, struct libscols_line *parent, const char *const cells[2], json_t *counts)
{
  struct libscols_line *line = scols_table_new_line(table, parent);
  g_autofree char *name = text_dup_visible(cells[0], 200), *card = text_dup_visible(cells[1], 200);
  g_autofree char *more = g_strdup_printf("%d", number(counts, "free")), *claimed = g_strdup_printf("%d", number(counts, "claimed"));
  scols_line_set_data(line, CLASS_NAME, name);
  scols_line_set_data(line, CLASS_CARD, card);
  scols_line_set_data(line, CLASS_FREE, more);
  scols_line_set_data(line, CLASS_CLAIMED, claimed);
  return line;
}

static void add_class(struct libscols_table *table, json_t *class, Lang lang)
{
  struct libscols_line *line = add_line(table, NULL, (const char *[]){ member(class, "name"), "" }, class);
  size_t i;
  json_t *row;
  json_array_foreach(json_object_get(class, "types"), i, row) {
    const char *model = *member(row, "model") ? member(row, "model") : word_noun("gpu", lang);
    bool any = number(row, "cards") || number(row, "claimed");
    g_autofree char *cards = any ? g_strdup_printf("%d × %s", number(row, "cards"), model) : g_strdup(say(lang, "no known card has it"));
    add_line(table, line, (const char *[]){ member(row, "type"), cards }, row);
  }
}

static void print_classes(const Command *c, json_t *classes)
{
  Lang lang = c->place.lang;
  const char *const titles[N_CLASS_COLUMNS] = { say(lang, "CLASS, TYPES"), say(lang, "CARDS"), say(lang, "FREE"), say(lang, "CLAIMED") };
  struct libscols_table *table = scols_new_table();
  char *printed = NULL;
  size_t i;
  json_t *class;
  scols_table_enable_noheadings(table, c->no_headers);
  for (int k = 0; k < N_CLASS_COLUMNS; k++)
    scols_table_new_column(table, titles[k], 0, k == CLASS_NAME ? SCOLS_FL_TREE : k >= CLASS_FREE ? SCOLS_FL_RIGHT : 0);
  json_array_foreach(classes, i, class)
    add_class(table, class, lang);
  if (scols_table_get_nlines(table))
    scols_print_table_to_string(table, &printed);
  scols_unref_table(table);
  if (printed)
    puts(printed);
  else if (!c->quiet)
    fprintf(stderr, "%s\n", say(lang, "no GPU classes yet: sarang gpu-class add NAME --accepts TYPE,…"));
  free(printed);
}

static json_t *ask(Command *c, ApiVerb verb, GError **err)
{
  json_auto_t *none = json_object();
  json_t *list = NULL;
  return command_ask_list(c, verb, none, &list, NULL, err) ? list : NULL;
}

bool command_gpu_classes(Command *c, GError **err)
{
  json_auto_t *classes = ask(c, API_GPU_CLASS_LIST, err), *gpus = classes ? ask(c, API_GPU_LIST, err) : NULL;
  json_auto_t *vgpus = gpus ? ask(c, API_VGPU_LIST, err) : NULL;
  if (!vgpus)
    return false;
  const Known known = { classes, gpus, vgpus };
  size_t i;
  json_t *class;
  json_array_foreach(classes, i, class)
    class_count(&known, class);
  if (c->form == OUTPUT_TABLE || c->form == OUTPUT_WIDE) {
    print_classes(c, classes);
    return true;
  }
  OutputStyle style = { .form = c->form, .columns = c->columns, .headers = !c->no_headers, .lang = LANG_EN };
  output_print(&style, NOUN_GPU_CLASS, classes);
  return true;
}

/* ── gpu release ──────────────────────────────────────────────────────────── */

/* A part as gpu tree and gpu show name it: by UUID, by the function's address, or by its place on the card. NULL = whatever it is. */
static bool is_part(json_t *v, const char *part)
{
  g_autofree char *place = g_strdup_printf("%d", number(v, "start"));
  return !part || is(v, "uuid", part) || is(v, "address", part) || (number(v, "start") >= 0 && !strcmp(place, part));
}

/* The one claim on that part of the card; owned by the caller. */
static json_t *claim_on(Command *c, const char *gpu, const char *part, GError **err)
{
  json_auto_t *filters = json_pack("{ss}", "gpu", gpu), *list = NULL;
  g_autoptr(GString) names = g_string_new("");
  json_t *found = NULL, *v;
  size_t i, n = 0;
  if (!command_ask_list(c, API_VGPU_LIST, filters, &list, NULL, err))
    return NULL;
  json_array_foreach(list, i, v)
    if (is_part(v, part)) {
      found = v;
      g_string_append_printf(names, "%s%s", n++ ? ", " : "", member(v, "name"));
    }
  if (n == 1)
    return json_incref(found);
  if (n)
    return error_null(err, REASON_BAD_VALUE, "field", "PART", "value", part ? part : "", "limit", names->str, NULL);
  g_autofree char *what = g_strdup_printf("%s%s%s", gpu, part ? " " : "", part ? part : "");
  return error_null(err, REASON_NOT_FOUND, "kind", "vgpu", "name", what, NULL);
}

static json_t *claim_meant(Command *c, const char *name, const char *part, GError **err)
{
  bool card = part || g_str_has_prefix(name, "g-");
  g_autofree char *path = card ? NULL : client_path(API_VGPU_SHOW, name);
  json_t *claim = NULL;
  if (card)
    return claim_on(c, name, part, err);
  return client_ask(&c->place, METHOD_GET, path, NULL, &claim, NULL, err) ? claim : NULL;
}

/* vgpu release, which wants the generation named: here it is the one that is seen. */
bool command_gpu_release(Command *c, GError **err)
{
  const char *part = c->words->len > 1 ? c->words->pdata[1] : NULL;
  json_auto_t *claim = claim_meant(c, c->words->pdata[0], part, err);
  if (!claim)
    return false;
  g_ptr_array_set_size(c->words, 0);
  g_ptr_array_add(c->words, g_strdup(member(claim, "name")));
  if (!command_flag(c, "clone")) {
    g_ptr_array_add(c->flags, g_strdup("clone"));
    g_ptr_array_add(c->flags, g_strdup_printf("%d", number(claim, "clone")));
  }
  c->verb = API_VGPU_RELEASE;
  return command_run_api(c, err);
}
