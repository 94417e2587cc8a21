/* Recorded demand, to be played again on the fleet there is, or as it would be: the model as the API tells it, put into a brain of its own that
 * is never started, so that hosts, cards, classes and pools mean what they mean to the daemon. Pure; nothing of the daemon changes. */
#pragma once

#include <jansson.h>

#include "core/model.h"
#include "core/placement/replay.h"

enum { RECORDED_MOST = 2000000, RECORDED_LASTS_S = 8 * 3600, RECORDED_PATIENCE = -1 };

typedef struct Recorded Recorded;

Recorded *recorded_new(void);
void recorded_free(Recorded *recorded);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Recorded, recorded_free)

/* Objects of a noun as a list of the API has them. Load pools, licences, templates, images, storages, hosts, gpus, gpu-classes, vgpus and
 * desktops. */
void recorded_load(Recorded *recorded, Noun noun, json_t *list);
/* Rows of demand as the API has them: those whose session lives are left to recorded_add_sessions. TOO_LARGE. */
bool recorded_add_rows(Recorded *recorded, json_t *rows, GError **err);
/* Sessions that live: what they asked for goes on. now_us tells how long they have lasted at least. TOO_LARGE. */
bool recorded_add_sessions(Recorded *recorded, json_t *sessions, int64_t now_us, GError **err);
/* CSV (core/csv.h) with a header, as `demand list -o csv` prints them: asked and pool must be there; user, granted, ended, by, outcome, vcpus, memory_mib,
 * gpu_class, gpus, licences and count may be, others are left alone. BAD_VALUE with line, column and limit, TOO_LARGE. */
bool recorded_add_csv(Recorded *recorded, const char *text, GError **err);
/* How many were added. */
guint recorded_rows(const Recorded *recorded);
/* µs since 1970 of a date ("2026-11-23"), a date with a time, or seconds since 1970; false for anything else. */
bool recorded_time(const char *text, int64_t *ret_us);

typedef struct {
  int64_t from_us, to_us;        /* asked for from … to before; 0: no bound */
  int64_t patience_us;           /* who waits longer is denied; RECORDED_PATIENCE: each as long as recorded, which is what the controller does */
  const char *licences;          /* "cad=20,sim=0": as if there were so many seats; or NULL */
  const char *add_hosts;         /* lines of NAME,LIKE or NAME,LIKE,CARDS, or NULL */
  const char *without_host;      /* or NULL */
} RecordedPlan;

/* Plays it once, every time from an empty fleet: parts of cards that are not ours stay taken. *ret_left_out: rows that could not be played, as
 * their pool or its template is gone. Errors: NO_DEMAND, NOT_FOUND, BAD_VALUE (add_hosts, licences). */
bool recorded_play(Recorded *recorded, const RecordedPlan *plan, ReplayResult *ret, GArray **ret_uses, int *ret_left_out, GError **err);
