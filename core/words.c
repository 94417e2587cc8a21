#include "core/words.h"

#include <string.h>

typedef struct {
  const void *list;  /* which list it is of */
  const char *english, *korean;
} WordRow;

/* Lists that are no enums: their addresses tell them apart. */
static const char nouns[] = "nouns", columns[] = "columns", steps[] = "steps", verbs[] = "verbs", arguments[] = "arguments";

static const WordRow rows[] = {
#define N(english, korean) { nouns, english, korean },
#define C(english, korean) { columns, english, korean },
#define E(list, english, korean) { &list##_names, english, korean },
#define S(english, korean) { steps, english, korean },
#define V(english, korean) { verbs, english, korean },
#define A(english, korean) { arguments, english, korean },
#include "core/words.def"
#undef N
#undef C
#undef E
#undef S
#undef V
#undef A
};

static guint row_hash(gconstpointer p)
{
  const WordRow *row = p;
  return g_str_hash(row->english) ^ g_direct_hash(row->list);
}

static gboolean row_equal(gconstpointer a, gconstpointer b)
{
  const WordRow *x = a, *y = b;
  return x->list == y->list && !strcmp(x->english, y->english);
}

static GHashTable *table_new(void)
{
  GHashTable *table = g_hash_table_new(row_hash, row_equal);
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    g_hash_table_add(table, (void *)&rows[i]);
  return table;
}

/* NULL where there is no row. */
static const char *korean_of(const void *list, const char *english)
{
  static GHashTable *table;
  if (g_once_init_enter(&table))
    g_once_init_leave(&table, table_new());
  const WordRow wanted = { list, english, NULL }, *row = english ? g_hash_table_lookup(table, &wanted) : NULL;
  return row ? row->korean : NULL;
}

static const char *word_of(const void *list, const char *english, Lang lang)
{
  const char *korean = lang == LANG_KO ? korean_of(list, english) : NULL;
  return korean ? korean : english;
}

const char *word_noun(const char *noun, Lang lang) { return word_of(nouns, noun, lang); }
const char *word_value(const EnumNames *list, const char *value, Lang lang) { return word_of(list, value, lang); }
const char *word_step(const char *step, Lang lang) { return word_of(steps, step, lang); }
const char *word_verb(const char *verb, Lang lang) { return word_of(verbs, verb, lang); }
const char *word_column(const char *field, Lang lang) { return lang == LANG_KO ? korean_of(columns, field) : NULL; }

const char *word_bool(bool value, Lang lang)
{
  return lang == LANG_KO ? (value ? "예" : "아니요") : value ? "yes" : "no";
}

bool word_has_noun(const char *noun) { return korean_of(nouns, noun); }
bool word_has_value(const EnumNames *list, const char *value) { return korean_of(list, value); }
bool word_has_step(const char *step) { return korean_of(steps, step); }
bool word_has_verb(const char *verb) { return korean_of(verbs, verb); }

/* ── patterns ─────────────────────────────────────────────────────────────── */

enum { HOLES_MAX = 6 };

/* The texts that stand where pattern has {}; NULL where text is not of it. Owned by the caller. */
static char **holes_of(const char *pattern, const char *text)
{
  g_auto(GStrv) fixed = g_strsplit(pattern, "{}", HOLES_MAX + 1);
  g_autoptr(GPtrArray) holes = g_ptr_array_new_with_free_func(g_free);
  if (!g_str_has_prefix(text, fixed[0]))
    return NULL;
  text += strlen(fixed[0]);
  for (char **f = fixed + 1; *f; f++) {
    const char *end = **f ? strstr(text, *f) : text + strlen(text);
    if (!end)
      return NULL;
    g_ptr_array_add(holes, g_strndup(text, end - text));
    text = end + strlen(*f);
  }
  g_ptr_array_add(holes, NULL);
  return *text ? NULL : (char **)g_ptr_array_free(g_steal_pointer(&holes), FALSE);
}

static char *fill(const char *pattern, char **holes)
{
  g_auto(GStrv) fixed = g_strsplit(pattern, "{}", HOLES_MAX + 1);
  GString *out = g_string_new(fixed[0]);
  for (int i = 0; fixed[0] && fixed[i + 1] && holes[i]; i++)
    g_string_append_printf(out, "%s%s", holes[i], fixed[i + 1]);
  return g_string_free(out, FALSE);
}

static char *pattern_said(const char *english)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    bool pattern = rows[i].list == arguments && strstr(rows[i].english, "{}");
    g_auto(GStrv) holes = pattern ? holes_of(rows[i].english, english) : NULL;
    if (holes)
      return fill(rows[i].korean, holes);
  }
  return g_strdup(english);
}

/* ── arguments of reasons ─────────────────────────────────────────────────── */

static const char *argument_find(const char *const *pairs, const char *name)
{
  for (const char *const *p = pairs; p && p[0]; p += 2)
    if (!strcmp(p[0], name))
      return p[1];
  return NULL;
}

