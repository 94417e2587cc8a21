/* The exec family: commands and small files of a host, by SSH or on this machine. ssh (libssh2, a connection and a thread of its own, never
 * libvirt's) and local are its drivers. Commands are argument vectors, quoted by us for the far shell and never composed of text; every call
 * has a time limit, and what comes back has a size limit and is hostile until parsed.
 *
 * Threads. Calls block and are serialised inside an Exec. An Exec belongs to whoever opened it.
 *
 * Errors, any verb: HOST_UNREACHABLE (never connected, or lost), EXEC_LOGIN (key refused, or the host's key is not the one that was
 * enrolled: both are named), TIMEOUT (the command is killed where it can be), EXEC_FAILED (command, its exit status, the first line of its
 * standard error), EXEC_TOO_MUCH (more output than asked for). */
#pragma once

#include "core/error.h"

typedef struct Exec Exec;

enum { EXEC_OUTPUT_MAX_BYTES = 1 << 20, EXEC_FILE_MAX_BYTES = 64 << 10 };

/* address "" = this machine. host_key: SHA-256 fingerprint of the host's key as enrolled, "SHA256:…". */
typedef struct {
  const char *host;          /* what people call it: goes into errors */
  const char *address;
  int port;                  /* 22 */
  const char *user;          /* "root" */
  const char *key_file;      /* private key, OpenSSH format, ed25519 */
  const char *host_key;
  int connect_timeout_s;     /* 1..60 */
  const char *root;          /* this machine alone: the directory that stands for "/", and SARANG_ROOT in commands; NULL = "/" */
} ExecOptions;

bool exec_open(const ExecOptions *options, Exec **ret_exec, GError **err);
void exec_close(Exec *exec);
/* Every call from now on ends by until_us too (monotonic), with TIMEOUT, whatever it was given: so what takes several has one limit. 0 = none. */
void exec_until(Exec *exec, int64_t until_us);

/* Runs argv (argv[0] by PATH of the far side) with no standard input. ret_text: standard output, NUL-ended, owned by the caller. */
bool exec_run(Exec *exec, const char *const *argv, int timeout_s, char **ret_text, GError **err);
/* A small file, such as one of sysfs; NOT_FOUND. */
bool exec_read(Exec *exec, const char *path, char **ret_text, GError **err);
/* Writes text into an existing file with one write(2), as sysfs wants it. The errno that the far side gave is in EXEC_FAILED. */
bool exec_write(Exec *exec, const char *path, const char *text, int timeout_s, GError **err);
/* The last part of what a symbolic link points to ("vfio-pci" of …/driver); NOT_FOUND. */
bool exec_link(Exec *exec, const char *path, char **ret_name, GError **err);
/* Names in a directory, sorted; without "." and "..". NOT_FOUND. */
bool exec_list(Exec *exec, const char *path, GStrv *ret_names, GError **err);

/* ── drivers ────────────────────────────────────────────────────────────── */

/* What came back of a command. out is at most EXEC_OUTPUT_MAX_BYTES, NUL-ended, without other NULs. */
typedef struct {
  char *out;
  char *first_error;  /* first line of standard error, at most 200 bytes */
  int status;         /* exit status; 128 + signal */
} ExecResult;

/* A driver runs commands: files are read and written by them too (head, ls, readlink, dd), so there is one way to a host. */
typedef struct {
  const char *name;
  bool (*run)(Exec *exec, const char *const *argv, const char *input, int timeout_s, ExecResult *ret_result, GError **err);
  void (*close)(Exec *exec);
} ExecDriver;

struct Exec {
  const ExecDriver *driver;
  char *host, *root;
  int64_t until_us;   /* of all calls together; 0 = none */
  int together_s;     /* how long that was */
  GMutex lock;
};

bool exec_local_open(const ExecOptions *options, Exec **ret_exec, GError **err);
bool exec_ssh_open(const ExecOptions *options, Exec **ret_exec, GError **err);
/* Quotes argv for a POSIX shell. Owned by the caller. Pure. */
char *exec_quote(const char *const *argv);
