/* The format: https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md */
#include "drivers/http/metrics.h"

#include "core/gpu_json.h"
#include "core/version.h"
#include "drivers/http/taken.h"

#define MIB (INT64_C(1) << 20)

typedef struct {
  Published *published;
  GString *out;
} Metrics;

/* ── the format ───────────────────────────────────────────────────────────── */

static void family(const Metrics *m, const char *name, const char *type, const char *help)
{
  g_string_append_printf(m->out, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

static void append_value(GString *out, const char *text)
{
  for (; *text; text++)
    switch (*text) {
    case '\n': g_string_append(out, "\\n"); break;
    case '"': g_string_append(out, "\\\""); break;
    case '\\': g_string_append(out, "\\\\"); break;
    default: g_string_append_c(out, *text);
    }
}

/* labels: names and values in turn, ended by NULL; a value that is NULL is an absent label. */
static void sample(const Metrics *m, const char *name, int64_t value, const char *const *labels)
{
  const char *between = "{";
  g_string_append(m->out, name);
  for (; labels[0]; labels += 2) {
    if (!labels[1])
      continue;
    g_string_append_printf(m->out, "%s%s=\"", between, labels[0]);
    append_value(m->out, labels[1]);
    g_string_append_c(m->out, '"');
    between = ",";
  }
  g_string_append_printf(m->out, "%s %" G_GINT64_FORMAT "\n", *between == ',' ? "}" : "", value);
}
#define SAMPLE(m, name, value, ...) sample(m, name, value, (const char *const[]){ __VA_ARGS__, NULL })

static GPtrArray *all(const Metrics *m, Noun noun) { return published_list(m->published, noun, NULL, 0, NULL, NULL); }

/* ── numbers that are fields ──────────────────────────────────────────────── */

static const struct { Noun noun; const char *label, *field, *name, *help; } rows[] = {
  { NOUN_STORAGE, "storage", "total_bytes", "sarang_storage_size_bytes", "Size of a storage; 0 = not measured yet." },
  { NOUN_STORAGE, "storage", "free_bytes", "sarang_storage_free_bytes", "Free in it, as measured last." },
  { NOUN_LICENCE, "licence", "total", "sarang_licence_seats", "Seats of a licence." },
  { NOUN_LICENCE, "licence", "held", "sarang_licence_held_seats", "Of these, seats that sessions hold." },
  { NOUN_LICENCE, "licence", "waiting", "sarang_licence_waiting_sessions", "Sessions in line in pools that want some of it." },
  { NOUN_POOL, "pool", "min", "sarang_pool_min_desktops", "Desktops of a pool that always exist." },
  { NOUN_POOL, "pool", "spare", "sarang_pool_spare_desktops", "Desktops to be kept available beyond those in use." },
  { NOUN_POOL, "pool", "max", "sarang_pool_max_desktops", "Desktops it may have at most." },
  { NOUN_POOL, "pool", "errors", "sarang_pool_errors", "Failures that count for the brake on its growth." },
  { NOUN_RESERVATION, "reservation", "count", "sarang_reservation_desktops", "Desktops that are to be kept." },
  { NOUN_RESERVATION, "reservation", "held", "sarang_reservation_held_desktops", "Of these, desktops that are held." },
  { NOUN_RESERVATION, "reservation", "used", "sarang_reservation_used_desktops", "Of these, desktops that its people have." },
  { NOUN_GPU, "gpu", "used", "sarang_gpu_parts", "Parts of a card in use, whoever has them." },
  { NOUN_GPU, "gpu", "foreign_parts", "sarang_gpu_foreign_parts", "Of these, parts that are not ours." },
};

static void add_fields(const Metrics *m)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    const Field *field = schema_field(&schemas[rows[i].noun], rows[i].field);
    g_autoptr(GPtrArray) objects = all(m, rows[i].noun);
    family(m, rows[i].name, "gauge", rows[i].help);
    for (guint o = 0; o < objects->len; o++)
      SAMPLE(m, rows[i].name, FIELD_AT(int64_t, objects->pdata[o], field), rows[i].label, ((const Object *)objects->pdata[o])->name);
  }
}

