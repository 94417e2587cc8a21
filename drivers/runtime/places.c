#include "drivers/runtime/places.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/text.h"

void places_clear(Places *places)
{
  g_clear_pointer(&places->imports, g_free);
  g_clear_pointer(&places->backups, g_free);
}

static bool refuse(const char *option, const char *detail, GError **err)
{
  return error_false(err, REASON_BAD_CONFIG, "path", option, "detail", detail, NULL);
}

static char *real_path(const char *path, GError **err)
{
  char *real = realpath(path, NULL);
  char *text = g_strdup(real); /* of GLib's own */
  free(real);
  return text ? text : error_null(err, REASON_IO, "action", "use", "path", path, "detail", g_strerror(errno), NULL);
}

static char *place_make(const char *state, const char *wanted, const char *name, GError **err)
{
  g_autofree char *path = wanted ? g_strdup(wanted) : g_build_filename(state, name, NULL);
  if (g_mkdir_with_parents(path, 0700))
    return error_null(err, REASON_IO, "action", "make", "path", path, "detail", g_strerror(errno), NULL);
  return real_path(path, err);
}

static bool apart(const Places *p, const char *state, GError **err)
{
  if (path_holds(p->imports, state))
    return refuse("image.import_directory", "it holds the state directory: the store could be imported, and read", err);
  if (path_holds(p->backups, state))
    return refuse("backup.directory", "it holds the state directory", err);
  if (path_holds(p->imports, p->backups) || path_holds(p->backups, p->imports))
    return refuse("image.import_directory", "it and backup.directory must lie apart: a backup could be imported, and read", err);
  return true;
}

/* Whoever may write to a directory may put another in the place of one in it; in a sticky one only its owner and that of the entry may. */
static bool parent_is_safe(const struct stat *st)
{
  bool trusted = st->st_uid == 0 || st->st_uid == geteuid();
  return trusted && (!(st->st_mode & (S_IWGRP | S_IWOTH)) || st->st_mode & S_ISVTX);
}

static bool parents_are_safe(const char *path, GError **err)
{
  g_autofree char *at = g_path_get_dirname(path);
  while (true) {
    struct stat st;
    if (stat(at, &st))
      return error_false(err, REASON_IO, "action", "use", "path", at, "detail", g_strerror(errno), NULL);
    if (!parent_is_safe(&st)) {
      g_autofree char *detail = g_strdup_printf("somebody else may write to \"%s\", and so swap what lies in it: chmod go-w it, or name another", at);
      return refuse("backup.directory", detail, err);
    }
    if (!strcmp(at, "/"))
      return true;
    char *up = g_path_get_dirname(at);
    g_free(at);
    at = up;
  }
}

static bool ours_alone(const char *path, GError **err)
{
  struct stat st;
  if (stat(path, &st))
    return error_false(err, REASON_IO, "action", "use", "path", path, "detail", g_strerror(errno), NULL);
  if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
    return refuse("backup.directory", "somebody else may write to it: chown it to us, and chmod go-w", err);
  return parents_are_safe(path, err);
}

bool places_prepare(const char *state, const char *imports, const char *backups, Places *ret, GError **err)
{
  g_auto(Places) places = { 0 };
  g_autofree char *real_state = real_path(state, err);
  if (!real_state || !(places.imports = place_make(state, imports, "imports", err)) ||
      !(places.backups = place_make(state, backups, "backups", err)) || !apart(&places, real_state, err) || !ours_alone(places.backups, err))
    return false;
  *ret = places;
  places = (Places){ 0 };
  return true;
}

bool places_ground(const Places *places, const char *state, char *const *directories, StorageGround *ret, GError **err)
{
  g_autoptr(GStrvBuilder) inside = g_strv_builder_new();
  for (char *const *d = directories; d && *d; d++) {
    if (**d != '/')
      return refuse("storage.directories", "each must be an absolute path", err);
    g_autofree char *plain = g_canonicalize_filename(*d, NULL), *real = real_path(*d, NULL);
    g_strv_builder_add(inside, plain);
    if (real && strcmp(real, plain) != 0) /* one that is not there yet stands by its text */
      g_strv_builder_add(inside, real);
  }
  g_autofree char *own = real_path(state, err);
  if (!own)
    return false;
  ret->apart = g_strdupv((char *[]){ own, places->imports, places->backups, NULL });
  ret->inside = g_strv_builder_end(inside);
  return true;
}
