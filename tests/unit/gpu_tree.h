/* Recorded layouts of cards (tests/gpu-trees/): a host's /sys as text, put below a directory that fake cards then live in. The layout is the file's,
 * the rules by which it changes are those of a model of drivers/gpu/fake_cards.h.
 *
 *   # whence
 *   rules MODEL                            of the first function of the file, the card
 *   under PATH                             where functions lie below /; else sys/devices/pci0000:00
 *   ADDRESS[..SLOT.FUNCTION] FILE TEXT     the file's text; a second line of the same file goes below it
 *   ADDRESS[..SLOT.FUNCTION] FILE -> NAME  a link whose last part is NAME; "15+": one more for each function */
#pragma once

#include <stdbool.h>

/* false: the file cannot be read, or a line of it is none of these; why is on standard error. */
bool gpu_tree_load(const char *file, const char *dir);
