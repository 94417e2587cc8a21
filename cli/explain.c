/* sarang explain: where an object is in its life, since when, why, what happens next, and what would help; told from
 * states.def, the object's own reasons, what it hangs on, and the events about it. And the fields of a kind. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/explain.h"
#include "core/text.h"
#include "core/words.h"

enum { CLAIMS_MOST = 8, EVENTS_MOST = 8, DENIALS_MOST = 5, LABEL_COLUMNS = 9 };

#define DENIED "session.denied"

const StateText state_texts[] = {
#define X(noun, state, means_en, means_ko, next_en, next_ko, fix_en, fix_ko) \
  { NOUN_##noun, state, { means_en, means_ko }, { next_en, next_ko }, { fix_en, fix_ko } },
#include "cli/states.def"
#undef X
  { N_NOUNS },
};

const StateText *state_text_find(Noun noun, const char *state)
{
  for (const StateText *t = state_texts; t->noun != N_NOUNS; t++)
    if (t->noun == noun && !strcmp(t->state, state))
      return t;
  return NULL;
}

bool state_text_find_any(Noun noun)
{
  for (const StateText *t = state_texts; t->noun != N_NOUNS; t++)
    if (t->noun == noun)
      return true;
  return false;
}

static const char *member(json_t *json, const char *name)
{
  const char *text = json_string_value(json_object_get(json, name));
  return text ? text : "";
}

/* {field} of template by what the object has there. */
static char *filled(const char *template, Noun noun, json_t *object, Lang lang)
{
  GString *out = g_string_new(NULL);
  for (const char *c = template; *c; c++) {
    const char *end = *c == '{' ? strchr(c, '}') : NULL;
    if (!end) {
      g_string_append_c(out, *c);
      continue;
    }
    g_autofree char *field = g_strndup(c + 1, end - c - 1);
    g_autofree char *value = output_value(noun, field, json_object_get(object, field), lang);
    g_string_append(out, value);
    c = end;
  }
  return g_string_free(out, FALSE);
}

GError *error_of_object(json_t *object) { return output_error(json_object_get(object, "error")); }

/* ── since when ───────────────────────────────────────────────────────────── */

/* Fields that tell when a state began. */
static const char *since_of(Noun noun, json_t *object)
{
  static const struct { const char *state, *field; } sessions[] = {
    { "queued", "created" }, { "offered", "assigned" }, { "assigned", "assigned" },
    { "active", "connected" }, { "disconnected", "disconnected" }, { "ended", "ended" },
  };
  for (size_t i = 0; noun == NOUN_SESSION && i < G_N_ELEMENTS(sessions); i++)
    if (!strcmp(sessions[i].state, member(object, "state")) && *member(object, sessions[i].field))
      return member(object, sessions[i].field);
  const char *since = noun == NOUN_TASK && *member(object, "ended") ? member(object, "ended") : member(object, "since");
  return *since ? since : member(object, "changed");
}

char *duration_text(int64_t seconds, Lang lang)
{
  static const struct { int64_t s, part_s; const char *unit, *part; } units[] = {
    { 86400, 3600, "d", "h" }, { 3600, 60, "h", "min" }, { 60, 1, "min", "s" },
  };
  const char *blank = lang == LANG_KO ? "" : " ";
  for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
    if (seconds >= units[i].s)
      return g_strdup_printf("%d%s%s %d%s%s", (int)(seconds / units[i].s), blank, say(lang, units[i].unit),
                             (int)(seconds % units[i].s / units[i].part_s), blank, say(lang, units[i].part));
  return g_strdup_printf("%d%s%s", (int)MAX(seconds, 0), blank, say(lang, "s"));
}

char *age_of(const char *time, Lang lang)
{
  g_autoptr(GDateTime) then = g_date_time_new_from_iso8601(time, NULL);
  g_autoptr(GDateTime) now = g_date_time_new_now_utc();
  return then ? duration_text(g_date_time_difference(now, then) / G_USEC_PER_SEC, lang) : g_strdup("?");
}

/* ── one object ───────────────────────────────────────────────────────────── */

