/* Which Sarang this is. */
#pragma once

#define SARANG_VERSION "0.1.0"
