/* Passwords and tokens end at the server: the brain gets hashes of them, and what made them is gone from memory before it is
 * asked. Internal to drivers/http. */
#pragma once

#include "drivers/http/exchange.h"

/* Whether requests of verb hold a secret, or their answer does. */
bool secrets_in(ApiVerb verb);

/* Goes on with x->request of such a verb: hashes, then submits. */
bool secrets_run(Exchange *x, GError **err);

/* Makes a token's secret for x->request and submits it; the answer holds the token, once: as a member "token", or as a cookie. */
bool secrets_submit_token(Exchange *x, bool as_cookie, GError **err);

/* Takes a text out of body; owned by the caller, to be given to secrets_wipe(). NULL where it is absent. BAD_VALUE where it is no
 * text. */
bool secrets_take(json_t *body, const char *member, char **ret_text, GError **err);
/* Zeroes and frees. NULL is nothing. */
void secrets_wipe(char *text);

/* Hash of a user's password, owned by the caller; NULL where there is no such user, no password, or the user is disabled. */
char *secrets_password_hash(Server *server, const char *user);

/* Counts a try of a password, see throttle_try(). LOGIN_DELAYED. */
bool secrets_try(Exchange *x, const char *key, const char *place, GError **err);
/* From where x's password comes, for the throttle: the address that the gateway tells, or the peer. Owned by the caller. */
char *secrets_place(const Exchange *x);
