/* Tokens that programs and browsers log in with: "NAME.SECRET". NAME is the Token object's ("k-17"), SECRET 256 random bits in
 * base64url. What is kept is the SHA-256 of SECRET; the secret itself is shown once. Knows nothing of HTTP or of who may do what.
 * */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum {
  TOKEN_SECRET_CHARS = 43,
  TOKEN_HASH_CHARS = 64,
  TOKEN_NAME_CHARS = 21,
  TOKEN_LETTER = 'k', /* names of tokens are k-1, k-2 … */
};

typedef struct {
  char name[TOKEN_NAME_CHARS + 1];      /* "k-17" */
  char secret[TOKEN_SECRET_CHARS + 1];
} TokenText;

/* A fresh secret and its hash, hexadecimal. Any thread. */
void token_make(char ret_secret[TOKEN_SECRET_CHARS + 1], char ret_hash[TOKEN_HASH_CHARS + 1]);

/* Takes "NAME.SECRET" apart; false for anything else, to the byte. */
bool token_parse(const char *text, TokenText *ret_token);

/* SHA-256 of secret, hexadecimal. */
void token_hash(const char *secret, char ret_hash[TOKEN_HASH_CHARS + 1]);

/* True where secret has that hash. The time it takes tells nothing of hash. */
bool token_fits(const char *secret, const char *hash);