/* States name what was decided, not how it stands at the moment: a desktop that is somebody's may be off, and a session's may be away. */
static const char *held_word(Noun noun, json_t *object)
{
  static const struct { const char *code, *word; } away[] = {
    { "desktop-away", "lost" }, { "desktop-vanished", "vanished" }, { "desktop-elsewhere", "elsewhere" },
  };
  static const char *const held[] = { "offered", "assigned", "used", "connecting", "active", "disconnected", "warned", NULL };
  json_t *error = json_object_get(object, "error");
  if ((noun != NOUN_SESSION && noun != NOUN_DESKTOP) || !g_strv_contains(held, member(object, "state")))
    return NULL;
  for (size_t i = 0; i < G_N_ELEMENTS(away); i++)
    if (!strcmp(member(error, "code"), away[i].code))
      return away[i].word;
  if (noun == NOUN_DESKTOP)
    return strcmp(member(object, "power"), "on") != 0 ? member(object, "power") : NULL;
  if (json_is_true(json_object_get(object, "ready")))
    return NULL;
  return !strcmp(member(error, "code"), "desktop-off") ? member(json_object_get(error, "args"), "state") : "preparing";
}

/* What it lacks is a part of a graphics card; its host answers. */
static bool lacks_part(Noun noun, json_t *object)
{
  static const char *const codes[] = { "gpu-part-missing", "gpu-left", "gpu-card-bad", "gpu-changed", NULL };
  bool lost = noun == NOUN_SESSION || (noun == NOUN_DESKTOP && !strcmp(member(object, "state"), "lost"));
  return lost && g_strv_contains(codes, member(json_object_get(object, "error"), "code"));
}

/* A host that is emptied by moving, or does not come up for another reason than silence; a task that has nothing behind it; who is not let in for
 * want of a card. */
static const char *first_word(Noun noun, json_t *object)
{
  json_t *error = json_object_get(object, "error");
  const char *state = member(object, "state");
  if (lacks_part(noun, object))
    return "partless";
  if (noun == NOUN_TASK)
    return !strcmp(state, "waiting") && !json_is_object(error) ? "delayed" : NULL;
  if (noun == NOUN_HOST && !strcmp(state, "draining") && json_is_true(json_object_get(object, "leaving")))
    return "leaving";
  if (noun != NOUN_HOST || strcmp(state, "unreachable") != 0)
    return NULL;
  return !strcmp(member(error, "code"), "exists") ? "twin" : !*member(object, "seen") ? "unanswered" : NULL;
}

static const StateText *state_text_of(Noun noun, json_t *object)
{
  const char *first = first_word(noun, object), *word = first ? first : held_word(noun, object);
  const StateText *now = word ? state_text_find(noun, word) : NULL;
  return now ? now : state_text_find(noun, member(object, "state"));
}

json_t *explain_summary(Noun noun, json_t *object, Lang lang)
{
  const StateText *text = state_text_of(noun, object);
  g_autoptr(GError) error = error_of_object(object);
  g_autofree char *means = filled(text ? text->means[lang] : "", noun, object, lang);
  g_autofree char *next = filled(text ? text->next[lang] : "", noun, object, lang);
  g_autofree char *own_fix = filled(text ? text->fix[lang] : "", noun, object, LANG_EN); /* it is typed */
  g_autofree char *why = error ? error_text(error, lang) : NULL, *fix = error ? error_fix(error, lang) : NULL;
  json_t *all = json_pack("{ss ss ss ss ss}", "kind", schemas[noun].noun, "name", member(object, "name"), "state", member(object, "state"),
                          "since", since_of(noun, object), "means", means);
  json_object_set_new(all, "why", why ? json_string(why) : json_null());
  json_object_set_new(all, "next", *next ? json_string(next) : json_null());
  json_t *fixes = json_array();
  json_object_set_new(all, "fixes", fixes);
  if (fix && *fix)
    json_array_append_new(fixes, json_string(fix));
  if (*own_fix && g_strcmp0(fix, own_fix) != 0)
    json_array_append_new(fixes, json_string(own_fix));
  return all;
}

/* What an operator took out of a desktop as it ran; NULL where nothing is out. */
static json_t *unplugged_of(Noun noun, json_t *object, Lang lang)
{
  if (noun != NOUN_DESKTOP || !json_integer_value(json_object_get(object, "unplugged")))
    return NULL;
  const StateText *text = state_text_find(noun, "unplugged");
  g_autofree char *means = filled(text->means[lang], noun, object, lang);
  g_autofree char *fix = filled(text->fix[lang], noun, object, LANG_EN);
  return json_pack("{ss ss ss}", "means", means, "next", text->next[lang], "fix", fix);
}

