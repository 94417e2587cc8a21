/* What the readers of a view share. Asked by view*.c alone. */
#pragma once

#include "drivers/gpu/view.h"

ViewFunction *view_ensure(GpuView *view, const char *address);
ViewType *view_type_add(GPtrArray *types, const char *id, const char *title);
GPtrArray *view_types_new(void);
/* Whether it has as many types as may be: then the function is not understood, which is told with the limit. id: the one more. */
bool view_types_full(ViewFunction *function, const GPtrArray *types, const char *id);
/* What is not understood of it; the first that is said stays. */
void view_wrong(ViewFunction *function, const char *what, const char *text);
/* Whether it is a PCI address in a domain above ffff, such as Intel's VMD makes: "10000:e1:00.0". */
bool view_is_far(const char *address);
