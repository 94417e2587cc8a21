#include "core/cells.h"

#include <glib.h>
#include <jansson.h>
#include <string.h>

bool cell_set_cpus(HostCell *cell, const bool cpus[HOST_CPUS_MAX])
{
  g_autoptr(GString) text = g_string_new(NULL);
  cell->n_cpus = 0;
  for (int first = 0; first < HOST_CPUS_MAX; first++) {
    int last = first;
    if (!cpus[first])
      continue;
    while (last + 1 < HOST_CPUS_MAX && cpus[last + 1])
      last++;
    g_string_append_printf(text, "%s%d", text->len ? "," : "", first);
    if (last > first)
      g_string_append_printf(text, "-%d", last);
    cell->n_cpus += last - first + 1;
    first = last;
  }
  return text->len && g_strlcpy(cell->cpus, text->str, sizeof cell->cpus) < sizeof cell->cpus;
}

char *host_cells_text(const HostCells *cells)
{
  GString *text = cells->n ? g_string_new("[") : NULL;
  for (int i = 0; i < cells->n; i++) {
    const HostCell *c = &cells->cells[i];
    g_string_append_printf(text, "%s{\"id\":%d,\"cpus\":\"%s\",\"memory_mib\":%" G_GINT64_FORMAT ",\"huge_mib\":%" G_GINT64_FORMAT "}",
                           i ? "," : "", c->id, c->cpus, c->memory_mib, c->huge_mib);
  }
  return text ? g_string_free(g_string_append_c(text, ']'), FALSE) : NULL;
}

/* The next number of *text, or -1; *text is behind it. */
static int cpu_next(const char **text)
{
  char *end = NULL;
  guint64 number = g_ascii_isdigit(**text) ? g_ascii_strtoull(*text, &end, 10) : HOST_CPUS_MAX;
  if (number >= HOST_CPUS_MAX)
    return -1;
  *text = end;
  return (int)number;
}

/* How many CPUs such ranges name; 0: they are none. */
static int cpus_count(const char *text)
{
  int n = 0;
  for (;;) {
    int first = cpu_next(&text), last = first;
    if (first >= 0 && *text == '-') {
      text++;
      last = cpu_next(&text);
    }
    if (first < 0 || last < first)
      return 0;
    n += last - first + 1;
    if (!*text)
      return n;
    if (*text++ != ',')
      return 0;
  }
}

static bool cell_read(json_t *json, HostCell *cell)
{
  const char *cpus = json_string_value(json_object_get(json, "cpus"));
  json_int_t id = json_integer_value(json_object_get(json, "id"));
  *cell = (HostCell){ .id = (int)id, .n_cpus = cpus ? cpus_count(cpus) : 0, .memory_mib = json_integer_value(json_object_get(json, "memory_mib")),
                      .huge_mib = json_integer_value(json_object_get(json, "huge_mib")) };
  bool fits = cpus && g_strlcpy(cell->cpus, cpus, sizeof cell->cpus) < sizeof cell->cpus;
  return fits && cell->n_cpus && id >= 0 && id < HOST_CELLS_MAX && cell->memory_mib >= 0 && cell->memory_mib <= INT32_MAX &&
         cell->huge_mib >= 0 && cell->huge_mib <= cell->memory_mib;
}

void host_cells_read(const char *text, HostCells *ret_cells)
{
  json_auto_t *all = text ? json_loads(text, 0, NULL) : NULL;
  json_t *one;
  size_t i;
  ret_cells->n = 0;
  json_array_foreach(all, i, one)
    if (ret_cells->n < HOST_CELLS_MAX && cell_read(one, &ret_cells->cells[ret_cells->n]))
      ret_cells->n++;
}

const HostCell *host_cell_find(const HostCells *cells, int64_t id)
{
  for (int i = 0; i < cells->n; i++)
    if (cells->cells[i].id == id)
      return &cells->cells[i];
  return NULL;
}
