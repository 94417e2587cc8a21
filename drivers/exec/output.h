/* What a command says, gathered under limits: both drivers feed it bytes as they come. */
#pragma once

#include "drivers/exec/exec.h"

typedef struct {
  GString *out, *error;
  bool too_much;
} ExecOutput;

void exec_output_init(ExecOutput *output);
void exec_output_clear(ExecOutput *output);
/* is_error: of standard error, of which the first line is kept. false: there was too much, or a NUL. */
bool exec_output_add(ExecOutput *output, bool is_error, const char *bytes, size_t n);
/* Ends gathering: fills result, or sets EXEC_TOO_MUCH. */
bool exec_output_end(ExecOutput *output, const char *host, const char *command, int status, ExecResult *ret_result, GError **err);
