/* Tokens, passwords and the peers of unix sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sodium.h>
#include <crypt.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/error.h"
#include "drivers/identity/password.h"
#include "drivers/identity/peer.h"
#include "drivers/identity/token.h"

#define SECRET_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void a_made_token_fits_its_hash_alone(void **state)
{
  char secret[TOKEN_SECRET_CHARS + 1], other[TOKEN_SECRET_CHARS + 1], hash[TOKEN_HASH_CHARS + 1],
      other_hash[TOKEN_HASH_CHARS + 1];
  token_make(secret, hash);
  token_make(other, other_hash);
  assert_int_equal(strlen(secret), TOKEN_SECRET_CHARS);
  assert_string_not_equal(secret, other);
  assert_true(token_fits(secret, hash));
  assert_false(token_fits(other, hash));
  assert_false(token_fits(secret, NULL));
  assert_false(token_fits(secret, ""));
  g_autofree char *text = g_strdup_printf("k-18.%s", secret);
  TokenText parsed;
  assert_true(token_parse(text, &parsed));
  assert_string_equal(parsed.name, "k-18");
  assert_string_equal(parsed.secret, secret);
}

static void a_hash_is_sha256_in_hexadecimal(void **state)
{
  char hash[TOKEN_HASH_CHARS + 1];
  token_hash("abc", hash);
  assert_string_equal(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-2 B.1 */
}

static void other_texts_are_no_tokens(void **state)
{
  static const char *const rows[] = {
    "",
    "k-",
    "k-1",
    "k-1.",
    "k-." SECRET_A,
    "k-1" SECRET_A,
    "k-1." SECRET_A "A",
    "k-1.A",
    "K-1." SECRET_A,
    " k-1." SECRET_A,
    "k-1." SECRET_A " ",
    "k-1.=" SECRET_A,
    "k-x." SECRET_A,
    "k--1." SECRET_A,
    "d-1." SECRET_A,
    "k-12345678901234567890." SECRET_A,
    "k-1.." SECRET_A,
  };
  TokenText parsed;
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    assert_false(token_parse(rows[i], &parsed));
  assert_true(token_parse("k-1234567890123456789." SECRET_A, &parsed));
}

static void passwords_have_limits(void **state)
{
  static const struct { const char *text; bool ok;
  } rows[] = {
    { "", false },        { "1234567", false },     { "12345678", true },
    { "비밀번호", true }, { "line\nbreak", false }, { "\xff\xff\xff\xff\xff\xff\xff\xff", false },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    assert_int_equal(password_check("password", rows[i].text, &err), rows[i].ok);
    assert_true(rows[i].ok || error_is(err, REASON_BAD_VALUE));
    assert_true(!err || !*rows[i].text || !strstr(err->message, rows[i].text));
  }
  g_autofree char *longest = g_strnfill(128, 'x'), *longer = g_strnfill(129, 'x');
  assert_true(password_check("password", longest, NULL));
  assert_false(password_check("password", longer, NULL));
}

static void a_password_fits_its_hash_alone(void **state)
{
  g_autofree char *hash = password_hash("correct horse", NULL);
  assert_true(g_str_has_prefix(hash, "$argon2id$v=19$m=65536,t=2,p=1$"));
  assert_true(strlen(hash) <= 128);
  assert_true(password_fits("correct horse", hash));
  assert_false(password_fits("correct horsf", hash));
  assert_false(password_fits("correct horse", "$argon2id$nonsense"));
}

static void an_older_hash_is_known_as_such(void **state)
{
  char weak[crypto_pwhash_STRBYTES];
  assert_int_equal(crypto_pwhash_str_alg(weak, "correct horse", 13, 1, 8 << 20, crypto_pwhash_ALG_ARGON2ID13), 0);
  g_autofree char *hash = password_hash("correct horse", NULL);
  assert_true(password_hash_is_old(weak));
  assert_false(password_hash_is_old(hash));
}

static void an_unknown_user_costs_the_same(void **state)
{
  g_autofree char *hash = password_hash("correct horse", NULL);
  int64_t known = 0, unknown = 0;
  for (int i = 0; i < 3; i++) {
    int64_t start = g_get_monotonic_time();
    assert_false(password_fits("wrong horse", hash));
    int64_t middle = g_get_monotonic_time();
    assert_false(password_fits("wrong horse", NULL));
    known += middle - start;
    unknown += g_get_monotonic_time() - middle;
  }
  assert_true(unknown > known / 4);
  assert_true(known > unknown / 4);
}

static void a_guest_takes_the_crypt_hash(void **state)
{
  g_autofree char *hash = password_guest_hash("correct horse", NULL);
  struct crypt_data data = { 0 };
  assert_true(g_str_has_prefix(hash, "$y$"));
  assert_true(strlen(hash) <= 128);
  assert_string_equal(crypt_r("correct horse", hash, &data), hash);
  assert_string_not_equal(crypt_r("wrong horse", hash, &data), hash);
}

static void a_peer_is_who_the_kernel_says(void **state)
{
  int fds[2];
  Peer peer;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  assert_true(peer_get(fds[0], (gid_t)-1, &peer));
  assert_int_equal(peer.uid, getuid());
  assert_int_equal(peer.administrator, getuid() == 0);
  assert_true(peer_get(fds[0], getgid(), &peer));
  assert_true(peer.administrator);
  close(fds[0]);
  close(fds[1]);
}

static void a_tcp_socket_has_no_peer(void **state)
{
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Peer peer;
  assert_false(peer_get(fd, 0, &peer));
  close(fd);
}

static void a_group_that_is_none_makes_nobody_administrator(void **state)
{
  assert_int_equal(peer_group_find(NULL), (gid_t)-1);
  assert_int_equal(peer_group_find("no-such-group-here"), (gid_t)-1);
  assert_int_equal(peer_group_find("root"), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_made_token_fits_its_hash_alone),
    cmocka_unit_test(a_hash_is_sha256_in_hexadecimal),
    cmocka_unit_test(other_texts_are_no_tokens),
    cmocka_unit_test(passwords_have_limits),
    cmocka_unit_test(a_password_fits_its_hash_alone),
    cmocka_unit_test(an_older_hash_is_known_as_such),
    cmocka_unit_test(an_unknown_user_costs_the_same),
    cmocka_unit_test(a_guest_takes_the_crypt_hash),
    cmocka_unit_test(a_peer_is_who_the_kernel_says),
    cmocka_unit_test(a_tcp_socket_has_no_peer),
    cmocka_unit_test(a_group_that_is_none_makes_nobody_administrator),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
