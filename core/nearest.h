/* What a mistyped word was meant to be. Pure; any thread. */
#pragma once

/* The candidate (NULL-terminated) that word was meant to be: at most a third of it is wrong, or it begins so. NULL where none is near. Borrowed. */
const char *nearest(const char *word, const char *const *candidates);
