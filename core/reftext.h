/* Texts that many objects share (names of pools, hosts, users): one copy each, counted. Any thread may take, share and drop them.
 * Not g_ref_string_new_intern(): in GLib 2.74 it hands out a text that another thread is just freeing. */
#pragma once

/* The one copy of text; owned by the caller: reftext_drop(). */
char *reftext_intern(const char *text);
/* Another reference to an interned text that the caller holds. */
char *reftext_share(char *interned);
void reftext_drop(char *interned);
