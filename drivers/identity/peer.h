/* Who is at the other end of a unix socket, as the kernel tells it: root, members of one group, or anybody. Asked once a
 * connection. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

enum { PEER_USER_CHARS = 32 };

typedef struct {
  uid_t uid;
  gid_t gid;
  bool administrator;               /* uid 0, or in the group */
  char user[PEER_USER_CHARS + 1];   /* "root", else the login name; "uid-N" where the uid has none */
} Peer;

/* The gid of a group by its name; (gid_t)-1 where there is no such group, or name is NULL. May ask the network (getgrnam_r(3)).
 * */
gid_t peer_group_find(const char *name);

/* The peer of a connected unix socket by SO_PEERCRED and SO_PEERGROUPS (unix(7)): as it was when it connected. group: whose
 * members are administrators; (gid_t)-1: nobody but root. False where fd is no such socket. Any thread; may ask the network for a
 * name. */
bool peer_get(int fd, gid_t group, Peer *ret_peer);
