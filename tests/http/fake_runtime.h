/* A runtime for tests of the server: real published objects, a history in memory, and a brain that answers everything with what
 * it was asked. */
#pragma once

#include "drivers/runtime/runtime.h"

/* The runtime of the process; there is one at a time. */
Runtime *fake_runtime_new(void);
/* After the server was closed. */
void fake_runtime_free(Runtime *runtime);

/* Puts or ends an object as one durable batch; takes the reference. */
void fake_put(Runtime *runtime, void *take_object);
void fake_delete(Runtime *runtime, Noun noun, const char *name);
/* Only in the history from now on; takes the reference. */
void fake_archive(Runtime *runtime, void *take_object);

/* A user, and a token of theirs whose text is returned, owned by the caller. life_s: < 0 = ended. */
void fake_user(Runtime *runtime, const char *name, Role role, const char *password_hash, bool disabled);
char *fake_token(Runtime *runtime, const char *user, int64_t life_s);
/* The same, but made for programs. */
char *fake_api_token(Runtime *runtime, const char *user, int64_t life_s);

/* How often it was told that this token, as text, was used. */
int fake_uses(Runtime *runtime, const char *token);

/* The next request is answered with this error; takes it. */
void fake_fail_next(Runtime *runtime, GError *take_error);
/* The store's last commit failed for this; takes it. NULL = it worked. */
void fake_fail_store(Runtime *runtime, GError *take_error);
/* Requests stay unanswered until fake_release(). */
void fake_hold(Runtime *runtime);
/* Returns when a request is held. */
void fake_wait_held(Runtime *runtime);
void fake_release(Runtime *runtime);

/* The newest request that came, as it was; NULL when none did since the last call. Owned by the caller. */
Request *fake_last_request(Runtime *runtime);
