#include "core/recorded.h"

#include <string.h>

#include "core/csv.h"
#include "core/ledger.h"
#include "core/placing.h"
#include "core/text.h"

/* One who asked. Texts live in the chunk. */
typedef struct {
  const char *user, *pool, *gpu_class;   /* gpu_class NULL: as the pool says */
  int64_t vcpus, memory_mib, gpus;       /* 0: as the pool says */
  const char *licences;                  /* "cad=1,sim=2"; NULL: as the pool says */
  int64_t asked_us, lasts_us;            /* -1: not known */
  int64_t by_us, gave_up_us, asked_till_us;  /* its deadline; when its person left the line; until when it was asked again and again. 0: not so */
  bool without_gpu;                      /* it is known that there was none */
} Row;

struct Recorded {
  Brain *brain;
  GStringChunk *texts;
  GArray *rows;           /* of Row */
};

Recorded *recorded_new(void)
{
  Recorded *r = g_new0(Recorded, 1);
  r->brain = brain_new(&(BrainOptions){ 0 });
  r->texts = g_string_chunk_new(4096);
  r->rows = g_array_new(FALSE, FALSE, sizeof(Row));
  return r;
}

void recorded_free(Recorded *r)
{
  brain_free(r->brain);
  g_string_chunk_free(r->texts);
  g_array_unref(r->rows);
  g_free(r);
}

bool recorded_time(const char *text, int64_t *ret_us)
{
  g_autofree char *midnight = strlen(text) == strlen("2026-11-23") && text[4] == '-' ? g_strconcat(text, "T00:00:00Z", NULL) : NULL;
  int64_t seconds;
  if (date_parse(midnight ? midnight : text, ret_us))
    return *ret_us >= 0;
  if (number_parse(text, 0, INT64_C(253402300799), &seconds))
    *ret_us = seconds * G_USEC_PER_SEC;
  else
    return false;
  return *ret_us >= 0;
}

/* ── the model, from the API ──────────────────────────────────────────────── */

static void enum_load(Object *object, const Field *f, const char *text)
{
  for (int i = 0; text && i < f->names->n; i++)
    if (!strcmp(f->names->names[i], text))
      FIELD_AT(int, object, f) = i;
}

static void list_load(Object *object, const Field *f, json_t *value)
{
  size_t i;
  json_t *item;
  g_autoptr(GPtrArray) items = g_ptr_array_new();
  json_array_foreach(value, i, item)
    if (json_is_string(item))
      g_ptr_array_add(items, (char *)json_string_value(item));
  g_ptr_array_add(items, NULL);
  list_set(field_at(object, f), (const char *const *)items->pdata);
}

static void field_load(Object *object, const Field *f, json_t *value)
{
  switch (f->type) {
  case FIELD_TEXT:
    text_set(field_at(object, f), json_string_value(value));
    return;
  case FIELD_REF:
    ref_set(field_at(object, f), json_string_value(value));
    return;
  case FIELD_INT:
    FIELD_AT(int64_t, object, f) = json_integer_value(value);
    return;
  case FIELD_BOOL:
    FIELD_AT(bool, object, f) = json_is_true(value);
    return;
  case FIELD_ENUM:
    enum_load(object, f, json_string_value(value));
    return;
  case FIELD_LIST:
    list_load(object, f, value);
    return;
  case FIELD_JSON:
    g_free(FIELD_AT(char *, object, f));
    FIELD_AT(char *, object, f) = value && !json_is_null(value) ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    return;
  case FIELD_TIME:
    if (json_is_string(value))
      recorded_time(json_string_value(value), &FIELD_AT(int64_t, object, f));
    return;
  }
}

void recorded_load(Recorded *r, Noun noun, json_t *list)
{
  size_t i;
  json_t *json;
  json_array_foreach(list, i, json) {
    const char *name = json_string_value(json_object_get(json, "name"));
    if (!name || brain_find(r->brain, noun, name))
      continue;
    Object *object = object_new(&schemas[noun], noun, name);
    for (int f = 0; f < schemas[noun].n_fields; f++)
      field_load(object, &schemas[noun].fields[f], json_object_get(json, schemas[noun].fields[f].name));
    brain_load(object, r->brain);
  }
}

