/* What contract suites say of a call that takes a GError **: write E in its place. Needs cmocka.h before it. */
#pragma once

#include <string.h>

#include "core/error.h"

#define E (&why_)

#define assert_ok(call) \
  do { \
    GError *why_ = NULL; \
    if (!(call)) \
      fail_msg("%s: %s", #call, why_ ? why_->message : "no reason"); \
    assert_null(why_); \
  } while (0)

#define assert_refused(call, wanted) \
  do { \
    GError *why_ = NULL; \
    if (call) \
      fail_msg("%s succeeded", #call); \
    if (!error_is(why_, wanted)) \
      fail_msg("%s: %s: %s", #call, reason_wire(error_reason(why_)), why_->message); \
    assert_null(strstr(why_->message, "did not say why")); /* the host's own words got lost */ \
    g_error_free(why_); \
  } while (0)
