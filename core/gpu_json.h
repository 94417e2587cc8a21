/* What is kept of a card in its object, and back. */
#pragma once

#include "core/model.h"

/* Owned by the caller. */
char *gpu_types_json(const GpuCard *card);
char *gpu_parts_json(const GpuCard *card);
GpuCard *gpu_card_read(const Gpu *gpu);
