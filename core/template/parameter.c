#include "core/template/parameter.h"

#include "core/text.h"

#include <string.h>

void template_parameter_free(TemplateParameter *parameter)
{
  if (!parameter)
    return;
  g_free(parameter->name);
  g_free(parameter->title[LANG_EN]);
  g_free(parameter->title[LANG_KO]);
  g_free(parameter->unit);
  g_free(parameter->standard);
  g_strfreev(parameter->choices);
  g_strfreev(parameter->paths);
  g_free(parameter);
}

const TemplateParameter *template_parameter_find(const DomainTemplate *template, const char *name)
{
  for (guint i = 0; i < template->parameters->len; i++) {
    const TemplateParameter *parameter = template->parameters->pdata[i];
    if (!strcmp(parameter->name, name))
      return parameter;
  }
  return NULL;
}

static bool refuse(const TemplateParameter *p, const char *value, const char *limit, GError **err)
{
  g_autofree char *shown = text_dup_visible(value, 80);
  return error_false(err, REASON_BAD_VALUE, "field", p->name, "value", shown, "limit", limit, NULL);
}

static bool refuse_range(const TemplateParameter *p, const char *value, GError **err)
{
  g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT "…%" G_GINT64_FORMAT "%s%s", p->min, p->max, p->unit ? " " : "",
                                           p->unit ? p->unit : "");
  return refuse(p, value, limit, err);
}

static bool number_in_range(const TemplateParameter *p, const char *value, int64_t number, char **ret_text, GError **err)
{
  if (number < p->min || number > p->max)
    return refuse_range(p, value, err);
  *ret_text = g_strdup_printf("%" G_GINT64_FORMAT, number);
  return true;
}

static bool parse_int(const TemplateParameter *p, const char *value, char **ret_text, GError **err)
{
  int64_t number;
  if (!number_parse(value, G_MININT64, G_MAXINT64, &number))
    return refuse_range(p, value, err);
  return number_in_range(p, value, number, ret_text, err);
}

/* A number of unit in the parameter's unit; false where it is no whole number of it. */
static bool convert(const TemplateParameter *p, int64_t number, TemplateSizeUnit unit, int64_t *ret_number)
{
  int shift = 10 * ((int)unit - (int)p->size_unit);
  if (shift >= 0)
    return !__builtin_mul_overflow(number, (int64_t)1 << shift, ret_number);
  *ret_number = number >> -shift;
  return *ret_number << -shift == number;
}

static bool parse_size(const TemplateParameter *p, const char *value, char **ret_text, GError **err)
{
  size_t digits = strspn(value, "0123456789");
  const char *suffix = value + digits;
  suffix += *suffix == ' ';
  TemplateSizeUnit unit = p->size_unit;
  int64_t number;
  g_autofree char *head = g_strndup(value, digits);
  int64_t given;
  if (!number_parse(head, 0, G_MAXINT64, &given) || (*suffix && !template_size_unit_parse(suffix, &unit)) ||
      !convert(p, given, unit, &number))
    return refuse_range(p, value, err);
  return number_in_range(p, value, number, ret_text, err);
}

static bool parse_text(const TemplateParameter *p, const char *value, char **ret_text, GError **err)
{
  if (!text_check(p->name, value, (int)p->max, err))
    return false;
  if (g_utf8_strlen(value, -1) < p->min) {
    g_autofree char *limit = g_strdup_printf("≥ %" G_GINT64_FORMAT, p->min);
    return refuse(p, value, limit, err);
  }
  *ret_text = g_strdup(value);
  return true;
}

static bool parse_enum(const TemplateParameter *p, const char *value, char **ret_text, GError **err)
{
  if (g_strv_contains((const char *const *)p->choices, value)) {
    *ret_text = g_strdup(value);
    return true;
  }
  g_autofree char *limit = g_strjoinv(" | ", p->choices);
  return refuse(p, value, limit, err);
}

bool template_argument_parse(const TemplateParameter *parameter, const char *value, char **ret_text, GError **err)
{
  static bool (*const parsers[N_TEMPLATE_PARAMETER_TYPES])(const TemplateParameter *, const char *, char **, GError **) = {
    [PARAMETER_INT] = parse_int, [PARAMETER_SIZE] = parse_size, [PARAMETER_TEXT] = parse_text, [PARAMETER_ENUM] = parse_enum,
  };
  return parsers[parameter->type](parameter, value, ret_text, err);
}

static bool refuse_unknown(const DomainTemplate *template, const char *name, GError **err)
{
  GString *known = g_string_new(NULL);
  for (guint i = 0; i < template->parameters->len; i++)
    g_string_append_printf(known, "%s%s", i ? " " : "", ((TemplateParameter *)template->parameters->pdata[i])->name);
  g_autofree char *list = g_string_free(known, FALSE);
  g_autofree char *shown = text_dup_visible(name, 80);
  return error_false(err, REASON_UNKNOWN_FIELD, "field", shown, "known", list, NULL);
}

bool template_arguments_check(const DomainTemplate *template, const TemplateArgument *arguments, size_t n_arguments, GError **err)
{
  for (size_t i = 0; i < n_arguments; i++) {
    const TemplateParameter *parameter = template_parameter_find(template, arguments[i].name);
    g_autofree char *text = NULL;
    if (!parameter)
      return refuse_unknown(template, arguments[i].name, err);
    for (size_t j = 0; j < i; j++)
      if (!strcmp(arguments[j].name, arguments[i].name))
        return error_false(err, REASON_EXISTS, "kind", "parameter", "name", arguments[i].name, NULL);
    if (!template_argument_parse(parameter, arguments[i].value, &text, err))
      return false;
  }
  return true;
}
