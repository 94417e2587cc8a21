/* sarang gpu tree, gpu watch: host → card → part → who has it. A part that no claim stands for is foreign, or has our mark and is nobody's. */
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/explain.h"
#include "cli/interrupt.h"
#include "core/text.h"
#include "core/words.h"

enum { SETTLE_US = 200000 }; /* changes come in groups: a tree for all of one */
enum { TREE_NAME, TREE_STATE, TREE_WHAT, TREE_OWNER, N_TREE_COLUMNS };

typedef struct {
  struct libscols_table *table;
  json_t *hosts, *gpus, *vgpus, *desktops;
  bool colored;
  Lang lang;
} Tree;

static const char *member(json_t *object, const char *name)
{
  const char *text = json_string_value(json_object_get(object, name));
  return text ? text : "";
}

static bool is(json_t *object, const char *name, const char *value) { return *value && !strcmp(member(object, name), value); }

/* noun: whose state it is; NULL = it has none. */
static struct libscols_line *add_line(Tree *t, struct libscols_line *parent, const char *noun, const char *const cells[N_TREE_COLUMNS])
{
  struct libscols_line *line = scols_table_new_line(t->table, parent);
  for (int i = 0; i < N_TREE_COLUMNS; i++) {
    const char *said = i == TREE_STATE && noun ? state_said(noun, cells[i], t->lang) : cells[i];
    g_autofree char *shown = text_dup_visible(said, 200);
    scols_line_set_data(line, (size_t)i, shown);
  }
  if (t->colored && *cells[TREE_STATE])
    scols_cell_set_color(scols_line_get_cell(line, TREE_STATE), output_state_color(cells[TREE_STATE]));
  return line;
}

/* NULL where there is none. */
static char *error_said(const Tree *t, json_t *object, const char *name)
{
  g_autoptr(GError) err = output_error(json_object_get(object, name));
  return err ? error_text(err, t->lang) : NULL;
}

/* ── parts ────────────────────────────────────────────────────────────────── */

static char *owner_of(const Tree *t, const char *desktop)
{
  size_t i;
  json_t *d;
  json_array_foreach(t->desktops, i, d)
    if (is(d, "name", desktop)) {
      const char *holder = *member(d, "session") ? member(d, "session") : member(d, "owner");
      return *holder ? g_strdup_printf("%s, %s", desktop, holder) : g_strdup(desktop);
    }
  return g_strdup(desktop);
}

static void add_claim(Tree *t, struct libscols_line *card, json_t *v)
{
  g_autofree char *owner = owner_of(t, member(v, "desktop"));
  const char *where = *member(v, "uuid") ? member(v, "uuid") : member(v, "address");
  g_autofree char *what = g_strdup_printf("%s %s", member(v, "type"), where), *error = error_said(t, v, "error");
  g_autofree char *whose = error ? g_strdup_printf("%s: %s", owner, error) : g_steal_pointer(&owner);
  add_line(t, card, "vgpu", (const char *[]){ member(v, "name"), member(v, "state"), what, whose });
}

/* A claim on a whole card names the card too: whole:1002:73a3. */
static bool is_of_type(json_t *part, json_t *v)
{
  const char *type = member(part, "type"), *claimed = member(v, "type");
  size_t n = strlen(type);
  return !strncmp(type, claimed, n) && (!claimed[n] || claimed[n] == ':');
}

/* As the controller holds them against each other: what is of another type, or begins elsewhere, is somebody else's in the claim's place. */
static bool is_part_of(json_t *part, json_t *v)
{
  json_t *start = json_object_get(part, "start");
  int64_t place = start ? json_integer_value(start) : -1, claimed = json_integer_value(json_object_get(v, "start"));
  if (!is_of_type(part, v) || (place >= 0 && claimed >= 0 && place != claimed))
    return false;
  if (!*member(part, "uuid") && !*member(part, "address"))
    return place >= 0 && place == claimed;
  return *member(part, "uuid") ? is(v, "uuid", member(part, "uuid")) : is(v, "address", member(part, "address"));
}

static bool has_claim(const Tree *t, json_t *gpu, json_t *part)
{
  size_t i;
  json_t *v;
  json_array_foreach(t->vgpus, i, v)
    if (is(v, "gpu", member(gpu, "name")) && is_part_of(part, v))
      return true;
  return false;
}

/* A part without a type is a function that nobody has. */
static void add_foreign(Tree *t, struct libscols_line *card, json_t *gpu, json_t *part)
{
  if (!*member(part, "type") || has_claim(t, gpu, part))
    return;
  const char *where = *member(part, "uuid") ? member(part, "uuid") : member(part, "address");
  g_autofree char *what = g_strdup_printf("%s %s", member(part, "type"), where);
  const char *whose = json_is_true(json_object_get(part, "marked")) ? "nobody's" : "foreign";
  add_line(t, card, NULL, (const char *[]){ say(t->lang, whose), "", what, "" });
}

