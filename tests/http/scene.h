/* What the tests of the server stand on: a server on two sockets in a directory of its own, some users with tokens, and an object
 * of every noun. */
#pragma once

#include "drivers/http/server.h"
#include "tests/http/client.h"
#include "tests/http/fake_runtime.h"

#define ALICES_PASSWORD "correct horse"

typedef struct {
  Runtime *runtime;
  Server *server;
  char *dir, *local, *gateway;   /* sockets */
  char *backups;                 /* where those elsewhere may have a copy written */
  char *alice, *bob;             /* tokens of people: alice owns what there is */
  char *viewer, *operator, *administrator;
  char *expired, *disabled, *unknown, *wrong;
} Scene;

/* sets: NULL-terminated "http.key=value" over the defaults, or NULL. */
Scene *scene_new(const char *const *sets);
void scene_free(Scene *scene);

/* The name of the object of noun that is alice's own, or "" where it has none. */
const char *scene_object(Noun noun);