static const struct { Noun noun; const char *label, *name, *help; } states[] = {
  { NOUN_HOST, "host", "sarang_host_state", "1 for the state that a host is in." },
  { NOUN_POOL, "pool", "sarang_pool_state", "1 for the state that a pool is in." },
  { NOUN_GPU, "gpu", "sarang_gpu_state", "1 for the state that a card is in." },
  { NOUN_VGPU, "vgpu", "sarang_vgpu_state", "1 for the state that a claim on a part of a card is in." },
};

static void add_states(const Metrics *m)
{
  for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
    const Field *field = schema_field(&schemas[states[i].noun], "state");
    g_autoptr(GPtrArray) objects = all(m, states[i].noun);
    family(m, states[i].name, "gauge", states[i].help);
    for (guint o = 0; o < objects->len; o++) {
      const Object *object = objects->pdata[o];
      SAMPLE(m, states[i].name, 1, states[i].label, object->name, "state", field->names->names[FIELD_AT(int, object, field)]);
    }
  }
}

/* ── numbers that are counted ─────────────────────────────────────────────── */

static const struct { Noun noun; bool by_pool; const char *name, *help; } counts[] = {
  { NOUN_DESKTOP, true, "sarang_desktops", "Desktops of a pool in a state." },
  { NOUN_SESSION, true, "sarang_sessions", "Sessions in a pool in a state." },
  { NOUN_TASK, false, "sarang_tasks", "Tasks in a state." },
};

static int64_t *counts_of(GHashTable *by_pool, const char *pool, int n)
{
  int64_t *numbers = g_hash_table_lookup(by_pool, pool);
  if (!numbers)
    g_hash_table_insert(by_pool, (char *)pool, numbers = g_new0(int64_t, n));
  return numbers;
}

static void add_count(const Metrics *m, size_t row)
{
  const Schema *schema = &schemas[counts[row].noun];
  const Field *state = schema_field(schema, "state"), *pool = counts[row].by_pool ? schema_field(schema, "pool") : NULL;
  g_autoptr(GPtrArray) objects = all(m, counts[row].noun);
  g_autoptr(GHashTable) by_pool = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
  family(m, counts[row].name, "gauge", counts[row].help);
  for (guint o = 0; o < objects->len; o++) {
    const char *of = pool ? FIELD_AT(const char *, objects->pdata[o], pool) : NULL;
    counts_of(by_pool, of ? of : "", state->names->n)[FIELD_AT(int, objects->pdata[o], state)]++;
  }
  g_autoptr(GList) pools = g_list_sort(g_hash_table_get_keys(by_pool), (GCompareFunc)name_compare);
  for (GList *p = pools; p; p = p->next)
    for (int s = 0; s < state->names->n; s++)
      if (counts_of(by_pool, p->data, state->names->n)[s])
        SAMPLE(m, counts[row].name, counts_of(by_pool, p->data, state->names->n)[s], "pool", pool ? p->data : NULL, "state",
               state->names->names[s]);
}

/* ── hosts ────────────────────────────────────────────────────────────────── */

typedef struct { int64_t of, used; } Capacity;

static void add_capacity(const Metrics *m, const char *what, const char *help, GPtrArray *hosts, const Capacity *numbers)
{
  g_autofree char *of = g_strdup_printf("sarang_host_%s", what), *used = g_strdup_printf("sarang_host_used_%s", what);
  g_autofree char *of_help = g_strdup_printf("%s that a host hands out.", help), *used_help = g_strdup_printf("%s that its desktops have.", help);
  family(m, of, "gauge", of_help);
  for (guint i = 0; i < hosts->len; i++)
    SAMPLE(m, of, numbers[i].of, "host", ((const Object *)hosts->pdata[i])->name);
  family(m, used, "gauge", used_help);
  for (guint i = 0; i < hosts->len; i++)
    SAMPLE(m, used, numbers[i].used, "host", ((const Object *)hosts->pdata[i])->name);
}

