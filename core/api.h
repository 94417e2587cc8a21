/* The API as one table of verbs, and the values that go through it: who calls, what is asked, what is answered. Read by the HTTP server (routes, access),
 * the command line (nouns, verbs, help), the brain (handlers) and the tests (every route × every caller). */
#pragma once

#include <jansson.h>

#include "core/error.h"
#include "core/model.h"

typedef enum {
#define X(NAME, ...) API_##NAME,
#include "core/api.def"
#undef X
  N_API_VERBS
} ApiVerb;

#define API_METHODS(X) X(METHOD_GET, "GET") X(METHOD_POST, "POST") X(METHOD_PATCH, "PATCH") X(METHOD_DELETE, "DELETE")
ENUM_DECLARE(ApiMethod, api_method, API_METHODS, N_API_METHODS)
typedef enum { HOW_LIST, HOW_GET, HOW_HISTORY, HOW_EDGE, HOW_CREATE, HOW_CHANGE, HOW_ACT } ApiHow;

/* Who may: roles by bit; MINE: people without such a role may too, on what is theirs (see object_is_mine). */
enum {
  MAY_USER = 1 << ROLE_USER,
  MAY_VIEWER = 1 << ROLE_VIEWER,
  MAY_OPERATOR = 1 << ROLE_OPERATOR,
  MAY_ADMINISTRATOR = 1 << ROLE_ADMINISTRATOR,
  MAY_MINE = 1 << 8,     /* everyone on their own objects */
  MAY_GATEWAY = 1 << 9,  /* only what comes in by the gateway's own door */
  MAY_NOBODY = 1 << 10,  /* also who is not logged in */
  BY_LOGIN = 1 << 11,    /* a narrowing, not a right: by password or at the controller itself, not by a token for programs */
  ALLOW_ADMIN = MAY_ADMINISTRATOR,
  ALLOW_OPS = MAY_ADMINISTRATOR | MAY_OPERATOR,
  ALLOW_STAFF = ALLOW_OPS | MAY_VIEWER,
  ALLOW_ALL = ALLOW_STAFF | MAY_MINE,   /* staff sees everything, people what is theirs */
  ALLOW_OWN = ALLOW_OPS | MAY_MINE,     /* operators act on everything, people on what is theirs */
  ALLOW_SELF = ALLOW_ADMIN | MAY_MINE,  /* administrators for anybody, people for themselves */
  ALLOW_ADMIN_LOGIN = ALLOW_ADMIN | BY_LOGIN,
  ALLOW_SELF_LOGIN = ALLOW_SELF | BY_LOGIN,
  ALLOW_GATEWAY = MAY_GATEWAY,
  ALLOW_NOBODY = MAY_NOBODY,
};

typedef struct {
  Noun noun;
  const char *verb;  /* as typed: sarang NOUN VERB */
  ApiMethod method;
  const char *path;  /* "{name}" stands for one segment */
  ApiHow how;
  unsigned allow;    /* ALLOW_… */
  const char *args;  /* names separated by blanks; "?" behind one that may be left out */
  const char *help;
} ApiRow;

extern const ApiRow api_rows[N_API_VERBS];

/* Who calls: made by the server from a token, a cookie, or the peer credentials of the local socket. */
typedef struct {
  char *user;       /* a user's name; "root" by the local socket; NULL = not logged in; of a gateway's redeem: who is logged in at the page */
  Role role;
  bool logged_in;
  bool local;       /* by peer credentials */
  bool gateway;     /* came in by the gateway's own door */
  char *token;      /* the token used, or NULL */
  bool login;       /* that one is of a login, not for programs */
  char *client;     /* address as told by the gateway, or NULL */
} Caller;

typedef struct {
  ApiVerb verb;
  Caller caller;
  char *name;               /* of the path's {name}, or NULL */
  json_t *body;             /* an object, or NULL */
  char *secret_hash;        /* made by the server from what must not travel further: of a new token or a password */
  char *guest_hash;         /* crypt(3) hash of a new password */
  char *old_hash, *fresh_hash; /* of a login: of the same password, as it was kept and as it is made today; NULL where it is kept like that */
  bool refused;             /* of a login: the password was wrong; only to be noted, the caller has its answer */
  char *idempotency_key;    /* or NULL */
  int64_t expect_generation; /* 0 = any */
} Request;

/* What goes back once it is durable: an error, or an object, or JSON text, or bytes. */
typedef struct {
  int status;          /* HTTP */
  Noun noun;
  Object *object;      /* a reference, or NULL */
  char *json;          /* owned, or NULL */
  GBytes *bytes;       /* a picture, or NULL */
  GError *error;       /* owned, or NULL */
} Answer;

Request *request_new(ApiVerb verb);
void request_free(Request *request);
Answer *answer_new(int status);
Answer *answer_new_error(GError *take_error);
void answer_free(Answer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Request, request_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Answer, answer_free)

/* The verb of a method (N_API_METHODS: one that no verb has) and path; *ret_name: the {name} in it, percent-decoded, owned by the caller, or NULL.
 * N_API_VERBS with NO_SUCH_PATH or METHOD_NOT_ALLOWED. Any thread. */
ApiVerb api_find(ApiMethod method, const char *path, char **ret_name, GError **err);
/* The methods that path knows, a bit each (1 << METHOD_GET …); 0 for a path there is not. */
unsigned api_methods(const char *path);
/* API_… of "sarang NOUN VERB"; N_API_VERBS where there is none. */
ApiVerb api_find_words(const char *noun, const char *verb);

/* Whether an object is the caller's own: their session, the desktop it holds, the one they own, their token, themselves, their tasks, a pool they may use.
 * desktop_holder: for a desktop, the user of the session that holds it, else NULL. */
bool object_is_mine(const Caller *caller, Noun noun, const Object *object, const char *desktop_holder);

/* The rule of a verb for a caller; object: what it acts on, NULL for lists and new objects. LOGGED_OUT, DENIED, NEEDS_LOGIN.
 * Who may not see an object is told NOT_FOUND by the one who calls this, so that names are not betrayed. */
bool access_check(ApiVerb verb, const Caller *caller, bool mine, GError **err);
