#include "drivers/identity/peer.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>

enum { ENTRY_BYTES = 65536, GROUPS_MAX = 1024 };

gid_t peer_group_find(const char *name)
{
  struct group entry, *found = NULL;
  g_autofree char *buffer = g_malloc(ENTRY_BYTES);
  if (!name || getgrnam_r(name, &entry, buffer, ENTRY_BYTES, &found) || !found)
    return (gid_t)-1;
  return entry.gr_gid;
}

static bool peer_in_group(int fd, gid_t main_group, gid_t group)
{
  if (group == (gid_t)-1)
    return false;
  if (main_group == group)
    return true;
  gid_t groups[GROUPS_MAX];
  socklen_t bytes = sizeof groups;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes))
    return false;
  for (size_t i = 0; i < bytes / sizeof *groups; i++)
    if (groups[i] == group)
      return true;
  return false;
}

static void peer_name(Peer *peer)
{
  struct passwd entry, *found = NULL;
  g_autofree char *buffer = g_malloc(ENTRY_BYTES);
  if (!peer->uid)
    g_strlcpy(peer->user, "root", sizeof peer->user);
  else if (!getpwuid_r(peer->uid, &entry, buffer, ENTRY_BYTES, &found) && found)
    g_strlcpy(peer->user, entry.pw_name, sizeof peer->user);
  else
    g_snprintf(peer->user, sizeof peer->user, "uid-%u", (unsigned)peer->uid);
}

bool peer_get(int fd, gid_t group, Peer *ret_peer)
{
  struct ucred ids;
  socklen_t bytes = sizeof ids;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ids, &bytes) || ids.uid == (uid_t)-1)
    return false;
  *ret_peer = (Peer){ .uid = ids.uid, .gid = ids.gid };
  ret_peer->administrator = !ids.uid || peer_in_group(fd, ids.gid, group);
  peer_name(ret_peer);
  return true;
}