static void add_hosts(const Metrics *m)
{
  g_autoptr(GPtrArray) hosts = all(m, NOUN_HOST);
  g_autoptr(Taken) taken = taken_new(m->published, NULL);
  g_autofree Capacity *vcpus = g_new0(Capacity, hosts->len + 1), *memory = g_new0(Capacity, hosts->len + 1);
  for (guint i = 0; i < hosts->len; i++) {
    const Host *host = hosts->pdata[i];
    TakenSum sum = taken_of(taken, host->head.name);
    vcpus[i] = (Capacity){ host_offer_vcpus(host), sum.vcpus };
    memory[i] = (Capacity){ host_offer_mib(host) * MIB, sum.memory_mib * MIB };
  }
  add_capacity(m, "vcpus", "Virtual CPUs", hosts, vcpus);
  add_capacity(m, "memory_bytes", "Bytes of memory", hosts, memory);
  family(m, "sarang_host_cards_unseen", "gauge", "1 where a host's graphics cards cannot be looked at: what is told of them is as of before.");
  for (guint i = 0; i < hosts->len; i++)
    SAMPLE(m, "sarang_host_cards_unseen", ((const Host *)hosts->pdata[i])->cards_error != NULL, "host", ((const Object *)hosts->pdata[i])->name);
}

/* ── cards and their parts ────────────────────────────────────────────────── */

static void add_cards(const Metrics *m)
{
  g_autoptr(GPtrArray) cards = all(m, NOUN_GPU);
  family(m, "sarang_gpu", "info", "What a card is.");
  for (guint i = 0; i < cards->len; i++) {
    const Gpu *g = cards->pdata[i];
    SAMPLE(m, "sarang_gpu_info", 1, "gpu", g->head.name, "host", g->host, "address", g->address, "backend", gpu_backend_names.names[g->backend],
           "vendor", g->vendor, "model", g->model, "serial", g->serial);
  }
  family(m, "sarang_gpu_differs", "gauge", "1 where a card is not ready, or differs from the claims on it.");
  for (guint i = 0; i < cards->len; i++)
    SAMPLE(m, "sarang_gpu_differs", ((const Gpu *)cards->pdata[i])->error != NULL, "gpu", ((const Object *)cards->pdata[i])->name);
  family(m, "sarang_gpu_type_free", "gauge", "How many more parts of a type a card could give now, at most.");
  for (guint i = 0; i < cards->len; i++) {
    const Gpu *g = cards->pdata[i];
    g_autoptr(GpuCard) card = gpu_card_read(g);
    for (guint t = 0; t < card->types->len; t++) {
      const GpuType *type = card->types->pdata[t];
      SAMPLE(m, "sarang_gpu_type_free", type->free, "gpu", g->head.name, "type", type->id);
    }
  }
}

static void add_parts(const Metrics *m)
{
  g_autoptr(GPtrArray) claims = all(m, NOUN_VGPU);
  family(m, "sarang_vgpu", "info", "A claim on a part of a card: for whom, and where it is.");
  for (guint i = 0; i < claims->len; i++) {
    const Vgpu *v = claims->pdata[i];
    SAMPLE(m, "sarang_vgpu_info", 1, "vgpu", v->head.name, "gpu", v->gpu, "host", v->host, "desktop", v->desktop, "type", v->type, "uuid", v->uuid,
           "address", v->address);
  }
  family(m, "sarang_vgpu_differs", "gauge", "1 where the card differs from the claim.");
  for (guint i = 0; i < claims->len; i++)
    SAMPLE(m, "sarang_vgpu_differs", ((const Vgpu *)claims->pdata[i])->error != NULL, "vgpu", ((const Object *)claims->pdata[i])->name);
}

/* ── the controller ───────────────────────────────────────────────────────── */

static void add_controller(const Metrics *m, Server *server)
{
  g_autoptr(GError) failure = runtime_store_failure(server->runtime);
  family(m, "sarang_build", "info", "Which Sarang this is.");
  SAMPLE(m, "sarang_build_info", 1, "version", SARANG_VERSION);
  family(m, "sarang_uptime_seconds", "gauge", "Since the controller serves.");
  SAMPLE(m, "sarang_uptime_seconds", (g_get_monotonic_time() - server->started_us) / G_USEC_PER_SEC, NULL);
  family(m, "sarang_store_ok", "gauge", "Whether what is asked for becomes durable.");
  SAMPLE(m, "sarang_store_ok", !failure, NULL);
}

GString *metrics_text(Server *server)
{
  Metrics m = { runtime_published(server->runtime), g_string_sized_new(64 << 10) };
  add_controller(&m, server);
  add_states(&m);
  add_fields(&m);
  add_hosts(&m);
  for (size_t i = 0; i < G_N_ELEMENTS(counts); i++)
    add_count(&m, i);
  add_cards(&m);
  add_parts(&m);
  g_string_append(m.out, "# EOF\n");
  return m.out;
}