/* ── rows ─────────────────────────────────────────────────────────────────── */

static const char *keep(Recorded *r, const char *text)
{
  return text && *text ? g_string_chunk_insert_const(r->texts, text) : NULL;
}

static bool row_add(Recorded *r, const Row *row, GError **err)
{
  if (r->rows->len == RECORDED_MOST)
    return error_false(err, REASON_TOO_LARGE, "what", "the recorded demand", "value", "2000001 rows", "limit", "2000000", NULL);
  g_array_append_vals(r->rows, row, 1);
  return true;
}

static int64_t time_of(json_t *json, const char *member)
{
  const char *text = json_string_value(json_object_get(json, member));
  int64_t at_us;
  return text && recorded_time(text, &at_us) ? at_us : 0;
}

static int64_t number_of(json_t *json, const char *member)
{
  return json_integer_value(json_object_get(json, member));
}

/* "cad=1,sim=2" of a list of the API; "" for none. */
static const char *keep_list(Recorded *r, json_t *list)
{
  size_t i;
  json_t *item;
  g_autoptr(GString) text = g_string_new(NULL);
  json_array_foreach(list, i, item)
    g_string_append_printf(text, "%s%s", i ? "," : "", json_is_string(item) ? json_string_value(item) : "");
  return g_string_chunk_insert_const(r->texts, text->str);
}

static Row row_of(Recorded *r, json_t *json, json_t *sized)
{
  const char *class = json_string_value(json_object_get(sized, "gpu_class"));
  return (Row){ .user = keep(r, json_string_value(json_object_get(json, "user"))), .pool = keep(r, json_string_value(json_object_get(json, "pool"))),
                .gpu_class = keep(r, class), .vcpus = number_of(sized, "vcpus"), .memory_mib = number_of(sized, "memory_mib"),
                .gpus = number_of(sized, "gpus"), .lasts_us = -1, .without_gpu = sized && !class,
                .licences = sized ? keep_list(r, json_object_get(sized, "licences")) : NULL, .by_us = time_of(json, "by") };
}

static bool is_given_up(const char *outcome)
{
  return !g_strcmp0(outcome, demand_outcome_name(DEMAND_GIVEN_UP));
}

/* Who was refused and came again was as patient as that. */
static int64_t asked_till(json_t *json)
{
  int64_t granted_us = time_of(json, "granted");
  return !number_of(json, "tries") ? 0 : granted_us ? granted_us : time_of(json, "last");
}

bool recorded_add_rows(Recorded *r, json_t *rows, GError **err)
{
  size_t i;
  json_t *json;
  json_array_foreach(rows, i, json) {
    Row row = row_of(r, json, json);
    int64_t granted_us = time_of(json, "granted"), ended_us = time_of(json, "ended");
    bool lives = json_is_string(json_object_get(json, "session")) && !ended_us;
    row.asked_us = time_of(json, "asked");
    row.gave_up_us = is_given_up(json_string_value(json_object_get(json, "outcome"))) ? ended_us : 0;
    row.asked_till_us = asked_till(json);
    if (granted_us && ended_us)
      row.lasts_us = MAX(1, ended_us - granted_us);
    if (!lives && row.asked_us && !row_add(r, &row, err))
      return false;
  }
  return true;
}

bool recorded_add_sessions(Recorded *r, json_t *sessions, int64_t now_us, GError **err)
{
  size_t i;
  json_t *json;
  json_array_foreach(sessions, i, json) {
    const Desktop *d = GET(r->brain, Desktop, DESKTOP, json_string_value(json_object_get(json, "desktop")));
    Row row = row_of(r, json, NULL);
    if (time_of(json, "ended"))
      continue;
    row.asked_us = time_of(json, "created");
    if (d) {
      row.licences = keep_list(r, json_object_get(json, "licences"));
      row.vcpus = d->vcpus;
      row.memory_mib = d->memory_mib;
      row.gpus = d->gpus;
      row.gpu_class = keep(r, d->gpu_class);
      row.without_gpu = !d->gpu_class;
      row.lasts_us = MAX(now_us - row.asked_us, RECORDED_LASTS_S * SECOND_US);
    }
    if (!row_add(r, &row, err))
      return false;
  }
  return true;
}

