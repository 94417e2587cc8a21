#include "core/csv.h"

#include <string.h>

enum { TOLD_BYTES = 40 };

static const char separators[] = ",;\t";

/* The first of them outside quotes on the first line that holds something. */
static char separator_of(const char *text)
{
  bool quoted = false;
  text += strspn(text, " \r\n");
  for (const char *c = text; *c && (quoted || *c != '\n'); c++)
    if (*c == '"')
      quoted = !quoted;
    else if (!quoted && strchr(separators, *c))
      return *c;
  return separators[0];
}

Csv csv_open(const char *text)
{
  bool marked = g_str_has_prefix(text, "\xef\xbb\xbf");
  return (Csv){ .rest = text + (marked ? 3 : 0), .next = 1 };
}

static bool bad_quotes(const Csv *csv, const char *from, const char *limit, GError **err)
{
  g_autofree char *where = g_strdup_printf("line %d", csv->line);
  g_autofree char *start = g_utf8_make_valid(from, (gssize)strnlen(from, TOLD_BYTES));
  return error_false(err, REASON_BAD_VALUE, "field", where, "value", start, "limit", limit, NULL);
}

/* Up to what ends a field or its row. */
static char *bare_field(Csv *csv)
{
  const char ends[] = { csv->separator, '\n', 0 };
  size_t length = strcspn(csv->rest, ends);
  char *field = g_strstrip(g_strndup(csv->rest, length));
  csv->rest += length;
  return field;
}

/* csv->rest stands on the quote. */
static char *quoted_field(Csv *csv, GError **err)
{
  g_autoptr(GString) field = g_string_new(NULL);
  const char *from = csv->rest, *c = from + 1;
  for (; *c && (*c != '"' || c[1] == '"'); c++) {
    csv->next += *c == '\n';
    g_string_append_c(field, *c);
    c += *c == '"';
  }
  if (!*c)
    return bad_quotes(csv, from, "a field whose quotes end", err), NULL;
  c++;
  c += strspn(c, csv->separator == '\t' ? " \r" : " \t\r");
  csv->rest = c;
  if (*c && *c != '\n' && *c != csv->separator)
    return bad_quotes(csv, from, "a field with nothing behind its quotes (a quote in it is written twice)", err), NULL;
  return g_string_free(g_steal_pointer(&field), FALSE);
}

static char *field_next(Csv *csv, GError **err)
{
  size_t blank = strspn(csv->rest, csv->separator == '\t' ? " " : " \t");
  if (csv->rest[blank] != '"')
    return bare_field(csv);
  csv->rest += blank;
  return quoted_field(csv, err);
}

static void skip_blank_lines(Csv *csv)
{
  for (size_t blank = strspn(csv->rest, " \t\r"); csv->rest[blank] == '\n'; blank = strspn(csv->rest, " \t\r")) {
    csv->rest += blank + 1;
    csv->next++;
  }
}

bool csv_next(Csv *csv, char ***ret_fields, GError **err)
{
  g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);
  *ret_fields = NULL;
  skip_blank_lines(csv);
  csv->line = csv->next;
  if (!csv->separator)
    csv->separator = separator_of(csv->rest);
  if (!csv->rest[strspn(csv->rest, " \t\r")])
    return true;
  for (bool more = true; more;) {
    char *field = field_next(csv, err);
    if (!field)
      return false;
    g_ptr_array_add(fields, field);
    more = *csv->rest == csv->separator;
    csv->rest += more;
  }
  csv->next += *csv->rest == '\n';
  csv->rest += *csv->rest == '\n';
  g_ptr_array_add(fields, NULL);
  *ret_fields = (char **)g_ptr_array_free(g_steal_pointer(&fields), FALSE);
  return true;
}
