/* The store's contract as tests: every driver passes them. */
#pragma once

#include "tests/unit/store_objects.h"

typedef struct {
  const char *name;
  void *(*world_new)(void); /* a place for one store; a fresh one for each test */
  void (*world_free)(void *world);
  Store *(*open)(void *world, GError **err); /* again after a close: what was applied is there */
} StoreSubject;

/* Runs the suite; the number of tests that failed. */
int store_contract_run(const StoreSubject *subject);