/* ── rows of CSV ──────────────────────────────────────────────────────────── */

enum { COL_ASKED, COL_POOL, COL_USER, COL_GRANTED, COL_ENDED, COL_VCPUS, COL_MEMORY, COL_CLASS, COL_GPUS, COL_COUNT, COL_BY, COL_OUTCOME,
       COL_LICENCES, COL_TRIES, COL_LAST, N_COLS };
enum { COUNT_MOST = 100000, TOLD_BYTES = 60 };

static const struct {
  const char *name;
  int64_t most;   /* of numbers */
} cols[N_COLS] = { { "asked", 0 }, { "pool", 0 }, { "user", 0 }, { "granted", 0 }, { "ended", 0 }, { "vcpus", 512 }, { "memory_mib", 1 << 24 },
                   { "gpu_class", 0 }, { "gpus", 8 }, { "count", COUNT_MOST }, { "by", 0 }, { "outcome", 0 }, { "licences", 0 },
                   { "tries", INT64_MAX }, { "last", 0 } };

typedef struct {
  int line, at[N_COLS];
  char **fields;
} Line;

static bool bad_field(const Line *l, int col, const char *value, const char *limit, GError **err)
{
  g_autofree char *where = g_strdup_printf("line %d, column %s", l->line, cols[col].name);
  g_autofree char *start = g_utf8_make_valid(value, (gssize)strnlen(value, TOLD_BYTES));
  return error_false(err, REASON_BAD_VALUE, "field", where, "value", start, "limit", limit, NULL);
}

static const char *field_of(const Line *l, int col)
{
  int n = (int)g_strv_length(l->fields);
  return l->at[col] >= 0 && l->at[col] < n ? g_strstrip(l->fields[l->at[col]]) : "";
}

static bool read_time(const Line *l, int col, int64_t *ret_us, GError **err)
{
  const char *text = field_of(l, col);
  *ret_us = 0;
  return (!*text && col != COL_ASKED) || recorded_time(text, ret_us) ||
         bad_field(l, col, text, "a date, such as 2026-11-23 or 2026-11-23T08:00:00Z, or seconds since 1970", err);
}

static bool read_number(const Line *l, int col, int64_t *ret, GError **err)
{
  const char *text = field_of(l, col);
  *ret = 0;
  if (!*text || number_parse(text, 0, cols[col].most, ret))
    return true;
  g_autofree char *limit = g_strdup_printf("a whole number from 0 to %" G_GINT64_FORMAT, cols[col].most);
  return bad_field(l, col, text, limit, err);
}

static bool read_name(Recorded *r, const Line *l, int col, Noun noun, const char **ret, GError **err)
{
  const char *text = field_of(l, col);
  *ret = keep(r, text);
  if (noun == NOUN_USER || (!*text && col != COL_POOL))
    return strlen(text) <= 63 || bad_field(l, col, text, "at most 63 bytes", err);
  g_autofree char *limit = g_strdup_printf("the name of a %s there is", schemas[noun].noun);
  return brain_find(r->brain, noun, text) || bad_field(l, col, text, limit, err);
}

/* As demand list writes it: "cad=1,sim=2", nothing or "-" for none. */
static bool read_licences(Recorded *r, const Line *l, Row *row, GError **err)
{
  const char *text = field_of(l, COL_LICENCES);
  g_auto(GStrv) parts = g_strsplit(strcmp(text, "-") ? text : "", ",", -1);
  LicenceNeed need;
  bool known = l->at[COL_LICENCES] >= 0;
  for (int i = 0; parts[i]; i++)
    if (i == LICENCES_MOST || !licence_need_read(g_strstrip(parts[i]), &need))
      return bad_field(l, COL_LICENCES, text, "at most eight of NAME=N, such as cad=1,sim=2", err);
  g_autofree char *joined = g_strjoinv(",", parts);
  row->licences = known ? g_string_chunk_insert_const(r->texts, joined) : NULL;
  return true;
}

