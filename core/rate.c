#include "core/rate.h"

#include <glib.h>

enum { MINUTE_US = 60000000 };

static int64_t each_us(const Rate *rate) { return MAX(MINUTE_US / rate->per_minute, 1); }

/* What is missing, as the time in which it comes back. Never more than there is: the rate may have been a larger one when it was taken. */
static int64_t missing_us(const Rate *rate, int64_t full_us, int64_t now_us)
{
  return CLAMP(full_us - now_us, 0, rate->burst * each_us(rate));
}

int64_t rate_wait_us(const Rate *rate, int64_t full_us, int64_t now_us)
{
  if (!rate->per_minute)
    return 0;
  return MAX(missing_us(rate, full_us, now_us) - (rate->burst - 1) * each_us(rate), 0);
}

int64_t rate_take(const Rate *rate, int64_t full_us, int64_t now_us)
{
  return now_us + missing_us(rate, full_us, now_us) + each_us(rate);
}
