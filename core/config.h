/* Options of a program as a table: one row an option. The struct that holds the values, the parser, `--dump-config` and the
 * docs all come from the rows, so none of them can forget one. Files are GKeyFiles; an unknown group or key is an error that
 * names it. Secrets are never values, only names of files. Reading changes nothing: parse into a fresh value, swap on success.
 *
 *   #define MY_OPTIONS(X) \
 *     X(workers,  INT,    "limits", "workers",   1, 64,   "4",    "threads",    "how many hosts are called at once") \
 *     X(socket,   PATH,   "api",    "socket",    0, 107,  "/run/sarang/api.sock", "", "where the API listens") \
 *     X(level,    CHOICE, "log",    "level",     0, 0,    "info", "error|info", "what is logged")
 *   CONFIG_DECLARE(MyConfig, my_config, MY_OPTIONS)       in the header: struct MyConfig, my_config_table
 *   CONFIG_DEFINE(MyConfig, my_config, MY_OPTIONS)        in one .c file (one table a file)
 *
 * Columns: member, type, group, key, min, max, default, unit, help. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Types: C type of the member, and what min and max count.
 *   INT     int64_t   the value
 *   BOOL    bool      -            written true or false
 *   TEXT    char *    bytes        default NULL: may stay unset, the member is NULL
 *   PATH    char *    bytes        absolute; default NULL as TEXT. The only type a secret may have: the name of its file
 *   LIST    char **   items        written a;b;c; never NULL, may be empty
 *   CHOICE  int       -            one of the words in the unit column, "a|b|c"; the member is its place, from 0 */
#define CONFIG_MEMBER_INT int64_t
#define CONFIG_MEMBER_BOOL bool
#define CONFIG_MEMBER_TEXT char *
#define CONFIG_MEMBER_PATH char *
#define CONFIG_MEMBER_LIST char **
#define CONFIG_MEMBER_CHOICE int

typedef enum { CONFIG_INT, CONFIG_BOOL, CONFIG_TEXT, CONFIG_PATH, CONFIG_LIST, CONFIG_CHOICE, N_CONFIG_TYPES } ConfigType;

typedef struct {
  const char *group, *key;
  ConfigType type;
  int64_t min, max;
  const char *preset; /* the default, as it would stand in a file */
  const char *unit, *help;
  size_t offset;
} ConfigOption;

typedef struct {
  const ConfigOption *options;
  size_t n, struct_bytes;
} ConfigTable;

#define CONFIG_MEMBER_(member, type, ...) CONFIG_MEMBER_##type member;
#define CONFIG_ROW_(member, type, group, key, min, max, preset, unit, help) \
  { group, key, CONFIG_##type, min, max, preset, unit, help, offsetof(ConfigStruct_, member) },

#define CONFIG_DECLARE(Type, prefix, LIST) \
  typedef struct { \
    LIST(CONFIG_MEMBER_) \
  } Type; \
  extern const ConfigTable prefix##_table;

#define CONFIG_DEFINE(Type, prefix, LIST) \
  typedef Type ConfigStruct_; \
  static const ConfigOption prefix##_options[] = { LIST(CONFIG_ROW_) }; \
  const ConfigTable prefix##_table = { prefix##_options, G_N_ELEMENTS(prefix##_options), sizeof(Type) };

/* Reads text (a key file, or NULL for none), then sets (NULL-terminated "group.key=value", or NULL), over the defaults into
 * *ret_config, a struct of table's type; to be given to config_free. UNKNOWN_FIELD, BAD_VALUE, MISSING_FIELD name "group.key";
 * BAD_CONFIG where the text is no key file. Any thread. */
bool config_parse(const ConfigTable *table, const char *text, const char *const *sets, void *ret_config, GError **err);

/* The same for a file (NULL: defaults and sets alone); errors come as BAD_CONFIG with the path, TOO_LARGE past 1 MiB, IO. */
bool config_load(const ConfigTable *table, const char *path, const char *const *sets, void *ret_config, GError **err);

/* Frees a struct from config_parse and what it holds; NULL is nothing. */
void config_free(const ConfigTable *table, void *config);

/* The values as a key file that reads back to the same, each under its help, limits and default. Owned by the caller. */
char *config_dump(const ConfigTable *table, const void *config);
