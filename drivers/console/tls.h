/* Certificates and settings of the public port: TLS 1.2 and 1.3 by GnuTLS. A Tls is read once and shared by all sessions made
 * from it; a new certificate is a new Tls, and sessions of the old one live on. */
#pragma once

#include <glib.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>

typedef struct Tls Tls;

/* Reads certificate chain and key, both PEM. IO, BAD_CERTIFICATE. One reference, the caller's. Any thread. */
Tls *tls_load(const char *certificate_path, const char *key_path, GError **err);
Tls *tls_ref(Tls *tls);
void tls_unref(Tls *tls);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tls, tls_unref)

/* A server's session, not yet connected to anything; tls must outlive it. NULL: no memory. */
gnutls_session_t tls_session_new(Tls *tls);

/* Makes key and self-signed certificate (P-256, 397 days) for names (host names and addresses, NULL-terminated) in two files
 * unless both are there and not about to end. For demonstrations. IO, BAD_CERTIFICATE. */
bool tls_ensure_self_signed(const char *certificate_path, const char *key_path, const char *const *names, GError **err);
