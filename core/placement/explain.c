/* Why not: every host's and card's first failing rule, grouped, and the nearest fix. */
#include "core/placement/explain.h"
#include "core/placement/parts.h"

static const Reason rule_reasons[N_RULES] = {
#define X(rule, wire, reason) [rule] = REASON_##reason,
  RULES(X)
#undef X
};

/* In the unit people use: whole vCPUs with up to three decimals, everything else as it is. */
static char *number_text(Rule rule, int64_t value)
{
  if (rule != RULE_VCPUS && rule != RULE_CELL)
    return g_strdup_printf("%" G_GINT64_FORMAT, value);
  char *text = g_strdup_printf("%.3f", (double)value / 1000);
  for (size_t n = strlen(text); text[n - 1] == '0' || text[n - 1] == '.'; n--) {
    bool point = text[n - 1] == '.';
    text[n - 1] = '\0';
    if (point)
      break;
  }
  return text;
}

bool finding_refuse(const Fleet *f, int host, Rule rule, const Finding *finding, GError **err)
{
  g_autofree char *wanted = number_text(rule, finding->wanted), *free = number_text(rule, finding->free);
  g_autofree char *capacity = number_text(rule, finding->capacity);
  return error_false(err, rule_reasons[rule], "host", fleet_host_name(f, host), "wanted", wanted, "free", free, "capacity", capacity, "word",
                     finding->word ? finding->word : "", NULL);
}

GError *explain_error(const Fleet *f, int host, Rule rule, const Finding *finding)
{
  GError *err = NULL;
  finding_refuse(f, host, rule, finding, &err);
  return err;
}

Rule explain_host(const DemandClass *c, int host, Finding *ret_finding)
{
  return filter_on(c, host, ret_finding);
}

Rule explain_card(const DemandClass *c, int host, int card, Finding *ret_finding)
{
  return filter_card(c, kind_at(c->fleet, *u32_at(c->fleet->kind, host)), card, cards_of(c->fleet, host)[card], ret_finding);
}