/* How patient it was. */
static bool read_waits(const Line *l, Row *row, int64_t granted_us, int64_t ended_us, GError **err)
{
  int64_t tries, last_us;
  if (!read_time(l, COL_BY, &row->by_us, err) || !read_number(l, COL_TRIES, &tries, err) || !read_time(l, COL_LAST, &last_us, err))
    return false;
  row->gave_up_us = is_given_up(field_of(l, COL_OUTCOME)) ? ended_us : 0;
  row->asked_till_us = !tries ? 0 : granted_us ? granted_us : last_us;
  return true;
}

static bool line_read(Recorded *r, const Line *l, Row *row, int64_t *ret_count, GError **err)
{
  int64_t granted_us, ended_us;
  *row = (Row){ .lasts_us = -1 };
  bool good = read_time(l, COL_ASKED, &row->asked_us, err) && read_name(r, l, COL_POOL, NOUN_POOL, &row->pool, err) &&
              read_name(r, l, COL_USER, NOUN_USER, &row->user, err) && read_time(l, COL_GRANTED, &granted_us, err) &&
              read_time(l, COL_ENDED, &ended_us, err) && read_number(l, COL_VCPUS, &row->vcpus, err) &&
              read_number(l, COL_MEMORY, &row->memory_mib, err) && read_name(r, l, COL_CLASS, NOUN_GPU_CLASS, &row->gpu_class, err) &&
              read_number(l, COL_GPUS, &row->gpus, err) && read_number(l, COL_COUNT, ret_count, err) && read_licences(r, l, row, err) &&
              read_waits(l, row, granted_us, ended_us, err);
  if (!good)
    return false;
  *ret_count = *field_of(l, COL_COUNT) ? *ret_count : 1;
  row->without_gpu = l->at[COL_CLASS] >= 0 && !row->gpu_class;
  bool told = *field_of(l, COL_GRANTED) && *field_of(l, COL_ENDED);
  if (told && ended_us < granted_us)
    return bad_field(l, COL_ENDED, field_of(l, COL_ENDED), "not before granted", err);
  if (told)
    row->lasts_us = MAX(1, ended_us - granted_us);
  return true;
}

static bool header_read(Line *l, GError **err)
{
  for (int col = 0; col < N_COLS; col++) {
    l->at[col] = -1;
    for (int i = 0; l->fields[i]; i++)
      if (!g_ascii_strcasecmp(g_strstrip(l->fields[i]), cols[col].name)) {
        if (l->at[col] >= 0)
          return bad_field(l, col, l->fields[i], "in the first line once", err);
        l->at[col] = i;
      }
    if (l->at[col] < 0 && col <= COL_POOL)
      return bad_field(l, col, "", "in the first line, which names the columns: asked and pool at least", err);
  }
  return true;
}

static bool line_add(Recorded *r, Line *l, GError **err)
{
  Row row;
  int64_t count;
  if (!line_read(r, l, &row, &count, err))
    return false;
  for (; count > 0; count--)
    if (!row_add(r, &row, err))
      return false;
  return true;
}

bool recorded_add_csv(Recorded *r, const char *text, GError **err)
{
  Csv csv = csv_open(text);
  Line l = { 0 };
  for (bool header = false;; header = true) {
    g_auto(GStrv) fields = NULL;
    if (!csv_next(&csv, &fields, err))
      return false;
    if (!fields && header)
      return true;
    if (!fields)
      return error_false(err, REASON_BAD_VALUE, "field", "the list", "value", "", "limit", "a line that names its columns, and others", NULL);
    l.line = csv.line;
    l.fields = fields;
    if (!(header ? line_add(r, &l, err) : header_read(&l, err)))
      return false;
  }
}

/* ── played ───────────────────────────────────────────────────────────────── */

