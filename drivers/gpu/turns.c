#include "drivers/gpu/turns.h"

struct CardTurn {
  char *name;    /* host and card */
  bool taken;
  int users;     /* who has it, and who waits */
  GCond ended;
};

static GMutex lock;
static GHashTable *turns;  /* name → CardTurn that somebody uses; under lock, as all that is in them */

static CardTurn *turn_join(const char *host, const char *card)
{
  g_autofree char *name = g_strdup_printf("%s %s", host, card);
  if (!turns)
    turns = g_hash_table_new(g_str_hash, g_str_equal);
  CardTurn *turn = g_hash_table_lookup(turns, name);
  if (!turn) {
    turn = g_new0(CardTurn, 1);
    turn->name = g_steal_pointer(&name);
    g_cond_init(&turn->ended);
    g_hash_table_insert(turns, turn->name, turn);
  }
  turn->users++;
  return turn;
}

static void turn_leave(CardTurn *turn)
{
  if (--turn->users)
    return;
  g_hash_table_remove(turns, turn->name);
  if (!g_hash_table_size(turns))
    g_clear_pointer(&turns, g_hash_table_unref);
  g_cond_clear(&turn->ended);
  g_free(turn->name);
  g_free(turn);
}

bool card_turn_take(const char *host, const char *card, int64_t until_us, CardTurn **ret_turn, GError **err)
{
  int64_t now_us = g_get_monotonic_time(), longest_us = now_us + CARD_TURN_S * G_USEC_PER_SEC;
  int64_t end_us = until_us ? MIN(until_us, longest_us) : longest_us;
  g_mutex_lock(&lock);
  CardTurn *turn = turn_join(host, card);
  bool in_time = true;
  while (turn->taken && in_time)
    in_time = g_cond_wait_until(&turn->ended, &lock, end_us);
  bool mine = !turn->taken;
  if (mine)
    turn->taken = true;
  else
    turn_leave(turn);
  g_mutex_unlock(&lock);
  if (mine) {
    *ret_turn = turn;
    return true;
  }
  g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT " s", MAX((end_us - now_us) / G_USEC_PER_SEC, 1));
  return error_false(err, REASON_GPU_BUSY, "host", host, "card", card, "limit", limit, NULL);
}

void card_turn_end(CardTurn *turn)
{
  if (!turn)
    return;
  g_mutex_lock(&lock);
  turn->taken = false;
  g_cond_signal(&turn->ended);
  turn_leave(turn);
  g_mutex_unlock(&lock);
}

guint card_turns(void)
{
  g_mutex_lock(&lock);
  guint n = turns ? g_hash_table_size(turns) : 0;
  g_mutex_unlock(&lock);
  return n;
}
