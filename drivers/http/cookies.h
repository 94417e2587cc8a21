/* Our cookie among those that a browser sends. Internal to drivers/http. */
#pragma once

#include <stdbool.h>

#include "drivers/identity/token.h"

#define COOKIE_NAME "__Host-sarang"

/* The token in our cookie; false where it is no token, or there are several cookies of that name, which nobody can tell apart. cookies: the header's value,
 * or NULL. *ret_given: whether our cookie is among them. Any thread. */
bool cookies_token(const char *cookies, TokenText *ret_token, bool *ret_given);
