/* Who calls: made from a token, a cookie, or the peer of the local socket; and what they may see. Internal to drivers/http. */
#pragma once

#include "core/api.h"
#include "drivers/http/exchange.h"

/* Sets x->caller and x->by_cookie. A token or cookie that is given and not good is BAD_TOKEN, also where the peer alone would do;
 * LOGGED_OUT where the verb needs somebody, DENIED where it needs the gateway itself: before anything of the body is looked at.
 * BAD_REQUEST. */
bool caller_find(Exchange *x, GError **err);

/* Of a gateway's redeem: whose login the page had that knocks, into the request's caller; the cookie and the token leave its body. It gives no rights. */
void caller_of_page(Exchange *x);

/* True while the token by which caller came is there, its user is there and neither ended; for peers always. */
bool caller_is_good(Server *server, const Caller *caller);

/* Whether caller is of the staff, which sees everything. */
bool caller_is_staff(const Caller *caller);

/* Whether object is the caller's own, see object_is_mine(). */
bool caller_owns(Server *server, const Caller *caller, Noun noun, const Object *object);

/* What is written of a noun for caller: F_… of the fields to leave out. */
unsigned caller_hidden(const Caller *caller);

/* The rule of x's verb on object, the one its path names (NULL: there is none, or no name). LOGGED_OUT, DENIED; NOT_FOUND for
 * what the caller may not see. */
bool caller_may(const Exchange *x, const Object *object, GError **err);