typedef struct {
  Recorded *r;
  Fleet *f;
  GHashTable *classes;    /* what is asked for, as text → GPtrArray of DemandClass, NULL where it can't be asked */
  GHashTable *pools;      /* name → its place in most, + 1 */
  GHashTable *owners;     /* "POOL USER" of dedicated pools: their desktop stays theirs */
  GHashTable *lasts;      /* pool, "" for all → GArray of int64_t */
  GHashTable *licences;   /* name → its place in totals, + 1 */
  GHashTable *seats;      /* "cad=1,sim=2" → GArray of ReplaySeats */
  GPtrArray *none;        /* what who has a desktop already asks of the hosts */
  GArray *most, *totals;
  GArray *demands;
  int left_out;
} Play;

static void classes_drop(void *classes)
{
  if (classes)
    g_ptr_array_unref(classes);
}

static void play_clear(Play *p)
{
  g_array_unref(p->demands);
  g_array_unref(p->most);
  g_array_unref(p->totals);
  g_ptr_array_unref(p->none);
  g_hash_table_unref(p->licences);
  g_hash_table_unref(p->seats);
  g_hash_table_unref(p->classes);
  g_hash_table_unref(p->pools);
  g_hash_table_unref(p->owners);
  g_hash_table_unref(p->lasts);
  fleet_free(p->f);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Play, play_clear)

/* Desktops go, what others have of the cards stays. */
static void fleet_empty(Fleet *f)
{
  fleet_shared_clear(f);
  for (int host = 0; host < fleet_hosts(f); host++)
    for (ClaimId id = claim_first(f, host); id.number >= 0;) {
      ClaimTerms terms;
      ClaimId next = claim_next(f, id);
      claim_find(f, id, NULL, &terms, NULL);
      if (terms.tag)
        place_release(f, id, NULL);
      id = next;
    }
}

static GPtrArray *classes_new(Play *p, const Row *row)
{
  Brain *b = p->r->brain;
  const Pool *there = row->pool ? GET(b, Pool, POOL, row->pool) : NULL;
  Wish w;
  if (!there)
    return NULL;
  Pool pool = *there; /* its sizes were others then; everything else is borrowed */
  pool.vcpus = row->vcpus ? row->vcpus : pool.vcpus;
  pool.memory_mib = row->memory_mib ? row->memory_mib : pool.memory_mib;
  pool.gpu_class = row->gpu_class ? (char *)row->gpu_class : pool.gpu_class;
  pool.gpus = row->gpus ? row->gpus : pool.gpus;
  if (!wish_of(b, &pool, &w, NULL))
    return NULL;
  if (row->without_gpu)
    w.class = NULL;
  return wish_classes(b, p->f, &w, NULL);
}

static GPtrArray *classes_of(Play *p, const Row *row)
{
  g_autofree char *key = g_strdup_printf("%s|%s|%d|%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT "|%s", row->pool, row->gpu_class,
                                         row->without_gpu, row->vcpus, row->memory_mib, row->gpus, row->licences);
  void *known;
  if (g_hash_table_lookup_extended(p->classes, key, NULL, &known))
    return known;
  GPtrArray *classes = classes_new(p, row);
  g_hash_table_insert(p->classes, g_steal_pointer(&key), classes);
  return classes;
}

static int pool_number(Play *p, const Pool *pool)
{
  int number = GPOINTER_TO_INT(g_hash_table_lookup(p->pools, pool->head.name));
  if (number)
    return number - 1;
  g_array_append_val(p->most, pool->max);
  g_hash_table_insert(p->pools, pool->head.name, GINT_TO_POINTER(p->most->len));
  return (int)p->most->len - 1;
}

static void lasts_note(Play *p, const char *pool, int64_t lasts_us)
{
  GArray *all = g_hash_table_lookup(p->lasts, pool);
  if (!all)
    g_hash_table_insert(p->lasts, (char *)pool, all = g_array_new(FALSE, FALSE, sizeof(int64_t)));
  g_array_append_val(all, lasts_us);
}

