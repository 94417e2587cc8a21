/* sarang status: what is in trouble, since when and what would help; then how many of everything are in which state. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/explain.h"
#include "core/text.h"
#include "core/words.h"

enum { TROUBLES_SHOWN = 5, LABEL_COLUMNS = 11 };

/* States that ask for somebody, the worst first. */
static const struct { Noun noun; const char *state; } bad_states[] = {
  { NOUN_HOST, "unreachable" }, { NOUN_HOST, "fenced" },        { NOUN_POOL, "restrained" },  { NOUN_DESKTOP, "quarantined" },
  { NOUN_DESKTOP, "error" },    { NOUN_IMAGE, "failed" },       { NOUN_TASK, "waiting" },
  { NOUN_GPU, "broken" },       { NOUN_GPU, "gone" },
};

static json_int_t count_of(json_t *status, Noun noun, const char *state)
{
  json_t *states = json_object_get(json_object_get(status, "states"), schemas[noun].plural);
  return json_integer_value(json_object_get(states, state));
}

/* ── what is in trouble ───────────────────────────────────────────────────── */

static void add_troubles_of(Command *c, Noun noun, const char *state, json_t *troubles, Lang lang)
{
  json_auto_t *filters = json_pack("{ss si}", "state", state, "limit", TROUBLES_SHOWN), *list = NULL;
  g_autoptr(GError) silent = NULL;
  if (!command_ask_list(c, api_find_words(schemas[noun].noun, "list"), filters, &list, NULL, &silent))
    return;
  size_t i;
  json_t *object;
  json_array_foreach(list, i, object)
    json_array_append_new(troubles, explain_summary(noun, object, lang));
}

void status_add_troubles(Command *c, json_t *status, Lang lang)
{
  json_t *troubles = json_array();
  for (size_t i = 0; i < G_N_ELEMENTS(bad_states); i++)
    if (count_of(status, bad_states[i].noun, bad_states[i].state))
      add_troubles_of(c, bad_states[i].noun, bad_states[i].state, troubles, lang);
  json_object_set_new(status, "trouble", troubles);
}

static const char *member(json_t *json, const char *name)
{
  const char *text = json_string_value(json_object_get(json, name));
  return text ? text : "";
}

static void print_visible(const char *indent, const char *text)
{
  g_autofree char *visible = text_dup_visible(text, 600);
  printf("%s%s\n", indent, visible);
}

static void print_trouble(json_t *trouble, Lang lang)
{
  const char *kind = member(trouble, "kind"), *why = *member(trouble, "why") ? member(trouble, "why") : member(trouble, "means");
  g_autofree char *age = age_of(member(trouble, "since"), lang);
  g_autofree char *how_long = g_strdup_printf(say(lang, "for %s"), age);
  g_autofree char *head = g_strdup_printf("%s %s: %s %s · %s", word_noun(kind, lang), member(trouble, "name"),
                                          state_said(kind, member(trouble, "state"), lang), how_long, why);
  print_visible("! ", head);
  json_t *fixes = json_object_get(trouble, "fixes");
  const char *last = json_string_value(json_array_get(fixes, json_array_size(fixes) - 1)); /* of the state: it names the command */
  if (last)
    print_visible("    ", last);
}

/* Those that were not asked for one by one. */
static void print_rest(json_t *status, Lang lang)
{
  for (size_t i = 0; i < G_N_ELEMENTS(bad_states); i++) {
    const char *noun = schemas[bad_states[i].noun].noun;
    json_int_t more = count_of(status, bad_states[i].noun, bad_states[i].state) - TROUBLES_SHOWN;
    if (more > 0)
      printf(say(lang, "! and %d more: sarang %s list --state %s\n"), (int)more, noun, bad_states[i].state);
  }
}

static void print_troubles(json_t *status, Lang lang)
{
  json_t *store = json_object_get(status, "store"), *trouble;
  size_t i;
  if (!strcmp(member(store, "state"), "failed"))
    printf(say(lang, "! nothing can be changed: %s\n"), member(store, "error"));
  json_array_foreach(json_object_get(status, "trouble"), i, trouble)
    print_trouble(trouble, lang);
  print_rest(status, lang);
}

/* ── how many of everything ───────────────────────────────────────────────── */

static void print_label(const char *label)
{
  print_padded(label, LABEL_COLUMNS);
}

static void print_states(Noun noun, json_t *states, Lang lang)
{
  g_autoptr(GString) line = g_string_new(NULL);
  const char *state;
  json_t *n;
  json_object_foreach(states, state, n) {
    bool held = lang == LANG_EN && noun == NOUN_DESKTOP && !strcmp(state, "used");
    append_count(line, json_integer_value(n), held ? "in use" : state_said(schemas[noun].noun, state, lang), lang);
  }
  print_label(lang == LANG_KO ? word_noun(schemas[noun].noun, lang) : schemas[noun].plural);
  puts(line->len ? line->str : say(lang, "none"));
}

static void print_gateways(json_t *gateways, Lang lang)
{
  size_t i;
  json_t *gateway;
  json_array_foreach(gateways, i, gateway) {
    print_label(i ? "" : say(lang, "gateways"));
    g_autofree char *heard = duration_text(json_integer_value(json_object_get(gateway, "heard_s")), lang);
    printf(say(lang, "%s · heard of %s ago · %d consoles\n"), member(gateway, "name"), heard,
           (int)json_integer_value(json_object_get(gateway, "consoles")));
  }
  if (!json_array_size(gateways)) {
    print_label(say(lang, "gateways"));
    puts(say(lang, "none was heard of"));
  }
}

void status_print(json_t *status, Lang lang)
{
  g_autofree char *up = duration_text(json_integer_value(json_object_get(status, "uptime_s")), lang);
  json_t *states = json_object_get(status, "states");
  print_troubles(status, lang);
  printf(say(lang, "sarang %s · up for %s\n"), member(status, "version"), up);
  if (!states) /* not for everyone */
    return;
  static const Noun nouns[] = { NOUN_HOST, NOUN_POOL, NOUN_DESKTOP, NOUN_SESSION, NOUN_TASK, NOUN_IMAGE };
  for (size_t i = 0; i < G_N_ELEMENTS(nouns); i++)
    print_states(nouns[i], json_object_get(states, schemas[nouns[i]].plural), lang);
  print_label(say(lang, "store"));
  puts(strcmp(member(json_object_get(status, "store"), "state"), "ok") ? say(lang, "failed: nothing can be changed") : say(lang, "takes changes"));
  print_gateways(json_object_get(status, "gateways"), lang);
}
