/* Rows of CSV as spreadsheets and programs write it: RFC 4180 with quotes, lines that end in CR LF or LF, a byte order mark before the first, and
 * comma, semicolon or tab between fields, as the first line has it. Knows nothing of columns. */
#pragma once

#include "core/error.h"

typedef struct {
  const char *rest;   /* text not read yet; borrowed */
  int line, next;     /* where the present row begins, and the next one */
  char separator;     /* 0 until the first row was read */
} Csv;

/* Before the first row of text, which is borrowed. */
Csv csv_open(const char *text);
/* The fields of the next row that holds something, without the blanks around those that are not quoted; NULL in *ret_fields after the last. Owned by
 * the caller. BAD_VALUE with the line for quotes that do not end, or with text behind them. */
bool csv_next(Csv *csv, char ***ret_fields, GError **err);
