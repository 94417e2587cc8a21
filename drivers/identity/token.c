#include "drivers/identity/token.h"

#include <sodium.h>
#include <string.h>

enum { SECRET_BYTES = 32, DIGITS_MAX = 19 };

void token_make(char ret_secret[TOKEN_SECRET_CHARS + 1], char ret_hash[TOKEN_HASH_CHARS + 1])
{
  unsigned char bits[SECRET_BYTES];
  randombytes_buf(bits, sizeof bits);
  sodium_bin2base64(ret_secret, TOKEN_SECRET_CHARS + 1, bits, sizeof bits, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  sodium_memzero(bits, sizeof bits);
  token_hash(ret_secret, ret_hash);
}

bool token_parse(const char *text, TokenText *ret_token)
{
  if (text[0] != TOKEN_LETTER || text[1] != '-')
    return false;
  size_t digits = strspn(text + 2, "0123456789"), name = 2 + digits;
  if (!digits || digits > DIGITS_MAX || text[name] != '.')
    return false;
  const char *secret = text + name + 1;
  size_t length = strspn(secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
  if (length != TOKEN_SECRET_CHARS || secret[length])
    return false;
  memcpy(ret_token->name, text, name);
  ret_token->name[name] = 0;
  memcpy(ret_token->secret, secret, sizeof ret_token->secret);
  return true;
}

void token_hash(const char *secret, char ret_hash[TOKEN_HASH_CHARS + 1])
{
  unsigned char hash[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(hash, (const unsigned char *)secret, strlen(secret));
  sodium_bin2hex(ret_hash, TOKEN_HASH_CHARS + 1, hash, sizeof hash);
}

bool token_fits(const char *secret, const char *hash)
{
  char own[TOKEN_HASH_CHARS + 1];
  token_hash(secret, own);
  return hash && strlen(hash) == TOKEN_HASH_CHARS && !sodium_memcmp(own, hash, TOKEN_HASH_CHARS);
}