static void add_card(Tree *t, struct libscols_line *host, json_t *gpu)
{
  g_autofree char *name = g_strdup_printf("%s %s", member(gpu, "name"), member(gpu, "address"));
  g_autofree char *used = g_strdup_printf(say(t->lang, "%d in use"), (int)json_integer_value(json_object_get(gpu, "used")));
  g_autofree char *what = g_strdup_printf("%s (%s), %s", *member(gpu, "model") ? member(gpu, "model") : word_noun("gpu", t->lang),
                                          word_value(&gpu_backend_names, member(gpu, "backend"), t->lang), used);
  g_autofree char *error = error_said(t, gpu, "error");
  struct libscols_line *card = add_line(t, host, "gpu", (const char *[]){ name, member(gpu, "state"), what, error ? error : "" });
  size_t i;
  json_t *each;
  json_array_foreach(t->vgpus, i, each)
    if (is(each, "gpu", member(gpu, "name")))
      add_claim(t, card, each);
  json_array_foreach(json_object_get(gpu, "parts"), i, each)
    if (!is(gpu, "state", "gone")) /* what it had when it was seen last is gone with it */
      add_foreign(t, card, gpu, each);
}

/* Hosts without cards are no part of this picture, but one whose cards could not be looked at says why. */
static void add_host(Tree *t, json_t *host)
{
  struct libscols_line *line = NULL;
  g_autofree char *error = error_said(t, host, "cards_error");
  size_t i;
  json_t *gpu;
  if (error)
    line = add_line(t, NULL, "host", (const char *[]){ member(host, "name"), member(host, "state"), error, "" });
  json_array_foreach(t->gpus, i, gpu) {
    if (!is(gpu, "host", member(host, "name")))
      continue;
    if (!line)
      line = add_line(t, NULL, "host", (const char *[]){ member(host, "name"), member(host, "state"), "", "" });
    add_card(t, line, gpu);
  }
}

/* ── the command ──────────────────────────────────────────────────────────── */

static struct libscols_table *table_new(const Command *c)
{
  static const char *const fields[N_TREE_COLUMNS] = { "name", "state", "type", "desktop" };
  struct libscols_table *table = scols_new_table();
  scols_table_enable_noheadings(table, c->no_headers);
  scols_table_enable_colors(table, output_is_colored(c->color));
  for (int i = 0; i < N_TREE_COLUMNS; i++) {
    const char *korean = word_column(fields[i], c->place.lang);
    g_autofree char *title = g_ascii_strup(korean ? korean : fields[i], -1);
    scols_table_new_column(table, title, 0, i == TREE_NAME ? SCOLS_FL_TREE : 0);
  }
  return table;
}

/* *ret_sequence, where it is not NULL: as of when. */
static json_t *ask(Command *c, ApiVerb verb, int64_t *ret_sequence, GError **err)
{
  json_auto_t *none = json_object();
  json_t *list = NULL;
  return command_ask_list(c, verb, none, &list, ret_sequence, err) ? list : NULL;
}

/* Owned by the caller; "" where no host has a card. */
static char *draw(Command *c, Tree *t)
{
  char *printed = NULL;
  t->table = table_new(c);
  t->colored = output_is_colored(c->color);
  size_t i;
  json_t *host;
  json_array_foreach(t->hosts, i, host)
    add_host(t, host);
  if (scols_table_get_nlines(t->table))
    scols_print_table_to_string(t->table, &printed); /* its last line has no end */
  scols_unref_table(t->table);
  char *text = g_strdup_printf("%s%s", printed ? printed : "", printed ? "\n" : "");
  free(printed);
  return text;
}

/* As draw(); NULL: err. *ret_sequence: what comes behind it may not be in the text. */
static char *tree_text(Command *c, int64_t *ret_sequence, GError **err)
{
  Tree t = { .lang = c->place.lang };
  if (c->form != OUTPUT_TABLE && c->form != OUTPUT_WIDE)
    return error_null(err, REASON_BAD_VALUE, "field", "--output", "value", output_form_name(c->form), "limit", "table or wide", NULL);
  bool ok = (t.hosts = ask(c, API_HOST_LIST, ret_sequence, err)) && (t.gpus = ask(c, API_GPU_LIST, NULL, err)) &&
            (t.vgpus = ask(c, API_VGPU_LIST, NULL, err)) && (t.desktops = ask(c, API_DESKTOP_LIST, NULL, err));
  char *text = ok ? draw(c, &t) : NULL;
  json_decref(t.hosts);
  json_decref(t.gpus);
  json_decref(t.vgpus);
  json_decref(t.desktops);
  return text;
}

/* Programs have the lists themselves: gpu list, vgpu list. */
bool command_gpu_tree(Command *c, GError **err)
{
  g_autofree char *text = tree_text(c, NULL, err);
  if (text)
    fputs(text, stdout);
  return text != NULL;
}

static void show_again(const char *text, bool first)
{
  if (isatty(STDOUT_FILENO))
    fputs("\033[H\033[2J\033[3J", stdout); /* home, what is seen, what was scrolled away */
  else if (!first)
    putchar('\n');
  fputs(text, stdout);
  fflush(stdout);
}

bool command_gpu_watch(Command *c, GError **err)
{
  volatile sig_atomic_t *stop = interrupt_flag();
  g_autofree char *shown = NULL;
  bool ok = true;
  while (ok && !*stop) {
    int64_t sequence = 0;
    char *text = tree_text(c, &sequence, err);
    if (text && (!shown || strcmp(text, shown) != 0))
      show_again(text, !shown);
    g_free(shown);
    shown = text;
    ok = text && command_await_change(c, "host,gpu,vgpu,desktop", sequence, err);
    if (ok && !*stop)
      g_usleep(SETTLE_US);
  }
  return ok;
}