/* Why desktops do not move: those of a host that is to be empty, or those that would make room for a pool. NULL where there is nothing to say. */
static json_t *moves_of(Noun noun, json_t *object, Lang lang)
{
  const char *field = noun == NOUN_HOST ? "stays" : "rebalance_error";
  g_autoptr(GError) error = noun == NOUN_HOST || noun == NOUN_POOL ? output_error(json_object_get(object, field)) : NULL;
  if (!error)
    return NULL;
  g_autofree char *why = error_text(error, lang), *fix = error_fix(error, lang);
  return json_pack("{ss ss*}", "why", why, "fix", fix);
}

/* Objects that a noun's object hangs on: its field and what that names. */
static const struct { Noun noun; const char *field; Noun other; } links[] = {
  { NOUN_SESSION, "desktop", NOUN_DESKTOP }, { NOUN_SESSION, "task", NOUN_TASK },       { NOUN_SESSION, "pool", NOUN_POOL },
  { NOUN_DESKTOP, "task", NOUN_TASK },       { NOUN_DESKTOP, "session", NOUN_SESSION }, { NOUN_DESKTOP, "host", NOUN_HOST },
  { NOUN_DESKTOP, "pool", NOUN_POOL },       { NOUN_IMAGE, "task", NOUN_TASK },       { NOUN_GPU, "host", NOUN_HOST },
  { NOUN_VGPU, "gpu", NOUN_GPU },            { NOUN_VGPU, "desktop", NOUN_DESKTOP },  { NOUN_VGPU, "host", NOUN_HOST },
};

static json_t *ask(Command *c, Noun noun, const char *name)
{
  g_autofree char *path = client_path(api_find_words(schemas[noun].noun, "show"), name);
  g_autoptr(GError) silent = NULL;
  json_t *json = NULL;
  return client_ask(&c->place, METHOD_GET, path, NULL, &json, NULL, &silent) ? json : NULL;
}

static void add_link(Command *c, json_t *around, Noun noun, const char *name)
{
  json_auto_t *other = noun != N_NOUNS && *name && api_find_words(schemas[noun].noun, "show") != N_API_VERBS ? ask(c, noun, name) : NULL;
  if (other)
    json_array_append_new(around, explain_summary(noun, other, c->place.lang));
}

/* What a card has given, or a desktop has of cards. */
static void add_claims(Command *c, json_t *around, Noun noun, const char *name)
{
  json_auto_t *filters = json_pack("{ss si}", schemas[noun].noun, name, "limit", CLAIMS_MOST), *list = NULL;
  g_autoptr(GError) silent = NULL;
  size_t i;
  json_t *claim;
  if (command_ask_list(c, API_VGPU_LIST, filters, &list, NULL, &silent))
    json_array_foreach(list, i, claim)
      json_array_append_new(around, explain_summary(NOUN_VGPU, claim, c->place.lang));
}

/* What it hangs on, as far as the person may see it. */
static json_t *around_of(Command *c, Noun noun, json_t *object)
{
  json_t *around = json_array();
  for (size_t i = 0; i < G_N_ELEMENTS(links); i++)
    if (links[i].noun == noun)
      add_link(c, around, links[i].other, member(object, links[i].field));
  if (noun == NOUN_TASK)
    add_link(c, around, noun_find(member(object, "noun")), member(object, "object"));
  if (noun == NOUN_GPU || (noun == NOUN_DESKTOP && *member(object, "gpu_class")))
    add_claims(c, around, noun, member(object, "name"));
  return around;
}

/* How many desktops of a pool or host are in which state. */
static json_t *counts_of(Command *c, Noun noun, const char *name)
{
  json_t *counts = json_object();
  if (noun != NOUN_POOL && noun != NOUN_HOST)
    return counts;
  json_auto_t *filters = json_pack("{ss}", schemas[noun].noun, name), *list = NULL;
  g_autoptr(GError) silent = NULL;
  if (!command_ask_list(c, API_DESKTOP_LIST, filters, &list, NULL, &silent))
    return counts;
  size_t i;
  json_t *desktop;
  json_array_foreach(list, i, desktop) {
    const char *state = member(desktop, "state");
    json_object_set_new(counts, state, json_integer(json_integer_value(json_object_get(counts, state)) + 1));
  }
  return counts;
}

/* The last events about it, oldest first; empty where the person may not see events. */
static json_t *events_of(Command *c, Noun noun, const char *name)
{
  json_auto_t *filters = json_pack("{ss ss si}", "noun", schemas[noun].noun, "object", name, "limit", EVENTS_MOST), *list = NULL;
  g_autoptr(GError) silent = NULL;
  json_t *events = json_array();
  if (!command_ask_list(c, API_EVENT_LIST, filters, &list, NULL, &silent))
    return events;
  for (size_t i = json_array_size(list); i-- > 0;)
    json_array_append(events, json_array_get(list, i));
  return events;
}