static int compare_times(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void lasts_sort(void *pool, void *all, void *data)
{
  g_array_sort(all, compare_times);
}

static void lasts_gather(Play *p)
{
  for (guint i = 0; i < p->r->rows->len; i++) {
    const Row *row = &g_array_index(p->r->rows, Row, i);
    if (row->lasts_us < 0)
      continue;
    lasts_note(p, row->pool ? row->pool : "", row->lasts_us);
    lasts_note(p, "", row->lasts_us);
  }
  g_hash_table_foreach(p->lasts, lasts_sort, NULL);
}

/* Who was denied would have stayed as long as others of the pool did, in the middle. */
static int64_t lasts_of(const Play *p, const Row *row)
{
  const GArray *all = g_hash_table_lookup(p->lasts, row->pool);
  if (!all)
    all = g_hash_table_lookup(p->lasts, "");
  if (row->lasts_us >= 0)
    return row->lasts_us;
  return all ? g_array_index(all, int64_t, all->len / 2) : RECORDED_LASTS_S * SECOND_US;
}

/* ── seats ────────────────────────────────────────────────────────────────── */

static void total_put(Play *p, const char *licence, int64_t total)
{
  int number = GPOINTER_TO_INT(g_hash_table_lookup(p->licences, licence));
  if (number) {
    g_array_index(p->totals, int64_t, number - 1) = total;
    return;
  }
  g_array_append_val(p->totals, total);
  g_hash_table_insert(p->licences, g_strdup(licence), GINT_TO_POINTER(p->totals->len));
}

static bool total_read(Play *p, const char *text, GError **err)
{
  const char *equals = strchr(text, '=');
  g_autofree char *name = equals ? g_strndup(text, equals - text) : NULL;
  int64_t total;
  if (!equals || !name_check("licences", name, NULL) || !number_parse(equals + 1, 0, LICENCE_SEATS_MOST, &total))
    return error_false(err, REASON_BAD_VALUE, "field", "licences", "value", text, "limit", "NAME=N, such as cad=20", NULL);
  total_put(p, name, total);
  return true;
}

/* Those there are, and those that would be. */
static bool totals_put(Play *p, const char *list, GError **err)
{
  g_autoptr(GPtrArray) names = brain_names(p->r->brain, NOUN_LICENCE);
  g_auto(GStrv) parts = g_strsplit(list ? list : "", ",", -1);
  for (guint i = 0; i < names->len; i++)
    total_put(p, names->pdata[i], GET(p->r->brain, Licence, LICENCE, names->pdata[i])->total);
  for (int i = 0; parts[i]; i++)
    if (!total_read(p, g_strstrip(parts[i]), err))
      return false;
  return true;
}

static GArray *seats_new_of(Play *p, const char *text)
{
  g_auto(GStrv) list = g_strsplit(text, ",", -1);
  LicenceNeed needs[LICENCES_MOST];
  int n = licence_needs(list, needs);
  GArray *seats = g_array_new(FALSE, FALSE, sizeof(ReplaySeats));
  for (int i = 0; i < n; i++) {
    int number = GPOINTER_TO_INT(g_hash_table_lookup(p->licences, needs[i].name));
    ReplaySeats one = { number - 1, needs[i].n };
    if (number) /* of one that is gone nobody counts seats */
      g_array_append_val(seats, one);
  }
  return seats;
}

/* NULL: none. Borrowed. */
static GArray *seats_of(Play *p, const Row *row, const Pool *pool)
{
  g_autofree char *of_pool = !row->licences && pool->licences ? g_strjoinv(",", pool->licences) : NULL;
  const char *text = row->licences ? row->licences : of_pool ? of_pool : "";
  GArray *seats = g_hash_table_lookup(p->seats, text);
  if (!seats)
    g_hash_table_insert(p->seats, g_strdup(text), seats = seats_new_of(p, text));
  return seats->len ? seats : NULL;
}

/* ── one who asks ─────────────────────────────────────────────────────────── */

/* As the controller has it: refused at once where there is no place, but with a deadline, or as long as its person comes again; in line for a seat
 * until the deadline, or until its person leaves. */
static void waits_set(ReplayDemand *d, const Row *row, int64_t patience_us)
{
  int64_t left_us = row->gave_up_us ? MAX(0, row->gave_up_us - row->asked_us) : REPLAY_FOR_EVER;
  int64_t by_us = row->by_us ? MIN(left_us, MAX(0, row->by_us - row->asked_us)) : 0;
  d->waits_us = MAX(by_us, row->asked_till_us - row->asked_us);
  d->waits_seats_us = by_us ? by_us : left_us;
  if (patience_us >= 0)
    d->waits_us = d->waits_seats_us = patience_us;
}

static void row_play(Play *p, const Row *row, int64_t patience_us)
{
  const Pool *pool = row->pool ? GET(p->r->brain, Pool, POOL, row->pool) : NULL;
  GPtrArray *classes = pool ? classes_of(p, row) : NULL;
  bool dedicated = pool && pool->kind == POOL_DEDICATED;
  if (!classes) {
    p->left_out++;
    return;
  }
  GArray *seats = seats_of(p, row, pool);
  bool owns = dedicated && row->user && !g_hash_table_add(p->owners, g_strconcat(row->pool, " ", row->user, NULL));
  if (owns && !seats)
    return;
  ReplayDemand one = { .classes = g_ptr_array_ref(owns ? p->none : classes), .from_us = row->asked_us, .lasts_us = MAX(1, lasts_of(p, row)),
                       .pool = pool_number(p, pool), .keeps = dedicated, .seats = seats ? g_array_ref(seats) : NULL };
  waits_set(&one, row, patience_us);
  g_array_append_val(p->demands, one);
}

static int compare_rows(const void *a, const void *b)
{
  const Row *x = a, *y = b;
  return (x->asked_us > y->asked_us) - (x->asked_us < y->asked_us);
}

static void play_init(Play *p, Recorded *r)
{
  *p = (Play){ .r = r, .f = fleet_dup(ledger_fleet(r->brain)), .most = g_array_new(FALSE, FALSE, sizeof(int64_t)), .demands = replay_demands_new() };
  p->classes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, classes_drop);
  p->pools = g_hash_table_new(g_str_hash, g_str_equal);
  p->owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  p->lasts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_array_unref);
  p->licences = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  p->seats = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_array_unref);
  p->totals = g_array_new(FALSE, FALSE, sizeof(int64_t));
  p->none = g_ptr_array_new();
}

