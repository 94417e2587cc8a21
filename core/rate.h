/* How often something may be asked for: so many at once, and so many a minute for ever. All that is kept of what was taken is one time: when
 * nothing would be missing any more. Pure; the caller brings the time. */
#pragma once

#include <stdint.h>

typedef struct {
  int64_t burst;       /* at once; at least 1 */
  int64_t per_minute;  /* 0 = as many as anybody likes */
} Rate;

/* µs until one more may be taken; 0 = now. full_us: as rate_take answered it; 0 = nothing was taken yet. */
int64_t rate_wait_us(const Rate *rate, int64_t full_us, int64_t now_us);

/* full_us once one more was taken; rate has a bound. */
int64_t rate_take(const Rate *rate, int64_t full_us, int64_t now_us);
