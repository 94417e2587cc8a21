/* The model's own words in Korean: nouns, columns, states, steps, verbs, and what stands in refusals. Programs read and type the English ones
 * alone; people read these. Rows of words.def; a test sees to it that none is missing. */
#pragma once

#include "core/error.h"
#include "core/model.h"

/* word_list is the list that a value is of; the same English word may be another in Korean there. All texts are borrowed and live for ever;
 * where there is no row, and in English, the word itself. */

/* "desktop" → "데스크톱": nouns, and other kinds of things that refusals name. */
const char *word_noun(const char *noun, Lang lang);
/* "host_cpus" → "호스트 CPU": the title of a field's column. NULL where lang is English or there is none. */
const char *word_column(const char *field, Lang lang);
/* A value of an enum: "available" → "사용 가능". */
const char *word_value(const EnumNames *list, const char *value, Lang lang);
/* A step of a task: "clone-disk" → "디스크 만들기". */
const char *word_step(const char *step, Lang lang);
/* A verb of people, or a move of lifecycle.h: "fence" → "꺼짐 선언". */
const char *word_verb(const char *verb, Lang lang);
/* "yes" and "no". */
const char *word_bool(bool value, Lang lang);

/* Whether there is a row, for those who test. */
bool word_has_noun(const char *noun);
bool word_has_value(const EnumNames *list, const char *value);
bool word_has_step(const char *step);
bool word_has_verb(const char *verb);

/* The Korean of an argument of a reason, by its name: states, kinds, moves, limits. pairs: all arguments, as error_args() gives them. Owned by
 * the caller; the value itself where nothing is known of it. */
char *word_argument(Reason reason, const char *name, const char *value, const char *const *pairs);
