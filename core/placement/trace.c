/* Recorded demand as text. */
#include "core/placement/trace.h"

#include "core/csv.h"
#include "core/text.h"

#include <string.h>

enum { COLUMNS_READ = 8 };

typedef struct {
  Csv csv;
  int at[COLUMNS_READ];       /* place of each wanted column, -1: the list has none */
  const char *const *names;
  int n;
  char **fields;              /* of the present line */
} Table;

static bool bad_line(const Table *t, const char *what, GError **err)
{
  g_autofree char *where = g_strdup_printf("line %d", t->csv.line);
  return error_false(err, REASON_BAD_VALUE, "field", where, "value", what, "limit", "a row of the list its header announces", NULL);
}

static void table_done(Table *t)
{
  g_clear_pointer(&t->fields, g_strfreev);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Table, table_done)

/* *ret_more: there was one more line. */
static bool table_next(Table *t, bool *ret_more, GError **err)
{
  g_clear_pointer(&t->fields, g_strfreev);
  bool good = csv_next(&t->csv, &t->fields, err);
  *ret_more = good && t->fields;
  return good;
}

/* names[0..needed) must be there. */
static bool table_open(Table *t, const char *text, const char *const *names, int needed, GError **err)
{
  bool more;
  *t = (Table){ .csv = csv_open(text), .names = names };
  if (!table_next(t, &more, err))
    return false;
  if (!more)
    return bad_line(t, "", err);
  for (t->n = 0; names[t->n]; t->n++) {
    t->at[t->n] = -1;
    for (int i = 0; t->fields[i]; i++)
      if (!strcmp(t->fields[i], names[t->n]))
        t->at[t->n] = i;
    if (t->at[t->n] < 0 && t->n < needed)
      return bad_line(t, names[t->n], err);
  }
  return true;
}

static const char *table_text(const Table *t, int column)
{
  int at = t->at[column];
  for (int i = 0; i <= at; i++)
    if (!t->fields[i])
      return "";
  return at < 0 ? "" : t->fields[at];
}

static bool table_number(const Table *t, int column, int64_t *ret, GError **err)
{
  const char *text = table_text(t, column);
  *ret = 0;
  size_t whole = strcspn(text, ".");
  g_autofree char *digits = g_strndup(text, whole);
  return !*text || number_parse(digits, 0, INT32_MAX, ret) || bad_line(t, text, err);
}

/* ── hosts ────────────────────────────────────────────────────────────────── */

enum { NODE_NAME, NODE_CPU, NODE_MEMORY, NODE_GPU, NODE_MODEL };
static const char *const node_columns[] = { "sn", "cpu_milli", "memory_mib", "gpu", "model", NULL };

static bool ensure_model(Fleet *f, const char *name, GError **err)
{
  g_autoptr(GError) known = NULL;
  CardModelSpec spec = { .name = name, .any_share = true };
  if (fleet_add_model(f, &spec, &known) || error_is(known, REASON_EXISTS))
    return true;
  g_propagate_error(err, g_steal_pointer(&known));
  return false;
}

static bool add_host(Fleet *f, const Table *t, const char *suffix, GError **err)
{
  int64_t cpu, memory, gpus;
  const char *model = table_text(t, NODE_MODEL);
  if (!table_number(t, NODE_CPU, &cpu, err) || !table_number(t, NODE_MEMORY, &memory, err) || !table_number(t, NODE_GPU, &gpus, err))
    return false;
  if (gpus > CARDS_MOST)
    return bad_line(t, table_text(t, NODE_GPU), err);
  if (gpus && !ensure_model(f, model, err))
    return false;
  CardSpec cards[CARDS_MOST];
  for (int i = 0; i < gpus; i++)
    cards[i] = (CardSpec){ model, 0 };
  g_autofree char *name = g_strconcat(table_text(t, NODE_NAME), suffix, NULL);
  HostSpec spec = { .name = name, .state = "up", .vcpus = cpu, .memory_mib = memory, .n_cards = (int)gpus, .cards = cards };
  int host;
  return fleet_add_host(f, &spec, &host, err);
}

bool trace_add_hosts(Fleet *f, const char *text, const char *suffix, GError **err)
{
  g_auto(Table) t = {};
  if (!table_open(&t, text, node_columns, NODE_GPU + 1, err))
    return false;
  for (bool more = true; more;)
    if (!table_next(&t, &more, err) || (more && !add_host(f, &t, suffix, err)))
      return false;
  return true;
}

/* ── demands ──────────────────────────────────────────────────────────────── */

