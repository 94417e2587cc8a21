/* A noun's fields as one table: it makes the struct, its SQL columns, its JSON, its place in the command line's tables and in the docs. Asked by
 * store, API and CLI. Objects are immutable once published: whoever changes one changes a copy (see core/model.h). */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/names.h"

/* How a field is held in C, in JSON and in SQL. */
typedef enum {
  FIELD_TEXT,  /* char *, owned; NULL = absent · string or null · TEXT */
  FIELD_REF,   /* char *, interned (core/reftext.h): names that many objects share; NULL = absent · string or null · TEXT */
  FIELD_INT,   /* int64_t · integer · INTEGER */
  FIELD_BOOL,  /* bool · boolean · INTEGER */
  FIELD_ENUM,  /* int · its wire name · TEXT */
  FIELD_TIME,  /* int64_t, µs since 1970 by the wall clock, 0 = never · RFC 3339 string or null · INTEGER */
  FIELD_LIST,  /* char **, owned, NULL = empty · array of strings · TEXT, a line each */
  FIELD_JSON,  /* char *, owned: any JSON value as text; NULL = null · that value · TEXT */
} FieldType;

typedef char *FieldTEXT, *FieldREF, *FieldJSON, **FieldLIST;
typedef int64_t FieldINT, FieldTIME;
typedef bool FieldBOOL;
typedef int FieldENUM;

/* Who may see or set a field, and where it is shown. */
enum {
  F_IN = 1 << 0,       /* may be given when the object is made */
  F_CHANGE = 1 << 1,   /* may be changed later */
  F_NEED = 1 << 2,     /* must be given when the object is made */
  F_SECRET = 1 << 3,   /* in the store, never in an answer */
  F_COL = 1 << 4,      /* a column of the command line's table */
  F_WIDE = 1 << 5,     /* a column of the wide table only */
  F_NAME = 1 << 6,     /* its text is a name: see name_check() */
  F_TITLE = 1 << 7,    /* its text is free text for people: see title_check() */
  F_STAFF = 1 << 8,    /* shown to viewers, operators and administrators alone */
  F_LINES = 1 << 9,    /* its text is a document of its own with lines: only its reader knows what may be in it */
  F_PATH = 1 << 10,    /* its text is an absolute path without ".." */
  F_ADDRESS = 1 << 11, /* its text is an IP address or a host's name */
  F_SEEN = 1 << 12,    /* as it was observed last: shown, and not made durable for its own sake */
  F_SLOTS = 1 << 13,   /* its number has a bit a slot: people see the slots' numbers */
};

typedef struct {
  const char *name;        /* as in JSON and SQL */
  FieldType type;
  size_t offset;           /* in the noun's struct */
  unsigned flags;          /* F_… */
  const EnumNames *names;  /* FIELD_ENUM */
  int64_t min, max;        /* FIELD_INT: range in the unit the help names; texts and lists: max is the longest, in bytes and in items */
  const char *help;
  const char *key;         /* ,"name": as it stands in JSON */
} Field;

typedef struct {
  const char *noun, *plural;  /* "desktop", "desktops" */
  size_t size;                /* of its struct */
  const Field *fields;        /* without the head that every object has */
  int n_fields;
} Schema;

/* The head of every object. name is its key: what people gave it, or a letter and a number ("d-17"). */
typedef struct {
  gint refs;            /* atomic */
  int noun;             /* Noun */
  char *name;           /* freed with the object */
  int64_t generation;   /* 1, then +1 with each change that was made durable */
  int64_t created_us, changed_us;
} Object;

/* Rows for a field list F(type, name, flags, names, min, max, help): the struct's members, and the table. */
#define FIELD_MEMBER_(type, name, ...) Field##type name;
#define FIELD_ROW_(type, name, flags, names, min, max, help) { #name, FIELD_##type, offsetof(STRUCT, name), flags, names, min, max, help, ",\"" #name "\":" },

/* A zeroed object of schema with one reference. Where name is NULL, the maker may later give it an allocated one, which it then owns. */
Object *object_new(const Schema *schema, int noun, const char *name);
/* A private copy with one reference, to be changed by its maker before anyone else sees it. */
Object *object_dup(const Schema *schema, const Object *object);
void object_ref(const Schema *schema, const Object *object);
/* Frees object with its last reference. NULL is ignored. Any thread. */
void object_unref(const Schema *schema, const Object *object);

const Field *schema_field(const Schema *schema, const char *name);

static inline void *field_at(const Object *object, const Field *field) { return (char *)object + field->offset; }
#define FIELD_AT(Type, object, field) (*(Type *)field_at(object, field))

/* Sets a text or reference field; the old value is freed. value may be NULL. */
void text_set(char **field, const char *value);
void ref_set(char **field, const char *value);
void list_set(char ***field, const char *const *value);

/* Appends object as one JSON object to out: its head ("name", "generation", "created", "changed"), then its fields, secret ones left out. */
void object_append_json(const Schema *schema, const Object *object, GString *out);
/* The same without the fields that have any of hidden's flags; F_SECRET should be among them. */
void object_append_json_without(const Schema *schema, const Object *object, unsigned hidden, GString *out);
/* Appends text as a JSON string, quoted and escaped. */
void json_append_text(GString *out, const char *text);
/* A reason as clients read it: {"code":…,"args":{…},"text":…}. */
void json_append_error(GString *out, const GError *err, Lang lang);

/* What a caller may give: F_IN fields of a new object, or F_CHANGE fields of one that exists. */
typedef enum { JSON_CREATE, JSON_CHANGE } JsonUse;

/* Sets object's fields from a JSON object. Refuses unknown and unsettable fields, wrong types, values out of range, names that are none, and
 * with JSON_CREATE the lack of a needed field. No text, and no item of a list, holds a character that hides, reorders or breaks a line, unless its field
 * is F_LINES. On failure object may be half set and must be dropped.
 * UNKNOWN_FIELD, BAD_VALUE, BAD_NAME, TEXT_NOT_UTF8, TEXT_HIDDEN, MISSING_FIELD. */
bool object_set_json(const Schema *schema, Object *object, json_t *values, JsonUse use, GError **err);
