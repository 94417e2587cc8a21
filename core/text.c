#include "core/text.h"

#include "core/error.h"

#include <string.h>

enum { SHOWN_CHARACTERS = 80 };

static const char NAME_FIRST[] = "abcdefghijklmnopqrstuvwxyz0123456789";
static const char NAME_REST[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
static const char ACCOUNT_FIRST[] = "abcdefghijklmnopqrstuvwxyz_";
static const char ACCOUNT_REST[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";

static bool is_hidden(gunichar c)
{
  enum { ZWNJ = 0x200c, ZWJ = 0x200d };
  if (c == ZWNJ || c == ZWJ)
    return false;
  GUnicodeType type = g_unichar_type(c);
  return type == G_UNICODE_CONTROL || type == G_UNICODE_FORMAT || type == G_UNICODE_SURROGATE ||
         type == G_UNICODE_LINE_SEPARATOR || type == G_UNICODE_PARAGRAPH_SEPARATOR || (c & 0xfffe) == 0xfffe;
}

char *text_dup_visible(const char *text, int max_characters)
{
  GString *out = g_string_new(NULL);
  for (int n = 0; *text && n < max_characters; n++) {
    gunichar c = g_utf8_get_char_validated(text, -1);
    bool valid = c < (gunichar)-2;
    if (!valid)
      g_string_append_printf(out, "<%02X>", (unsigned char)*text);
    else if (is_hidden(c))
      g_string_append_printf(out, "<U+%04X>", c);
    else
      g_string_append_unichar(out, c);
    text += valid ? g_unichar_to_utf8(c, NULL) : 1;
  }
  if (*text)
    g_string_append(out, "…");
  return g_string_free(out, FALSE);
}

static bool is_spelled(const char *text, const char *first, const char *rest, size_t max)
{
  return strchr(first, *text) && strlen(text) <= max && strspn(text, rest) == strlen(text);
}

static bool spelling_check(const char *field, const char *text, bool right, const char *limit, GError **err)
{
  if (!text || !*text)
    return error_false(err, REASON_MISSING_FIELD, "field", field, NULL);
  if (right)
    return true;
  g_autofree char *shown = text_dup_visible(text, SHOWN_CHARACTERS);
  return error_false(err, REASON_BAD_NAME, "field", field, "value", shown, "limit", limit, NULL);
}

bool name_check(const char *field, const char *text, GError **err)
{
  bool right = text && *text && is_spelled(text, NAME_FIRST, NAME_REST, NAME_MAX_BYTES);
  return spelling_check(field, text, right, "[a-z0-9][a-z0-9-]{0,62}", err);
}

bool account_check(const char *field, const char *text, GError **err)
{
  bool right = text && *text && is_spelled(text, ACCOUNT_FIRST, ACCOUNT_REST, ACCOUNT_MAX_BYTES) && strcmp(text, "root") != 0;
  return spelling_check(field, text, right, "[a-z_][a-z0-9_-]{0,31}, not root", err);
}

static bool hidden_check(const char *field, const char *text, GError **err)
{
  for (const char *c = text; *c; c = g_utf8_next_char(c)) {
    if (!is_hidden(g_utf8_get_char(c)))
      continue;
    g_autofree char *character = g_strdup_printf("U+%04X", g_utf8_get_char(c));
    g_autofree char *position = g_strdup_printf("%ld", g_utf8_pointer_to_offset(text, c) + 1);
    return error_false(err, REASON_TEXT_HIDDEN, "field", field, "character", character, "position", position, NULL);
  }
  return true;
}

bool text_check(const char *field, const char *text, int max_characters, GError **err)
{
  if (!text)
    return error_false(err, REASON_MISSING_FIELD, "field", field, NULL);
  if (!g_utf8_validate(text, -1, NULL))
    return error_false(err, REASON_TEXT_NOT_UTF8, "field", field, NULL);
  if (!hidden_check(field, text, err))
    return false;
  long length = g_utf8_strlen(text, -1);
  if (length <= max_characters)
    return true;
  g_autofree char *value = g_strdup_printf("%ld characters", length);
  g_autofree char *limit = g_strdup_printf("%d", max_characters);
  return error_false(err, REASON_TOO_LARGE, "what", field, "value", value, "limit", limit, NULL);
}

bool title_check(const char *field, const char *text, GError **err)
{
  return text_check(field, text, TITLE_MAX_CHARACTERS, err);
}

static bool shape_check(const char *field, const char *text, const char *shape, const char *limit, GError **err)
{
  enum { SHAPED_MAX_CHARACTERS = 16384 };
  if (!text_check(field, text, SHAPED_MAX_CHARACTERS, err))
    return false;
  if (g_regex_match_simple(shape, text, G_REGEX_RAW | G_REGEX_DOLLAR_ENDONLY, 0))
    return true;
  g_autofree char *shown = text_dup_visible(text, SHOWN_CHARACTERS);
  return error_false(err, REASON_BAD_VALUE, "field", field, "value", shown, "limit", limit, NULL);
}

/* ZWNJ and ZWJ, which titles may have, are refused by guests: a comment with them reads as another. */
bool ssh_key_check(const char *field, const char *text, GError **err)
{
  return shape_check(field, text, "^(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}( ((?!\\xe2\\x80[\\x8c\\x8d])[^\\n]){0,200})?$",
                     "an OpenSSH public key such as \"ssh-ed25519 AAAAC3Nz… jihye@laptop\", without options, its comment at most 200 bytes", err);
}

bool locale_check(const char *field, const char *text, GError **err)
{
  return shape_check(field, text, "^[A-Za-z]{1,8}(_[A-Za-z0-9]{2,8})?(\\.[A-Za-z0-9-]{1,16})?(@[A-Za-z0-9]{1,16})?$",
                     "a locale such as ko_KR.UTF-8", err);
}

bool number_parse(const char *text, int64_t min, int64_t max, int64_t *ret_number)
{
  return text && *text != '+' && g_ascii_string_to_signed(text, 10, min, max, ret_number, NULL);
}

static const char *unit_of(const char *text, int64_t *ret_us)
{
  static const struct {
    const char *unit;
    int64_t us;
  } units[] = { { "s", G_USEC_PER_SEC }, { "m", INT64_C(60) * G_USEC_PER_SEC }, { "h", INT64_C(3600) * G_USEC_PER_SEC },
              { "d", INT64_C(86400) * G_USEC_PER_SEC } };
  const char *unit = text + strspn(text, "0123456789");
  for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
    if (!strcmp(unit, units[i].unit)) {
      *ret_us = units[i].us;
      return unit;
    }
  return NULL;
}

/* "2026-11-23T14:05" and then a zone or nothing: how long what comes before the zone is; 0 = it is not so. */
static size_t minutes_end(const char *text)
{
  static const char shape[] = "0000-00-00T00:00";
  size_t bytes = sizeof shape - 1;
  for (size_t i = 0; i < bytes; i++)
    if (shape[i] == '0' ? !g_ascii_isdigit(text[i]) : shape[i] == 'T' ? !text[i] || !strchr("Tt ", text[i]) : text[i] != shape[i])
      return 0;
  return text[bytes] && !strchr("Zz+-", text[bytes]) ? 0 : bytes;
}

bool date_parse(const char *text, int64_t *ret_us)
{
  size_t end = minutes_end(text); /* GLib wants seconds, people do not */
  g_autofree char *whole = end ? g_strdup_printf("%.*s:00%s", (int)end, text, text + end) : g_strdup(text);
  g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
  g_autoptr(GDateTime) date = g_date_time_new_from_iso8601(whole, utc);
  *ret_us = date ? g_date_time_to_unix(date) * G_USEC_PER_SEC + g_date_time_get_microsecond(date) : 0;
  return date;
}

bool moment_parse(const char *text, int64_t now_us, int64_t *ret_us)
{
  int64_t unit_us, n;
  const char *unit = unit_of(text, &unit_us);
  if (unit) {
    g_autofree char *count = g_strndup(text, (gsize)(unit - text));
    bool good = number_parse(count, 0, 1000000, &n);
    *ret_us = good ? now_us + n * unit_us : 0;
    return good;
  }
  return date_parse(text, ret_us);
}

bool path_holds(const char *outer, const char *inner)
{
  size_t bytes = strlen(outer);
  return !strcmp(outer, "/") || (!strncmp(outer, inner, bytes) && (!inner[bytes] || inner[bytes] == '/'));
}

bool path_is_below(const char *directory, const char *path)
{
  size_t bytes = directory ? strlen(directory) : 0;
  if (!bytes || !path || strncmp(path, directory, bytes) || path[bytes] != '/')
    return false;
  g_auto(GStrv) parts = g_strsplit(path + bytes + 1, "/", -1);
  for (char **part = parts; *part; part++)
    if (!**part || !strcmp(*part, ".") || !strcmp(*part, ".."))
      return false;
  return parts[0];
}

char *moment_format(int64_t us)
{
  g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(us / G_USEC_PER_SEC);
  return g_date_time_format(date, "%Y-%m-%dT%H:%M:%SZ");
}

char *moment_format_up(int64_t us) { return moment_format(us + G_USEC_PER_SEC - 1); }
