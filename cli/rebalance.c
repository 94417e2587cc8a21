/* sarang plan rebalance: which desktops live migration would have to move, what cannot be moved and why. They move with --apply alone. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/output.h"

enum { MOVES_TOLD = 20 };

static const char *text_of(json_t *object, const char *name)
{
  const char *text = json_string_value(json_object_get(object, name));
  return text ? text : "";
}

static int number_of(json_t *object, const char *name) { return (int)json_integer_value(json_object_get(object, name)); }

static void print_reached(json_t *plan, Lang lang)
{
  int moves = number_of(plan, "moves_in_all");
  const char *host = text_of(plan, "host"), *what = *text_of(plan, "pool") ? text_of(plan, "pool") : text_of(plan, "profile");
  if (!moves && number_of(plan, "under_way"))
    printf(say(lang, "host %s is free once what is on its way has arrived"), host);
  else if (!moves)
    printf(*host ? say(lang, "host %s is free as it is") : say(lang, "%s has a place as it is"), *host ? host : what);
  else if (*host)
    printf(say(lang, "host %s is free after %d moves, %d MiB of memory over the network"), host, moves, number_of(plan, "memory_mib"));
  else
    printf(say(lang, "%s has a place after %d moves, %d MiB of memory over the network"), what, moves, number_of(plan, "memory_mib"));
  printf("\n");
}

static void print_under_way(json_t *plan, Lang lang)
{
  int n = number_of(plan, "under_way");
  if (!n)
    return;
  printf(say(lang, "%d desktops are on their way from it already"), n);
  printf("\n");
}

/* What a host does not take now is not begun later by itself. */
static void print_begun(json_t *plan, Lang lang)
{
  int begun = number_of(plan, "begun"), all = number_of(plan, "moves_in_all");
  if (!json_object_get(plan, "begun"))
    return;
  printf(say(lang, "%d of %d moves begun: sarang task list"), begun, all);
  printf("\n");
  if (begun < all)
    puts(say(lang, "the rest is not begun: ask again when these have arrived, or have a host emptied to the end: sarang host drain HOST --migrate"));
}

/* Behind it the task that makes it, or why it is not begun, where they were to be made. */
static void print_move(json_t *move, int number)
{
  const char *task = text_of(move, "task"), *why = text_of(json_object_get(move, "reason"), "text");
  printf("%6d  %-10s %s → %s  %d MiB%s%s\n", number, text_of(move, "desktop"), text_of(move, "from"), text_of(move, "to"),
         number_of(move, "memory_mib"), *task || *why ? "  " : "", *task ? task : why);
}

static void print_moves(json_t *plan, Lang lang)
{
  size_t i;
  json_t *move;
  json_array_foreach(json_object_get(plan, "moves"), i, move)
    if (i < MOVES_TOLD)
      print_move(move, (int)i + 1);
  int rest = number_of(plan, "moves_in_all") - MOVES_TOLD;
  if (rest > 0)
    printf("%6d × %s\n", rest, say(lang, "more moves"));
  print_begun(plan, lang);
}

static void print_stays(json_t *plan)
{
  size_t i, k;
  json_t *row, *name;
  json_array_foreach(json_object_get(plan, "stays"), i, row) {
    json_t *names = json_object_get(row, "desktops");
    g_autoptr(GString) line = g_string_new(NULL);
    json_array_foreach(names, k, name)
      g_string_append_printf(line, "%s%s", k ? ", " : "", json_string_value(name));
    if ((int)json_array_size(names) < number_of(row, "n") && line->len)
      g_string_append(line, " …");
    printf("%6d × %s%s%s\n", number_of(row, "n"), line->str, line->len ? ": " : "", text_of(json_object_get(row, "reason"), "text"));
  }
}

static void rebalance_print(json_t *plan, Lang lang)
{
  json_t *refused = json_object_get(plan, "reason");
  if (refused)
    printf("%s\n", text_of(refused, "text"));
  else
    print_reached(plan, lang);
  print_under_way(plan, lang);
  print_moves(plan, lang);
  if (json_array_size(json_object_get(plan, "stays")))
    printf("%s\n", say(lang, "What stays where it is:"));
  print_stays(plan);
}

bool command_plan_rebalance(Command *c, GError **err)
{
  json_auto_t *body = json_object(), *plan = NULL;
  bool people = c->form == OUTPUT_TABLE || c->form == OUTPUT_WIDE;
  static const char *const texts[] = { "host", "pool", "profile" };
  for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
    if (command_flag(c, texts[i]))
      json_object_set_new(body, texts[i], json_string(command_flag(c, texts[i])));
  if (command_flag(c, "apply"))
    json_object_set_new(body, "apply", json_true());
  if (!people)
    c->place.lang = LANG_EN;
  g_autofree char *path = client_path(API_HOST_REBALANCE, NULL);
  if (!client_ask(&c->place, METHOD_POST, path, body, &plan, NULL, err))
    return false;
  if (people) {
    rebalance_print(plan, c->place.lang);
    return true;
  }
  OutputStyle style = { .form = c->form, .headers = !c->no_headers, .lang = LANG_EN };
  output_print(&style, NOUN_HOST, plan);
  return true;
}
