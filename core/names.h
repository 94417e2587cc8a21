/* Enums that are read and written as text: one X-macro list gives the enum, its wire names both ways, and their count.
 *   #define POWER_STATES(X) X(POWER_OFF, "off") X(POWER_ON, "on")
 *   ENUM_DECLARE(PowerState, power_state, POWER_STATES, N_POWER_STATES)      in the header
 *   ENUM_DEFINE(PowerState, power_state, POWER_STATES, N_POWER_STATES)       in the .c file */
#pragma once

#include <stdbool.h>
#include <string.h>

typedef struct {
  const char *const *names;
  int n;
} EnumNames;

#define ENUM_ROW_(name, text) name,
#define ENUM_TEXT_(name, text) [name] = text,

/* TYPE, prefix_name(value) → text, prefix_parse(text, &value) → false where no value is called so, prefix_names. */
#define ENUM_DECLARE(Type, prefix, LIST, COUNT) \
  typedef enum { LIST(ENUM_ROW_) COUNT } Type; \
  extern const EnumNames prefix##_names; \
  const char *prefix##_name(Type value); \
  bool prefix##_parse(const char *text, Type *ret_value);

#define ENUM_DEFINE(Type, prefix, LIST, COUNT) \
  static const char *const prefix##_texts[COUNT] = { LIST(ENUM_TEXT_) }; \
  const EnumNames prefix##_names = { prefix##_texts, COUNT }; \
  const char *prefix##_name(Type value) { return value < COUNT ? prefix##_texts[value] : "?"; } \
  bool prefix##_parse(const char *text, Type *ret_value) \
  { \
    for (int i = 0; text && i < COUNT; i++) \
      if (!strcmp(prefix##_texts[i], text)) { \
        *ret_value = (Type)i; \
        return true; \
      } \
    return false; \
  }
