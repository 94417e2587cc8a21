/* What a server sends to the command line: its stream of changes, its refusals, its answers. The first byte says whose reader it is for, the second
 * how the stream is cut, or of which noun the answer is. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/client.h"
#include "cli/output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static FILE *nowhere(void)
{
  static FILE *file;
  if (!file)
    file = fopen("/dev/null", "w");
  g_assert(file);
  return file;
}

static void show(Noun noun, json_t *value)
{
  FILE *kept = stdout;
  stdout = nowhere();
  for (OutputForm form = 0; form < N_OUTPUTS; form++) {
    const OutputStyle style = { form, COLOR_NEVER, NULL, true, form % 2 ? LANG_KO : LANG_EN };
    output_print(&style, noun, value);
  }
  stdout = kept;
}

/* ── the stream ─────────────────────────────────────────────────────────────── */

typedef struct {
  Sse sse;
  GString *told;
  OutputStream *out;  /* or NULL */
} Reader;

static bool on_line(const char *line, void *data)
{
  Reader *r = data;
  const char *json = "";
  SseWhat what = sse_read(&r->sse, line, &json);
  g_assert(strlen(r->sse.event) < sizeof r->sse.event);
  g_string_append_printf(r->told, "%d %s %s\n", what, r->sse.event, json);
  json_t *object = what == SSE_CHANGE && r->out ? json_loads(json, 0, NULL) : NULL;
  if (object)
    output_stream_put(r->out, object, g_str_has_suffix(r->sse.event, ".delete"));
  json_decref(object);
  return what != SSE_RESET;
}

static char *stream_read(const char *bytes, size_t n, size_t step, OutputStream *out)
{
  Reader r = { { 0 }, g_string_new(NULL), out };
  Lines lines = { g_string_new(NULL), 0 };
  bool more = true;
  for (size_t at = 0; more && at < n; at += step)
    more = lines_feed(&lines, bytes + at, MIN(step, n - at), on_line, &r);
  g_assert(!more || !memchr(lines.rest->str, '\n', lines.rest->len));
  g_string_free(lines.rest, TRUE);
  return g_string_free(r.told, FALSE);
}

static void check_stream(uint8_t cut, const char *bytes, size_t n)
{
  FILE *kept = stdout;
  stdout = nowhere();
  const OutputStyle style = { cut % N_OUTPUTS, COLOR_NEVER, NULL, true, LANG_EN };
  OutputStream *out = output_stream_new(&style, NOUN_DESKTOP);
  g_autofree char *whole = stream_read(bytes, n, n ? n : 1, out), *cut_up = stream_read(bytes, n, cut + 1, NULL);
  output_stream_free(out);
  stdout = kept;
  g_assert(!strcmp(whole, cut_up));
}

/* ── answers ────────────────────────────────────────────────────────────────── */

static void check_problem(uint8_t status, const char *bytes, size_t n)
{
  json_auto_t *problem = json_loadb(bytes, n, JSON_DECODE_ANY, NULL);
  g_autoptr(GError) err = client_problem(problem, status), stood = output_error(problem);
  g_assert(err && g_utf8_validate(err->message, -1, NULL));
  for (Lang lang = LANG_EN; lang <= LANG_KO; lang++) {
    g_autofree char *text = error_text(err, lang), *fix = error_fix(err, lang), *other = stood ? error_text(stood, lang) : NULL;
    g_assert(text && g_utf8_validate(text, -1, NULL) && (!fix || *fix) && (!stood || other));
  }
}

static void check_answer(uint8_t noun, const char *bytes, size_t n)
{
  json_auto_t *answer = json_loadb(bytes, n, JSON_DECODE_ANY, NULL);
  if (answer)
    show(noun % N_NOUNS, answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  static void (*const readers[])(uint8_t, const char *, size_t) = { check_stream, check_problem, check_answer };
  if (n >= 2)
    readers[*data % G_N_ELEMENTS(readers)](data[1], (const char *)data + 2, n - 2);
  return 0;
}
