/* What the readers of a view share. Asked by view*.c alone. */
#pragma once

#include "drivers/gpu/view.h"

ViewFunction *view_ensure(GpuView *view, const char *address);
ViewType *view_type_add(GPtrArray *types, const char *id, const char *title);
GPtrArray *view_types_new(void);