enum { POD_CPU, POD_MEMORY, POD_GPUS, POD_SHARE, POD_MODELS, POD_FROM, POD_UNTIL };
static const char *const pod_columns[] = { "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec", "creation_time", "deletion_time", NULL };

static void demand_clear(void *data)
{
  demand_class_unref(((TraceDemand *)data)->class);
}

static bool add_demand(Fleet *f, const Table *t, const Policy *policy, GArray *demands, GError **err)
{
  int64_t numbers[POD_UNTIL + 1];
  for (int i = 0; i <= POD_UNTIL; i++)
    if (i != POD_MODELS && !table_number(t, i, &numbers[i], err))
      return false;
  g_auto(GStrv) models = *table_text(t, POD_MODELS) ? g_strsplit(table_text(t, POD_MODELS), "|", -1) : NULL;
  Demand d = { .vcpus = numbers[POD_CPU], .memory_mib = numbers[POD_MEMORY], .policy = *policy };
  if (numbers[POD_GPUS] && numbers[POD_SHARE])
    d.gpu = (GpuWish){ .count = (int)MIN(numbers[POD_GPUS], INT16_MAX), .share = (int)numbers[POD_SHARE], .models = (const char *const *)models };
  TraceDemand one = { demand_class(f, &d, err), numbers[POD_FROM] * G_USEC_PER_SEC, numbers[POD_UNTIL] * G_USEC_PER_SEC, d.gpu.count * d.gpu.share };
  if (!one.class)
    return false;
  g_array_append_val(demands, one);
  return true;
}

GArray *trace_read_demands(Fleet *f, const char *text, const Policy *policy, GError **err)
{
  g_auto(Table) t = {};
  g_autoptr(GArray) demands = g_array_new(FALSE, FALSE, sizeof(TraceDemand));
  g_array_set_clear_func(demands, demand_clear);
  if (!table_open(&t, text, pod_columns, POD_SHARE + 1, err))
    return NULL;
  for (bool more = true; more;) {
    if (!table_next(&t, &more, err))
      return NULL;
    if (more && demands->len == TRACE_LINES_MOST)
      return error_null(err, REASON_TOO_LARGE, "what", "the list", "value", "2000001 lines", "limit", "2000000", NULL);
    if (more && !add_demand(f, &t, policy, demands, err))
      return NULL;
  }
  return g_steal_pointer(&demands);
}

void trace_set_mix(Fleet *f, const GArray *demands)
{
  g_autoptr(GHashTable) place = g_hash_table_new(NULL, NULL);
  g_autoptr(GPtrArray) classes = g_ptr_array_new();
  g_autoptr(GArray) weights = g_array_new(FALSE, FALSE, sizeof(int64_t));
  for (guint i = 0; i < demands->len; i++) {
    DemandClass *c = g_array_index(demands, TraceDemand, i).class;
    int at = GPOINTER_TO_INT(g_hash_table_lookup(place, c));
    int64_t one = 1;
    if (at) {
      g_array_index(weights, int64_t, at - 1)++;
      continue;
    }
    g_ptr_array_add(classes, c);
    g_array_append_val(weights, one);
    g_hash_table_insert(place, c, GINT_TO_POINTER(classes->len));
  }
  fleet_set_mix(f, (DemandClass *const *)classes->pdata, (const int64_t *)weights->data, (int)classes->len);
}

/* ── arrivals ─────────────────────────────────────────────────────────────── */

static uint64_t next_random(uint64_t *state)
{
  uint64_t x = *state += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

static guint draw(uint64_t *state, guint n)
{
  return (guint)(((next_random(state) >> 32) * n) >> 32);
}

GArray *trace_draw(const GArray *demands, int64_t gpu_milli, int pct, uint64_t seed)
{
  uint64_t state = seed;
  int64_t asked = 0, target = gpu_milli * pct / 100;
  GArray *order = g_array_new(FALSE, FALSE, sizeof(guint));
  for (guint i = 0; i < demands->len; i++)
    g_array_append_val(order, i);
  for (guint i = demands->len - 1; i > 0; i--) {
    guint j = draw(&state, i + 1), kept = g_array_index(order, guint, i);
    g_array_index(order, guint, i) = g_array_index(order, guint, j);
    g_array_index(order, guint, j) = kept;
  }
  GArray *arrivals = g_array_new(FALSE, FALSE, sizeof(guint));
  for (guint i = 0; asked < target; i++) {
    guint one = i < order->len ? g_array_index(order, guint, i) : draw(&state, demands->len);
    asked += g_array_index(demands, TraceDemand, one).gpu_milli;
    if (asked <= target)
      g_array_append_val(arrivals, one);
  }
  g_array_unref(order);
  return arrivals;
}