/* A state of the kind that the refusal names, else the first list that has such a word. */
static const char *state_said(const char *state, const char *kind)
{
  static const EnumNames *const lists[] = {
    &desktop_state_names, &session_state_names, &pool_state_names, &host_state_names, &task_state_names, &image_state_names, &power_state_names,
    &gpu_state_names,
  };
  Noun noun = kind ? noun_find(kind) : N_NOUNS;
  const Field *field = noun == N_NOUNS ? NULL : schema_field(&schemas[noun], "state");
  const char *korean = field ? korean_of(field->names, state) : NULL;
  for (size_t i = 0; !korean && !field && i < G_N_ELEMENTS(lists); i++)
    korean = korean_of(lists[i], state);
  return korean ? korean : state;
}

/* A kind of thing, or of task. */
static const char *kind_said(const char *kind)
{
  const char *korean = korean_of(nouns, kind);
  return korean ? korean : word_value(&task_kind_names, kind, LANG_KO);
}

/* What is done, or to what: the first list that knows it. */
static char *text_said(const char *text, const void *first)
{
  const void *const lists[] = { first, verbs, arguments };
  const char *korean = NULL;
  for (size_t i = 0; !korean && i < G_N_ELEMENTS(lists); i++)
    korean = korean_of(lists[i], text);
  return korean ? g_strdup(korean) : pattern_said(text);
}

/* ── findings of placement, as they stand in a refusal ────────────────────── */

static const struct {
  const char *wire, *english, *korean;
} told[] = {
#define X(NAME, wire, class, en, ko, ...) { wire, en, ko },
#include "core/reasons.def"
#undef X
};

/* What stands in text where pattern has {name}s, by name; NULL where text is not of it. Owned by the caller. */
static GHashTable *values_of(const char *pattern, const char *text)
{
  g_autoptr(GHashTable) values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  while (*pattern) {
    size_t fixed = strcspn(pattern, "{");
    if (strncmp(pattern, text, fixed))
      return NULL;
    pattern += fixed;
    text += fixed;
    const char *close = *pattern ? strchr(pattern, '}') : NULL;
    if (!close)
      break;
    g_autofree char *next = g_strndup(close + 1, strcspn(close + 1, "{"));
    const char *end = *next ? strstr(text, next) : text + strlen(text);
    if (!end)
      return NULL;
    g_hash_table_replace(values, g_strndup(pattern + 1, close - pattern - 1), g_strndup(text, end - text));
    pattern = close + 1;
    text = end;
  }
  return *text ? NULL : g_steal_pointer(&values);
}

static char *fill_named(const char *pattern, GHashTable *values)
{
  GString *out = g_string_new(NULL);
  while (*pattern) {
    size_t fixed = strcspn(pattern, "{");
    g_string_append_len(out, pattern, fixed);
    pattern += fixed;
    const char *close = *pattern ? strchr(pattern, '}') : NULL;
    if (!close)
      break;
    g_autofree char *name = g_strndup(pattern + 1, close - pattern - 1);
    const char *value = g_hash_table_lookup(values, name);
    g_string_append(out, value ? value : "");
    pattern = close + 1;
  }
  return g_string_free(out, FALSE);
}

/* "L40S (broken)": a card's model, and why it may not be asked. Owned by the caller. */
static char *card_said(const char *text)
{
  const char *open = strrchr(text, '(');
  if (!open || !g_str_has_suffix(open, ")"))
    return g_strdup(text);
  g_autofree char *model = g_strndup(text, open - text), *why = g_strndup(open + 1, strlen(open) - 2);
  g_autofree char *korean = text_said(why, &gpu_state_names);
  return g_strdup_printf("%s(%s)", model, korean);
}

/* The word of a finding that is one of ours, by the finding's wire name. Owned by the caller. */
static char *finding_word(const char *wire, const char *word)
{
  if (!strcmp(wire, "place-host-state"))
    return g_strdup(word_value(&host_state_names, word, LANG_KO));
  return !strcmp(wire, "place-card-offer") ? card_said(word) : g_strdup(word);
}

static char *move_said(const char *text);

/* Of the findings of that family ("place-") that text may be, the one that says most of it itself. */
static char *finding_of(const char *family, const char *text)
{
  size_t best = G_N_ELEMENTS(told);
  for (size_t i = 0; i < G_N_ELEMENTS(told); i++) {
    g_autoptr(GHashTable) values = g_str_has_prefix(told[i].wire, family) ? values_of(told[i].english, text) : NULL;
    if (values && (best == G_N_ELEMENTS(told) || strlen(told[i].english) > strlen(told[best].english)))
      best = i;
  }
  if (best == G_N_ELEMENTS(told))
    return NULL;
  g_autoptr(GHashTable) values = values_of(told[best].english, text);
  const char *word = g_hash_table_lookup(values, "word"), *state = g_hash_table_lookup(values, "state");
  const char *why = g_hash_table_lookup(values, "why");
  if (word)
    g_hash_table_replace(values, g_strdup("word"), finding_word(told[best].wire, word));
  if (state)
    g_hash_table_replace(values, g_strdup("state"), g_strdup(state_said(state, NULL)));
  if (why)
    g_hash_table_replace(values, g_strdup("why"), move_said(why));
  return fill_named(told[best].korean, values);
}