/* ── telling ──────────────────────────────────────────────────────────────── */

static void print_line(Lang lang, const char *label, const char *text)
{
  printf("  ");
  print_padded(say(lang, label), LABEL_COLUMNS);
  g_autofree char *visible = text_dup_visible(text, 600);
  puts(visible);
}

static void print_summary(json_t *about, Lang lang)
{
  g_autofree char *age = age_of(member(about, "since"), lang);
  if (*member(about, "means"))
    print_line(lang, "now", member(about, "means"));
  print_line(lang, "for", age);
  if (*member(about, "why"))
    print_line(lang, "why", member(about, "why"));
  if (*member(about, "next"))
    print_line(lang, "next", member(about, "next"));
  size_t i;
  json_t *fix;
  json_array_foreach(json_object_get(about, "fixes"), i, fix)
    print_line(lang, "help", json_string_value(fix));
}

static void print_unplugged(json_t *unplugged, Lang lang)
{
  print_line(lang, "GPU", member(unplugged, "means"));
  print_line(lang, "next", member(unplugged, "next"));
  print_line(lang, "help", member(unplugged, "fix"));
}

static void print_moves(json_t *moves, Lang lang)
{
  print_line(lang, "moves", member(moves, "why"));
  if (*member(moves, "fix"))
    print_line(lang, "help", member(moves, "fix"));
}

static void print_around(json_t *around, Lang lang)
{
  size_t i;
  json_t *other;
  json_array_foreach(around, i, other) {
    const char *why = *member(other, "why") ? member(other, "why") : member(other, "means");
    const char *kind = member(other, "kind");
    g_autofree char *line = g_strdup_printf("%s %s: %s%s%s", word_noun(kind, lang), member(other, "name"),
                                            state_said(kind, member(other, "state"), lang), *why ? " · " : "", why);
    print_line(lang, i ? "" : "around", line);
  }
}

/* "3 available", or "사용 가능 3". */
void append_count(GString *line, json_int_t n, const char *what, Lang lang)
{
  const char *between = line->len ? " · " : "";
  if (lang == LANG_KO)
    g_string_append_printf(line, "%s%s %" JSON_INTEGER_FORMAT, between, what, n);
  else
    g_string_append_printf(line, "%s%" JSON_INTEGER_FORMAT " %s", between, n, what);
}

const char *state_said(const char *kind, const char *state, Lang lang)
{
  Noun noun = noun_find(kind);
  const Field *field = noun == N_NOUNS ? NULL : schema_field(&schemas[noun], "state");
  return field ? word_value(field->names, state, lang) : state;
}

static void print_counts(json_t *counts, Lang lang)
{
  g_autoptr(GString) line = g_string_new(NULL);
  const char *state;
  json_t *n;
  json_object_foreach(counts, state, n)
    append_count(line, json_integer_value(n), state_said("desktop", state, lang), lang);
  if (line->len)
    print_line(lang, "desktops", line->str);
}

static void print_events(json_t *events, Lang lang)
{
  size_t i;
  json_t *event;
  bool first = true;
  json_array_foreach(events, i, event) {
    if (!strcmp(member(event, "kind"), DENIED))
      continue; /* told by themselves */
    g_autoptr(GError) reason = output_error(json_object_get(event, "detail"));
    g_autofree char *said = reason ? error_text(reason, lang) : NULL;
    const char *why = said ? said : member(json_object_get(event, "detail"), "text");
    g_autofree char *age = age_of(member(event, "created"), lang);
    g_autofree char *ago = g_strdup_printf(say(lang, "%s ago"), age);
    g_autofree char *user = *member(event, "user") ? g_strdup_printf(" (%s)", member(event, "user")) : g_strdup("");
    g_autofree char *line = g_strdup_printf("%s: %s%s%s%s", ago, member(event, "kind"), user, *why ? " · " : "", why);
    print_line(lang, first ? "events" : "", line);
    first = false;
  }
}

/* The last requests for a pool's desktops that were refused, newest first, with who asked for what; empty where the person may not see events. */
static json_t *denials_of(Command *c, Noun noun, const char *name)
{
  json_auto_t *filters = json_pack("{ss ss ss si}", "noun", "pool", "object", name, "kind", DENIED, "limit", DENIALS_MOST);
  json_t *list = NULL;
  g_autoptr(GError) silent = NULL;
  bool some = noun == NOUN_POOL && command_ask_list(c, API_EVENT_LIST, filters, &list, NULL, &silent);
  return some ? list : json_array();
}

