#include "drivers/identity/password.h"

#include <crypt.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "core/error.h"
#include "core/text.h"

enum { ARGON2_PASSES = 2, ARGON2_BYTES = 64 << 20 };

/* Of random bytes that were thrown away: verifying against it costs what verifying costs, and never fits. */
static const char NOBODYS_HASH[] =
    "$argon2id$v=19$m=65536,t=2,p=1$3sgXXz8mcRwyVLFBjV0LjQ$gUU6h4AFnZbgGXgZHl2YkfLqNlVa6V/kPnXyJx9tXzA";

bool password_check(const char *field, const char *text, GError **err)
{
  size_t length = strlen(text);
  if (length < PASSWORD_MIN_BYTES || length > PASSWORD_MAX_BYTES)
    return error_false(err, REASON_BAD_VALUE, "field", field, "value", "…", "limit", "8 to 128 bytes", NULL);
  if (!text_check(field, text, PASSWORD_MAX_BYTES, NULL))
    return error_false(err, REASON_BAD_VALUE, "field", field, "value", "…", "limit", "text without control characters", NULL);
  return true;
}

char *password_hash(const char *password, GError **err)
{
  char *text = g_malloc0(crypto_pwhash_STRBYTES);
  if (!crypto_pwhash_str_alg(text, password, strlen(password), ARGON2_PASSES, ARGON2_BYTES, crypto_pwhash_ALG_ARGON2ID13))
    return text;
  g_free(text);
  return error_null(err, REASON_INTERNAL, "detail", "no memory to hash a password", NULL);
}

bool password_fits(const char *password, const char *hash)
{
  bool fits = !crypto_pwhash_str_verify(hash ? hash : NOBODYS_HASH, password, strlen(password));
  return fits && hash;
}

bool password_hash_is_old(const char *hash)
{
  return crypto_pwhash_str_needs_rehash(hash, ARGON2_PASSES, ARGON2_BYTES) != 0;
}

char *password_guest_hash(const char *password, GError **err)
{
  struct crypt_data *data = g_new0(struct crypt_data, 1);
  g_autofree char *salt = g_malloc0(CRYPT_GENSALT_OUTPUT_SIZE);
  char *hash = NULL;
  if (crypt_gensalt_rn("$y$", 0, NULL, 0, salt, CRYPT_GENSALT_OUTPUT_SIZE)) {
    const char *made = crypt_r(password, salt, data);
    hash = made && made[0] == '$' ? g_strdup(made) : NULL;
  }
  sodium_memzero(data, sizeof *data);
  g_free(data);
  return hash ? hash : error_null(err, REASON_INTERNAL, "detail", "cannot make a crypt(3) hash", NULL);
}
