#include "drivers/http/problem.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

#include "core/schema.h"

/* Where a status says more than the class of the reason. */
static const struct {
  Reason reason;
  int status;
} statuses[] = {
  { REASON_METHOD_NOT_ALLOWED, 405 },
  { REASON_CONTENT_TYPE, 415 },
  { REASON_HEAD_TOO_LARGE, 431 },
};

static const int retry_after_s[N_CLASSES] = {
  [CLASS_QUOTA] = 30, [CLASS_TIMEOUT] = 5, [CLASS_UNREACHABLE] = 5, [CLASS_UNAVAILABLE] = 2, [CLASS_NO_CAPACITY] = 30,
};

int problem_status(const GError *err)
{
  for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++)
    if (error_is(err, statuses[i].reason))
      return statuses[i].status;
  return error_class_http(error_class(err));
}

int problem_retry_after(const GError *err)
{
  ErrorClass class = error_class(err);
  const char *seconds = error_arg(err, "seconds");
  if (!error_class_again(class))
    return 0;
  return seconds ? atoi(seconds) : retry_after_s[class];
}

static void append_member(GString *out, const char *name, const char *value)
{
  g_string_append_printf(out, ",\"%s\":", name);
  json_append_text(out, value);
}

GString *problem_new(const GError *err, Lang lang)
{
  g_autofree char *text = error_text(err, lang), *fix = error_fix(err, lang);
  const char *wire = reason_wire(error_reason(err));
  int status = problem_status(err);
  GString *out = g_string_sized_new(512);
  g_string_append_printf(out, "{\"type\":\"urn:sarang:reason:%s\"", wire);
  append_member(out, "title", MHD_get_reason_phrase_for(status));
  g_string_append_printf(out, ",\"status\":%d", status);
  append_member(out, "detail", text);
  append_member(out, "code", wire);
  g_string_append(out, ",\"reasons\":[");
  json_append_error(out, err, lang);
  g_string_append_c(out, ']');
  if (fix)
    append_member(out, "fix", fix);
  else
    g_string_append(out, ",\"fix\":null");
  g_string_append_c(out, '}');
  return out;
}

/* The weight of one range such as "ko-KR;q=0.8", in thousandths. */
static int range_weight(const char *range)
{
  const char *q = strstr(range, "q=");
  return q ? (int)(CLAMP(g_ascii_strtod(q + 2, NULL), 0, 1) * 1000) : 1000;
}

static bool range_is(const char *range, const char *lang)
{
  size_t n = strlen(lang);
  return !strncasecmp(range, lang, n) && strchr("-;, ", range[n]);
}

Lang lang_pick(const char *accept_language)
{
  int korean = 0, english = 0;
  g_auto(GStrv) ranges = g_strsplit(accept_language ? accept_language : "", ",", 16);
  for (char **r = ranges; *r; r++) {
    const char *range = g_strstrip(*r);
    if (range_is(range, "ko"))
      korean = MAX(korean, range_weight(range));
    else if (range_is(range, "en") || range_is(range, "*"))
      english = MAX(english, range_weight(range));
  }
  return korean > english ? LANG_KO : LANG_EN;
}
