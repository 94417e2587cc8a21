#include "drivers/exec/output.h"

#include <string.h>

enum { ERROR_MAX_BYTES = 200 };

void exec_output_init(ExecOutput *output)
{
  *output = (ExecOutput){ g_string_new(NULL), g_string_new(NULL), false };
}

void exec_output_clear(ExecOutput *output)
{
  g_string_free(output->out, TRUE);
  g_string_free(output->error, TRUE);
}

bool exec_output_add(ExecOutput *output, bool is_error, const char *bytes, size_t n)
{
  if (is_error) {
    g_string_append_len(output->error, bytes, (gssize)MIN(n, ERROR_MAX_BYTES - MIN(output->error->len, ERROR_MAX_BYTES)));
    return true;
  }
  output->too_much |= output->out->len + n > EXEC_OUTPUT_MAX_BYTES || memchr(bytes, 0, n);
  if (!output->too_much)
    g_string_append_len(output->out, bytes, (gssize)n);
  return !output->too_much;
}

bool exec_output_end(ExecOutput *output, const char *host, const char *command, int status, ExecResult *ret_result, GError **err)
{
  if (output->too_much)
    return error_false(err, REASON_EXEC_TOO_MUCH, "host", host, "command", command, "limit", "1 MiB", NULL);
  char *error = g_strndup(output->error->str, output->error->len);
  error[strcspn(error, "\n")] = 0;
  *ret_result = (ExecResult){ g_string_free(output->out, FALSE), error, status };
  output->out = g_string_new(NULL);
  return true;
}