static bool no_demand(const Recorded *r, int outside, int left_out, GError **err)
{
  g_autofree char *rows = g_strdup_printf("%u", r->rows->len), *out = g_strdup_printf("%d", outside), *gone = g_strdup_printf("%d", left_out);
  return error_false(err, REASON_NO_DEMAND, "rows", rows, "outside", out, "gone", gone, NULL);
}

guint recorded_rows(const Recorded *r) { return r->rows->len; }

bool recorded_play(Recorded *r, const RecordedPlan *plan, ReplayResult *ret, GArray **ret_uses, int *ret_left_out, GError **err)
{
  g_auto(Play) p;
  play_init(&p, r);
  fleet_empty(p.f);
  if (!plan_add_hosts(p.f, plan->add_hosts, err) || !plan_leave_out(p.f, plan->without_host, err) || !totals_put(&p, plan->licences, err))
    return false;
  lasts_gather(&p);
  int outside = 0;
  g_array_sort(r->rows, compare_rows); /* of a person's rows the first is the one that got the dedicated desktop */
  for (guint i = 0; i < r->rows->len; i++) {
    const Row *row = &g_array_index(r->rows, Row, i);
    if (row->asked_us >= plan->from_us && (!plan->to_us || row->asked_us < plan->to_us))
      row_play(&p, row, plan->patience_us);
    else
      outside++;
  }
  if (!p.demands->len)
    return no_demand(r, outside, p.left_out, err);
  ReplayTerms terms = { (const int64_t *)(void *)p.most->data, (int)p.most->len, (const int64_t *)(void *)p.totals->data, (int)p.totals->len };
  *ret_left_out = p.left_out;
  return replay_play(p.f, p.demands, &terms, ret, ret_uses, err);
}