/* "jihye, 4 vCPUs, 8192 MiB, 1 × cad-2q"; owned by the caller. */
static char *asked_text(json_t *denial)
{
  json_t *detail = json_object_get(denial, "detail");
  GString *text = g_string_new(member(denial, "user"));
  int vcpus = (int)json_integer_value(json_object_get(detail, "vcpus")), memory_mib = (int)json_integer_value(json_object_get(detail, "memory_mib"));
  if (vcpus)
    g_string_append_printf(text, ", %d vCPUs, %d MiB", vcpus, memory_mib);
  if (*member(detail, "gpu_class"))
    g_string_append_printf(text, ", %d × %s", (int)json_integer_value(json_object_get(detail, "gpus")), member(detail, "gpu_class"));
  return g_string_free(text, FALSE);
}

static void print_denials(json_t *denials, Lang lang)
{
  size_t i;
  json_t *denial;
  json_array_foreach(denials, i, denial) {
    g_autoptr(GError) reason = output_error(json_object_get(denial, "detail"));
    g_autofree char *why = reason ? error_text(reason, lang) : g_strdup(""), *age = age_of(member(denial, "created"), lang);
    g_autofree char *ago = g_strdup_printf(say(lang, "%s ago"), age), *asked = asked_text(denial);
    g_autofree char *line = g_strdup_printf("%s: %s · %s", ago, asked, why);
    print_line(lang, i ? "" : "denied", line);
  }
}

/* Of a session that waits for a desktop, and of a pool that was refused some: where one could go, and what stops it. NULL where there is no such
 * question, or who asks may not know. */
static json_t *placement_of(Command *c, Noun noun, json_t *object, json_t *denials)
{
  json_t *plan = NULL;
  bool waits = noun == NOUN_SESSION && (!strcmp(member(object, "state"), "queued") || !strcmp(member(object, "state"), "requested"));
  if (!waits && !json_array_size(denials))
    return NULL;
  g_autofree char *path = client_path(waits ? API_SESSION_EXPLAIN : API_POOL_PLAN, member(object, "name"));
  client_ask(&c->place, METHOD_POST, path, NULL, &plan, NULL, NULL);
  return plan;
}

/* Hosts are asked for room and know nothing of what a pool may have. counts: its desktops by state, of which some no longer count or never will. */
static bool pool_is_at_most(Noun noun, json_t *pool, json_t *counts)
{
  static const char *const uncounted[] = { "retiring", "quarantined", NULL };
  json_int_t standing = 0;
  const char *state;
  json_t *n;
  json_object_foreach(counts, state, n)
    standing += g_strv_contains(uncounted, state) ? 0 : json_integer_value(n);
  return noun == NOUN_POOL && standing >= json_integer_value(json_object_get(pool, "max"));
}

static void print_placement(json_t *placement, json_t *pool, bool at_most, Lang lang)
{
  if (!at_most) {
    plan_print(placement, lang);
    return;
  }
  printf(say(lang, "pool %s gets no more: it has the %d desktops that its max allows; sarang pool change %s --max N"), member(pool, "name"),
         (int)json_integer_value(json_object_get(pool, "max")), member(pool, "name"));
  printf("\n");
  printf(say(lang, "with a higher max the hosts would have room for %d of %d more"), (int)json_integer_value(json_object_get(placement, "placed")),
         (int)json_integer_value(json_object_get(placement, "count")));
  printf("\n");
}

