/* Words as small numbers: labels, CPU features, images, kinds of storage, groups and licences are compared as ids. A set of
 * ids is sorted and without doubles, so that "has all of" is one walk. Pure; no locks. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  GHashTable *ids;    /* word → id + 1 */
  GPtrArray *words;   /* id → word, owned here */
} Words;

typedef struct {
  uint32_t *ids;      /* ascending */
  int n;
} IdSet;

void words_init(Words *words);
void words_done(Words *words);
/* The id of word, a new one where it was not known. */
uint32_t words_id(Words *words, const char *word);
/* The word of id, borrowed. */
const char *words_text(const Words *words, uint32_t id);

/* The set of a NULL-ended list (NULL: empty); owned by the caller, ended by id_set_done. */
IdSet id_set_new(Words *words, const char *const *list);
void id_set_done(IdSet *set);
bool id_set_has(const IdSet *set, uint32_t id);
/* The first id of wanted that set lacks; false where it has all of them. */
bool id_set_lacks(const IdSet *set, const IdSet *wanted, uint32_t *ret_id);

/* One 64-bit number out of two, every bit of which hangs on every bit of both (splitmix64's finaliser). */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
  uint64_t x = a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2));
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
/* The hash of a text that is the same in every run. */
uint64_t hash_text(const char *text);
