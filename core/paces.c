/* How fast a person may have things changed: each change is a commit, an event, perhaps work of a host, and quotas bound only what there is at a
 * time. What only ends something is free: it was paid for when it was made, and nobody who holds a stolen token can keep its person from ending
 * it. For the same reason logins and passwords count by themselves: only who knows the password can use those up. */
#include "core/brain_parts.h"

enum { TOLD_EVERY_S = 60 };

typedef enum { PACE_CHANGES, PACE_LOGINS, N_PACES, PACE_FREE } PaceKind;

typedef struct {
  int64_t full_us[N_PACES]; /* see rate.h */
  int64_t told_us;          /* when the log was told last that it was too fast */
} Pace;

/* All others change something. */
static const PaceKind kinds[N_API_VERBS] = {
  [API_SESSION_END] = PACE_FREE,     [API_TOKEN_REVOKE] = PACE_FREE, [API_LOGOUT] = PACE_FREE,
  [API_GATEWAY_REDEEM] = PACE_FREE,  [API_GATEWAY_SYNC] = PACE_FREE, [API_LOGIN] = PACE_LOGINS,
  [API_USER_PASSWORD] = PACE_LOGINS,
};

static bool is_staff(const User *user) { return user->role == ROLE_OPERATOR || user->role == ROLE_ADMINISTRATOR; }

static const Rate *rate_of(const Brain *b, const User *user) { return is_staff(user) ? &b->options.staff_rate : &b->options.rate; }

/* Who asks; NULL where the request is not counted. */
static const User *counted(Brain *b, const Request *r)
{
  const User *user = kinds[r->verb] == PACE_FREE || r->caller.local ? NULL : GET(b, User, USER, r->caller.user);
  return user && rate_of(b, user)->per_minute ? user : NULL;
}

/* One for each user there is at most, whatever names strangers make up. */
static Pace *pace_of(Brain *b, const User *user)
{
  Pace *pace = g_hash_table_lookup(b->paces, user->head.name);
  if (!pace) {
    pace = g_new0(Pace, 1);
    g_hash_table_insert(b->paces, g_strdup(user->head.name), pace);
  }
  return pace;
}

static void tell(Brain *b, Pace *pace, const GError *err)
{
  if (pace->told_us && b->now_us - pace->told_us < TOLD_EVERY_S * SECOND_US)
    return;
  pace->told_us = b->now_us;
  g_ptr_array_add(b->notices, g_error_copy(err));
}

static void refuse(const User *user, const Rate *rate, int64_t wait_us, GError **err)
{
  g_autofree char *burst = g_strdup_printf("%" G_GINT64_FORMAT, rate->burst);
  g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT, rate->per_minute);
  g_autofree char *seconds = g_strdup_printf("%" G_GINT64_FORMAT, (wait_us + SECOND_US - 1) / SECOND_US);
  const char *option = is_staff(user) ? "limits.staff_changes_per_minute" : "limits.changes_per_minute";
  error_set(err, REASON_TOO_FAST, "user", user->head.name, "burst", burst, "limit", limit, "seconds", seconds, "option", option, NULL);
}

bool pace_allows(Brain *b, const Request *r, GError **err)
{
  const User *user = counted(b, r);
  if (!user)
    return true;
  const Rate *rate = rate_of(b, user);
  Pace *pace = pace_of(b, user);
  int64_t wait_us = rate_wait_us(rate, pace->full_us[kinds[r->verb]], b->now_us);
  if (!wait_us)
    return true;
  g_autoptr(GError) why = NULL;
  refuse(user, rate, wait_us, &why);
  tell(b, pace, why);
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

void pace_count(Brain *b, const Request *r, bool done, bool changed)
{
  /* the brain has worked for a refusal too; but of passwords, one that nobody has checked may come down to here and be refused */
  bool counts = changed || (!done && kinds[r->verb] == PACE_CHANGES);
  const User *user = counts ? counted(b, r) : NULL;
  if (!user)
    return;
  int64_t *full_us = &pace_of(b, user)->full_us[kinds[r->verb]];
  *full_us = rate_take(rate_of(b, user), *full_us, b->now_us);
}

void pace_forget(Brain *b, const char *user)
{
  g_hash_table_remove(b->paces, user);
}
