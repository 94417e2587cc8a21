/* What a mistyped word was meant to be: the distance of Damerau and Levenshtein, neighbours swapped counting once. */
#include "core/nearest.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

enum { WORD_MAX_BYTES = 64 };

static int distance(const char *a, const char *b)
{
  int rows[3][WORD_MAX_BYTES + 1];
  int n = (int)strlen(a), m = (int)strlen(b);
  for (int j = 0; j <= m; j++)
    rows[0][j] = j;
  for (int i = 1; i <= n; i++) {
    int *now = rows[i % 3], *before = rows[(i + 2) % 3], *older = rows[(i + 1) % 3];
    now[0] = i;
    for (int j = 1; j <= m; j++) {
      bool same = a[i - 1] == b[j - 1];
      now[j] = MIN(MIN(before[j], now[j - 1]) + 1, before[j - 1] + !same);
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      now[j] = swapped ? MIN(now[j], older[j - 2] + 1) : now[j];
    }
  }
  return rows[n % 3][m];
}

const char *nearest(const char *word, const char *const *candidates)
{
  size_t length = strlen(word);
  if (!length || length > WORD_MAX_BYTES)
    return NULL;
  const char *best = NULL;
  int least = (int)MAX(length, 3) / 3 + 1; /* a third of the word may be wrong */
  for (; *candidates; candidates++) {
    if (strlen(*candidates) > WORD_MAX_BYTES)
      continue;
    bool begun = length >= 3 && g_str_has_prefix(*candidates, word);
    int d = begun ? 1 : distance(word, *candidates);
    if (d < least) {
      least = d;
      best = *candidates;
    }
  }
  return best;
}
