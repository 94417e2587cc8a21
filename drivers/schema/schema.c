#include "drivers/schema/schema.h"

#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <libxml/relaxng.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_FINDINGS = 20, TEXT_MAX_BYTES = 1000 };
enum { EXIT_VALID = 40, EXIT_NOT_VALID = 41 }; /* no others' */

struct DomainSchema {
  xmlRelaxNG *grammar;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlRelaxNGParserCtxt, xmlRelaxNGFreeParserCtxt)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlRelaxNGValidCtxt, xmlRelaxNGFreeValidCtxt)

static void keep_first(void *data, xmlError *error)
{
  char **detail = data;
  if (!*detail && error->message)
    *detail = g_strstrip(g_strdup(error->message));
}

bool domain_schema_open(const char *path, DomainSchema **ret_schema, GError **err)
{
  g_autofree char *detail = NULL;
  if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
    return error_false(err, REASON_IO, "action", "read", "path", path, "detail", "no such file; install libvirt's schemas", NULL);
  g_autoptr(xmlRelaxNGParserCtxt) parser = xmlRelaxNGNewParserCtxt(path);
  xmlRelaxNGSetParserStructuredErrors(parser, (xmlStructuredErrorFunc)keep_first, &detail);
  xmlRelaxNG *grammar = xmlRelaxNGParse(parser);
  if (!grammar)
    return error_false(err, REASON_IO, "action", "read", "path", path, "detail", detail ? detail : "not a schema", NULL);
  *ret_schema = g_new(DomainSchema, 1);
  (*ret_schema)->grammar = grammar;
  return true;
}

void domain_schema_close(DomainSchema *schema)
{
  if (schema)
    xmlRelaxNGFree(schema->grammar);
  g_free(schema);
}

/* ── in the process that looks: a line "NUMBER TEXT" for each finding ───────── */

typedef struct {
  int fd, n;
} Telling;

static void tell(void *data, xmlError *error)
{
  Telling *telling = data;
  if (telling->n++ >= MAX_FINDINGS)
    return;
  g_autofree char *text = g_strndup(error->message ? error->message : "not valid", TEXT_MAX_BYTES);
  int line = error->node ? (int)xmlGetLineNo(error->node) : error->line;
  dprintf(telling->fd, "%d %s\n", line, g_strstrip(g_strdelimit(text, "\r\n", ' ')));
}

static void look_and_exit(const DomainSchema *schema, xmlDoc *doc, int fd)
{
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Telling telling = { .fd = fd };
  xmlRelaxNGValidCtxt *ctxt = xmlRelaxNGNewValidCtxt(schema->grammar);
  xmlRelaxNGSetValidStructuredErrors(ctxt, (xmlStructuredErrorFunc)tell, &telling);
  _exit(xmlRelaxNGValidateDoc(ctxt, doc) == 0 ? EXIT_VALID : EXIT_NOT_VALID);
}

/* ── in ours ────────────────────────────────────────────────────────────────── */

/* True where it said all it had to say within the time. */
static bool listen_to(int fd, int64_t until_us, GString *said)
{
  char bytes[4096];
  for (ssize_t n = 1; n != 0;) {
    struct pollfd wait = { fd, POLLIN, 0 };
    int64_t left_us = until_us - g_get_monotonic_time();
    if (left_us <= 0)
      return false;
    if (poll(&wait, 1, (int)((left_us + 999) / 1000)) <= 0)
      continue;
    n = read(fd, bytes, sizeof bytes);
    if (n > 0)
      g_string_append_len(said, bytes, n);
  }
  return true;
}

static void pass_on(const char *said, SchemaFinding finding, void *sink)
{
  g_auto(GStrv) lines = g_strsplit(said, "\n", -1);
  for (char **line = lines; finding && line[0] && line[1]; line++) {
    char *text;
    long number = strtol(*line, &text, 10);
    finding(sink, (int)number, text + (*text == ' '));
  }
}

/* Ends it, whatever it does; its exit status, or -1 where it came to none by itself. */
static int reap(pid_t child)
{
  int status;
  kill(child, SIGKILL);
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool no_process(GError **err)
{
  return error_false(err, REASON_IO, "action", "make", "path", "a process", "detail", g_strerror(errno), NULL);
}

static bool over_limit(int64_t limit_us, GError **err)
{
  g_autofree char *limit = g_strdup_printf("%g s", (double)limit_us / G_USEC_PER_SEC);
  return error_false(err, REASON_SCHEMA_LIMIT, "limit", limit, NULL);
}

bool domain_schema_check(const DomainSchema *schema, xmlDoc *doc, int64_t limit_us, SchemaFinding finding, void *sink, bool *ret_valid, GError **err)
{
  int ends[2];
  g_autoptr(GString) said = g_string_new(NULL);
  if (pipe2(ends, O_CLOEXEC) < 0)
    return no_process(err);
  int64_t until_us = g_get_monotonic_time() + limit_us;
  pid_t child = fork();
  if (child == 0)
    look_and_exit(schema, doc, ends[1]);
  close(ends[1]);
  bool ended = child > 0 && listen_to(ends[0], until_us, said);
  close(ends[0]);
  if (child < 0)
    return no_process(err);
  int status = reap(child);
  pass_on(said->str, finding, sink);
  *ret_valid = status == EXIT_VALID;
  if (ended && (status == EXIT_VALID || status == EXIT_NOT_VALID))
    return true;
  return ended ? error_false(err, REASON_INTERNAL, "detail", "libxml2 died of this file", NULL) : over_limit(limit_us, err);
}
