/* How SQLite reaches the disk: as its own VFS does, but a commit's pages go into the log by one write. SQLite writes each page by two, and
 * system calls are most of what a commit costs beyond its sync. Inside drivers/store only. */
#pragma once

/* The VFS to open stores with, on top of the process's default one; registered with the first call. Any thread. NULL: use the default. */
const char *sqlite_vfs_name(void);
