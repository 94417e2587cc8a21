#include "core/error.h"

#include <stdarg.h>
#include <string.h>

#include "core/words.h"

enum { ARG_MAX_BYTES = 512 };

typedef struct {
  const char *wire;
  ErrorClass class;
  const char *text[2], *fix[2];
} ReasonRow;

static const ReasonRow reasons[N_REASONS] = {
#define X(name, wire, class, en, ko, fix_en, fix_ko) [REASON_##name] = { wire, CLASS_##class, { en, ko }, { fix_en, fix_ko } },
#include "core/reasons.def"
#undef X
};

static const struct { int http, exit; bool again; } classes[N_CLASSES] = {
#define X(name, http, exit, again) [CLASS_##name] = { http, exit, again },
  CLASSES(X)
#undef X
};

typedef struct {
  char **pairs;
} SarangErrorPrivate;

static void sarang_error_private_init(SarangErrorPrivate *p) { p->pairs = NULL; }
static void sarang_error_private_copy(const SarangErrorPrivate *from, SarangErrorPrivate *to) { to->pairs = g_strdupv(from->pairs); }
static void sarang_error_private_clear(SarangErrorPrivate *p) { g_strfreev(p->pairs); }
G_DEFINE_EXTENDED_ERROR(SarangError, sarang_error)

/* Text of strangers ends up in logs and on terminals: no control characters, no invalid bytes, no end. */
static char *clean(const char *value)
{
  if (!value)
    return g_strdup("");
  g_autofree char *cut = g_strndup(value, ARG_MAX_BYTES);
  char *text = g_utf8_make_valid(cut, -1);
  for (char *c = text; *c; c++)
    if ((unsigned char)*c < 0x20 || *c == 0x7f)
      *c = ' ';
  return text;
}

static char *expand(const char *template, const char *const *pairs)
{
  GString *out = g_string_new(NULL);
  for (const char *c = template; *c; c++) {
    const char *end = *c == '{' ? strchr(c, '}') : NULL;
    if (!end) {
      g_string_append_c(out, *c);
      continue;
    }
    for (const char *const *p = pairs; p && p[0]; p += 2)
      if (strlen(p[0]) == (size_t)(end - c - 1) && !strncmp(p[0], c + 1, end - c - 1))
        g_string_append(out, p[1]);
    c = end;
  }
  return g_string_free(out, FALSE);
}

static GError *error_new_take(Reason reason, char **pairs)
{
  g_autofree char *text = expand(reasons[reason].text[LANG_EN], (const char *const *)pairs);
  GError *err = g_error_new_literal(SARANG_ERROR, reason, text);
  sarang_error_get_private(err)->pairs = pairs;
  return err;
}

static char **pairs_of(va_list args)
{
  GPtrArray *pairs = g_ptr_array_new();
  for (const char *name; (name = va_arg(args, const char *));) {
    g_ptr_array_add(pairs, g_strdup(name));
    g_ptr_array_add(pairs, clean(va_arg(args, const char *)));
  }
  g_ptr_array_add(pairs, NULL);
  return (char **)g_ptr_array_free(pairs, FALSE);
}

static void set_va(GError **err, Reason reason, va_list args)
{
  if (!err)
    return;
  g_assert(!*err);
  *err = error_new_take(reason, pairs_of(args));
}

#define SET_VA() \
  va_list args; \
  va_start(args, reason); \
  set_va(err, reason, args); \
  va_end(args)

void error_set(GError **err, Reason reason, ...)
{
  SET_VA();
}

bool error_false(GError **err, Reason reason, ...)
{
  SET_VA();
  return false;
}

void *error_null(GError **err, Reason reason, ...)
{
  SET_VA();
  return NULL;
}

GError *error_new_from_pairs(const char *wire, const char *const *pairs)
{
  Reason reason = reason_find(wire);
  if (reason == N_REASONS) {
    GError *unknown = NULL;
    error_set(&unknown, REASON_INTERNAL, "detail", wire, NULL);
    return unknown;
  }
  GPtrArray *copy = g_ptr_array_new();
  for (const char *const *p = pairs; p && p[0]; p += 2) {
    g_ptr_array_add(copy, g_strdup(p[0]));
    g_ptr_array_add(copy, clean(p[1]));
  }
  g_ptr_array_add(copy, NULL);
  return error_new_take(reason, (char **)g_ptr_array_free(copy, FALSE));
}

Reason error_reason(const GError *err)
{
  return err->domain == SARANG_ERROR ? (Reason)err->code : REASON_INTERNAL;
}

const char *const *error_args(const GError *err)
{
  static const char *const none[] = { NULL };
  char **pairs = err->domain == SARANG_ERROR ? sarang_error_get_private(err)->pairs : NULL;
  return pairs ? (const char *const *)pairs : none;
}

const char *error_arg(const GError *err, const char *name)
{
  for (const char *const *p = error_args(err); p[0]; p += 2)
    if (!strcmp(p[0], name))
      return p[1];
  return NULL;
}

bool error_is(const GError *err, Reason reason) { return err && err->domain == SARANG_ERROR && err->code == (int)reason; }
ErrorClass error_class(const GError *err) { return reasons[error_reason(err)].class; }
const char *reason_wire(Reason reason) { return reasons[reason].wire; }

Reason reason_find(const char *wire)
{
  for (Reason r = 0; r < N_REASONS; r++)
    if (!g_strcmp0(reasons[r].wire, wire))
      return r;
  return N_REASONS;
}

int error_class_http(ErrorClass c) { return classes[c].http; }
int error_class_exit(ErrorClass c) { return classes[c].exit; }
bool error_class_again(ErrorClass c) { return classes[c].again; }

/* States, kinds and limits among the arguments are words of ours; owned by the caller. */
static char **args_in_korean(const GError *err)
{
  const char *const *args = error_args(err);
  GPtrArray *pairs = g_ptr_array_new();
  for (const char *const *p = args; p[0]; p += 2) {
    g_ptr_array_add(pairs, g_strdup(p[0]));
    g_ptr_array_add(pairs, word_argument(error_reason(err), p[0], p[1], args));
  }
  g_ptr_array_add(pairs, NULL);
  return (char **)g_ptr_array_free(pairs, FALSE);
}

char *error_text(const GError *err, Lang lang)
{
  if (err->domain != SARANG_ERROR)
    return clean(err->message);
  if (lang == LANG_EN)
    return expand(reasons[err->code].text[lang], error_args(err));
  g_auto(GStrv) args = args_in_korean(err);
  return expand(reasons[err->code].text[lang], (const char *const *)args);
}

char *error_fix(const GError *err, Lang lang)
{
  const char *fix = reasons[error_reason(err)].fix[lang];
  return *fix ? expand(fix, error_args(err)) : NULL;
}
