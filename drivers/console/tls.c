#include "drivers/console/tls.h"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

enum { SELF_SIGNED_DAYS = 397, RENEW_DAYS = 14, DAY_S = 24 * 3600 };

struct Tls {
  gint refs;
  gnutls_certificate_credentials_t credentials;
  gnutls_priority_t priority;
  gnutls_datum_t ticket_key;
};

/* AES-128-GCM first: half as much work for nothing that matters here. No RSA key upstream, no CBC, no SHA-1. */
static const char priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:+AES-256-GCM:"
    "-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:%SERVER_PRECEDENCE";

typedef struct gnutls_x509_crt_int Certificate;
typedef struct gnutls_x509_privkey_int PrivateKey;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Certificate, gnutls_x509_crt_deinit)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrivateKey, gnutls_x509_privkey_deinit)

static void datum_clear(gnutls_datum_t *d)
{
  if (d->data)
    explicit_bzero(d->data, d->size);
  gnutls_free(d->data);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(gnutls_datum_t, datum_clear)

/* The one place where GnuTLS's errors become ours. */
static bool tls_failed(int result, const char *path, GError **err)
{
  if (result < 0)
    error_set(err, REASON_BAD_CERTIFICATE, "path", path, "detail", gnutls_strerror(result), NULL);
  return result < 0;
}

Tls *tls_load(const char *certificate_path, const char *key_path, GError **err)
{
  g_autoptr(Tls) tls = g_new0(Tls, 1);
  tls->refs = 1;
  for (int i = 0; i < 2; i++) {
    const char *path = i ? key_path : certificate_path;
    if (access(path, R_OK) < 0)
      return error_null(err, REASON_IO, "action", "read", "path", path, "detail", g_strerror(errno), NULL);
  }
  if (tls_failed(gnutls_certificate_allocate_credentials(&tls->credentials), certificate_path, err) ||
      tls_failed(gnutls_certificate_set_x509_key_file(tls->credentials, certificate_path, key_path, GNUTLS_X509_FMT_PEM),
                 certificate_path, err) ||
      tls_failed(gnutls_priority_init(&tls->priority, priorities, NULL), certificate_path, err) ||
      tls_failed(gnutls_session_ticket_key_generate(&tls->ticket_key), certificate_path, err))
    return NULL;
  return g_steal_pointer(&tls);
}

Tls *tls_ref(Tls *tls)
{
  g_atomic_int_inc(&tls->refs);
  return tls;
}

void tls_unref(Tls *tls)
{
  if (!tls || !g_atomic_int_dec_and_test(&tls->refs))
    return;
  if (tls->credentials)
    gnutls_certificate_free_credentials(tls->credentials);
  if (tls->priority)
    gnutls_priority_deinit(tls->priority);
  datum_clear(&tls->ticket_key);
  g_free(tls);
}

gnutls_session_t tls_session_new(Tls *tls)
{
  static const gnutls_datum_t http = { (unsigned char *)"http/1.1", 8 };
  gnutls_session_t session;
  if (gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0)
    return NULL;
  bool good = gnutls_priority_set(session, tls->priority) >= 0 &&
              gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->credentials) >= 0 &&
              gnutls_session_ticket_enable_server(session, &tls->ticket_key) >= 0 &&
              gnutls_alpn_set_protocols(session, &http, 1, 0) >= 0;
  if (good)
    return session;
  gnutls_deinit(session);
  return NULL;
}

/* ── self-signed ── */

static bool still_good(const char *certificate_path, const char *key_path)
{
  g_autofree char *pem = NULL;
  gsize n;
  g_autoptr(Certificate) certificate = NULL;
  if (access(key_path, R_OK) < 0 || !g_file_get_contents(certificate_path, &pem, &n, NULL))
    return false;
  gnutls_datum_t data = { (unsigned char *)pem, (unsigned)n };
  return gnutls_x509_crt_init(&certificate) >= 0 && gnutls_x509_crt_import(certificate, &data, GNUTLS_X509_FMT_PEM) >= 0 &&
         gnutls_x509_crt_get_expiration_time(certificate) > time(NULL) + RENEW_DAYS * DAY_S;
}

static int name_add(Certificate *certificate, const char *name)
{
  struct in6_addr address;
  g_autofree char *bare = g_strdup(name[0] == '[' ? name + 1 : name);
  g_strdelimit(bare, "]", '\0');
  for (int i = 0; i < 2; i++)
    if (inet_pton(i ? AF_INET6 : AF_INET, bare, &address) == 1)
      return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &address, i ? 16 : 4, GNUTLS_FSAN_APPEND);
  return gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, bare, strlen(bare), GNUTLS_FSAN_APPEND);
}

static int certificate_fill(Certificate *certificate, PrivateKey *key, const char *const *names)
{
  uint8_t serial[16];
  time_t now = time(NULL);
  int result = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);
  serial[0] &= 0x7f;
  if (result >= 0 && (result = gnutls_x509_crt_set_version(certificate, 3)) >= 0 &&
      (result = gnutls_x509_crt_set_serial(certificate, serial, sizeof serial)) >= 0 &&
      (result = gnutls_x509_crt_set_activation_time(certificate, now - DAY_S)) >= 0 &&
      (result = gnutls_x509_crt_set_expiration_time(certificate, now + SELF_SIGNED_DAYS * (time_t)DAY_S)) >= 0 &&
      (result = gnutls_x509_crt_set_dn(certificate, "CN=Sarang gateway", NULL)) >= 0 &&
      (result = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1)) >= 0 &&
      (result = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0)) >= 0)
    result = gnutls_x509_crt_set_key(certificate, key);
  for (; result >= 0 && *names; names++)
    result = name_add(certificate, *names);
  return result < 0 ? result : gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
}

static bool pem_save(const char *path, const gnutls_datum_t *pem, int mode, GError **err)
{
  g_autoptr(GError) why = NULL;
  if (g_file_set_contents_full(path, (char *)pem->data, pem->size, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                               mode, &why))
    return true;
  return error_false(err, REASON_IO, "action", "write", "path", path, "detail", why->message, NULL);
}

bool tls_ensure_self_signed(const char *certificate_path, const char *key_path, const char *const *names, GError **err)
{
  g_autoptr(PrivateKey) key = NULL;
  g_autoptr(Certificate) certificate = NULL;
  g_auto(gnutls_datum_t) key_pem = { NULL, 0 };
  g_auto(gnutls_datum_t) certificate_pem = { NULL, 0 };
  if (still_good(certificate_path, key_path))
    return true;
  if (tls_failed(gnutls_x509_privkey_init(&key), key_path, err) ||
      tls_failed(gnutls_x509_crt_init(&certificate), key_path, err) ||
      tls_failed(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
                 key_path, err) ||
      tls_failed(certificate_fill(certificate, key, names), certificate_path, err) ||
      tls_failed(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &key_pem), key_path, err) ||
      tls_failed(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &certificate_pem), certificate_path, err))
    return false;
  return pem_save(key_path, &key_pem, 0600, err) && pem_save(certificate_path, &certificate_pem, 0644, err);
}