static bool explain_object(Command *c, Noun noun, const char *name, GError **err)
{
  json_auto_t *object = NULL;
  g_autofree char *path = client_path(api_find_words(schemas[noun].noun, "show"), name);
  if (!client_ask(&c->place, METHOD_GET, path, NULL, &object, NULL, err))
    return false;
  bool people = c->form == OUTPUT_TABLE || c->form == OUTPUT_WIDE;
  Lang lang = people ? c->place.lang : LANG_EN;
  c->place.lang = lang;
  json_auto_t *about = explain_summary(noun, object, lang), *around = around_of(c, noun, object);
  json_auto_t *counts = counts_of(c, noun, name), *events = events_of(c, noun, name);
  json_auto_t *denials = denials_of(c, noun, name), *placement = placement_of(c, noun, object, denials);
  json_auto_t *unplugged = unplugged_of(noun, object, lang), *moves = moves_of(noun, object, lang);
  bool at_most = pool_is_at_most(noun, object, counts);
  if (!people) {
    json_object_set(about, "around", around);
    json_object_set(about, "desktops", counts);
    json_object_set(about, "events", events);
    if (noun == NOUN_POOL)
      json_object_set(about, "denials", denials);
    if (placement)
      json_object_set(about, "placement", placement);
    if (noun == NOUN_POOL)
      json_object_set_new(about, "at_max", json_boolean(at_most));
    if (unplugged)
      json_object_set(about, "unplugged", unplugged);
    if (moves)
      json_object_set(about, "moves", moves);
    OutputStyle style = { .form = c->form, .headers = !c->no_headers, .lang = LANG_EN };
    output_print(&style, noun, about);
    return true;
  }
  printf("%s %s: %s\n", word_noun(schemas[noun].noun, lang), name, state_said(schemas[noun].noun, member(about, "state"), lang));
  print_summary(about, lang);
  if (unplugged)
    print_unplugged(unplugged, lang);
  if (moves)
    print_moves(moves, lang);
  print_around(around, lang);
  print_counts(counts, lang);
  print_denials(denials, lang);
  if (placement)
    print_placement(placement, object, at_most, lang);
  print_events(events, lang);
  return true;
}

/* ── fields ───────────────────────────────────────────────────────────────── */

static void explain_field(const Field *f, Lang lang)
{
  static const char *const types[] = {
    [FIELD_TEXT] = "text", [FIELD_REF] = "name", [FIELD_INT] = "integer", [FIELD_BOOL] = "boolean", [FIELD_ENUM] = "word", [FIELD_TIME] = "time",
    [FIELD_LIST] = "list", [FIELD_JSON] = "JSON",
  };
  g_autoptr(GString) left = g_string_new(f->name);
  g_string_append_printf(left, "  %s", say(lang, types[f->type]));
  printf("  ");
  print_padded(left->str, 28);
  const char *may = f->flags & F_NEED ? "needed" : f->flags & F_CHANGE ? "may be changed" : f->flags & F_IN ? "set when it is made" : "told";
  printf("%s — %s\n", say(lang, f->help), say(lang, may));
}

/* "pool" or "pool.spare". */
static bool explain_fields(Command *c, const char *kind, const char *field, GError **err)
{
  Noun noun = noun_find(kind);
  const Field *f = noun != N_NOUNS && field ? schema_field(&schemas[noun], field) : NULL;
  if (noun == N_NOUNS)
    return error_false(err, REASON_NOT_FOUND, "kind", "noun", "name", kind, NULL);
  if (field && (!f || f->flags & F_SECRET))
    return error_false(err, REASON_NOT_FOUND, "kind", "field", "name", field, NULL);
  for (int i = 0; i < schemas[noun].n_fields; i++)
    if (f ? f == &schemas[noun].fields[i] : !(schemas[noun].fields[i].flags & F_SECRET))
      explain_field(&schemas[noun].fields[i], c->place.lang);
  return true;
}

/* Numbered things tell their kind by their letter. */
static Noun noun_of_number(const char *name)
{
  static const struct { char letter; Noun noun; } letters[] = { { 'd', NOUN_DESKTOP }, { 's', NOUN_SESSION }, { 't', NOUN_TASK }, { 'g', NOUN_GPU },
                                                                { 'v', NOUN_VGPU } };
  for (size_t i = 0; i < G_N_ELEMENTS(letters); i++)
    if (name[0] == letters[i].letter && name[1] == '-' && g_ascii_isdigit(name[2]))
      return letters[i].noun;
  return N_NOUNS;
}

bool command_explain(Command *c, GError **err)
{
  const char *first = c->words->pdata[0], *second = c->words->len > 1 ? c->words->pdata[1] : NULL;
  g_auto(GStrv) parts = g_strsplit(first, ".", 2);
  Noun noun = second ? noun_find(first) : noun_of_number(first);
  if (!second && noun == N_NOUNS)
    return explain_fields(c, parts[0] ? parts[0] : "", parts[0] ? parts[1] : NULL, err);
  if (noun == N_NOUNS || !state_text_find_any(noun))
    return error_false(err, REASON_BAD_VALUE, "field", "KIND", "value", first, "limit",
                       "one of host, gpu, vgpu, image, pool, desktop, session, task", NULL);
  return explain_object(c, noun, second ? second : first, err);
}