static char *finding_said(const char *text)
{
  char *korean = finding_of("place-", text);
  return korean ? korean : text_said(text, arguments);
}

/* Why a desktop does not move, as one host or another says it. */
static char *move_said(const char *text)
{
  static const char *const families[] = { "move", "migration-", "place-", "not-arrived", "runs-twice", "timeout", "cancelled", "host-" };
  char *korean = NULL;
  for (size_t i = 0; i < G_N_ELEMENTS(families) && !korean; i++)
    korean = finding_of(families[i], text);
  return korean ? korean : text_said(text, arguments);
}

/* "d-4, d-7: its disk is on …; d-9: its power is …" */
static char *stays_said(const char *text)
{
  g_auto(GStrv) all = g_strsplit(text, "; ", -1);
  for (char **one = all; *one; one++) {
    const char *at = g_str_has_prefix(*one, "d-") ? strstr(*one, ": ") : NULL;
    g_autofree char *names = at ? g_strndup(*one, at + 2 - *one) : g_strdup(""), *korean = move_said(at ? at + 2 : *one);
    g_free(*one);
    *one = g_strconcat(names, korean, NULL);
  }
  return g_strjoinv("; ", all);
}

/* "3 hosts, at best: host h7 has …; 2 cards, at best: …", also "g-1: a card of …" */
static char *findings_said(const char *text)
{
  static const char *const heads[][2] = { { " hosts, at best: ", "대의 호스트, 최선: " }, { " cards, at best: ", "장의 카드, 최선: " }, { ": ", ": " } };
  g_auto(GStrv) all = g_strsplit(text, "; ", -1);
  for (char **one = all; *one; one++) {
    char *korean = finding_said(*one);
    for (size_t i = 0; i < G_N_ELEMENTS(heads) && !strcmp(korean, *one); i++) {
      const char *at = strstr(*one, heads[i][0]);
      g_autofree char *head = at ? g_strndup(*one, at - *one) : NULL, *rest = at ? finding_said(at + strlen(heads[i][0])) : NULL;
      if (!at)
        continue;
      g_free(korean);
      korean = g_strconcat(head, heads[i][1], rest, NULL);
    }
    g_free(*one);
    *one = korean;
  }
  return g_strjoinv("; ", all);
}

/* "memory 180, unreachable 20" */
static char *counts_said(const char *text)
{
  g_auto(GStrv) all = g_strsplit(text, ", ", -1);
  for (char **one = all; *one; one++) {
    const char *blank = strrchr(*one, ' '), *number = blank && g_ascii_isdigit(blank[1]) ? blank : NULL;
    g_autofree char *word = number ? g_strndup(*one, number - *one) : g_strdup(*one);
    g_autofree char *said = text_said(word, &host_state_names);
    char *korean = g_strconcat(said, number, NULL);
    g_free(*one);
    *one = korean;
  }
  return g_strjoinv(", ", all);
}

char *word_argument(Reason reason, const char *name, const char *value, const char *const *pairs)
{
  static const char *const texts[] = { "limit", "action", "what", "move", "wanted", "when", "detail", NULL };
  if (!strcmp(name, "word"))
    return finding_word(reason_wire(reason), value);
  if (!strcmp(name, "kind") || !strcmp(name, "by"))
    return g_strdup(kind_said(value));
  if (!strcmp(name, "state"))
    return g_strdup(state_said(value, argument_find(pairs, "kind")));
  if (!strcmp(name, "role"))
    return g_strdup(word_value(&role_names, value, LANG_KO));
  if (!strcmp(name, "step"))
    return g_strdup(word_step(value, LANG_KO));
  if ((reason == REASON_NO_PLACE && !strcmp(name, "hosts")) || (reason == REASON_NO_GPU && !strcmp(name, "cards")))
    return findings_said(value);
  if (!strcmp(name, "counts"))
    return counts_said(value);
  if (!strcmp(name, "why") && (reason == REASON_MOVE_STAYS_WHY || reason == REASON_ROOM_MOVE_FAILED))
    return reason == REASON_MOVE_STAYS_WHY ? stays_said(value) : move_said(value);
  if (reason == REASON_GPU_SAVED && !strcmp(name, "detail")) {
    char *korean = finding_of("gpu-", value);
    return korean ? korean : text_said(value, arguments);
  }
  /* of a desktop "reset" is a move, of a machine it is a button, of a task it is a kind */
  const void *first = reason == REASON_CANCELLED ? &task_kind_names : strcmp(name, "what") ? verbs : (const void *)&power_verb_names;
  return g_strv_contains(texts, name) ? text_said(value, first) : g_strdup(value);
}
