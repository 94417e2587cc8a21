/* Frozen: a released text is never edited; what comes later is a migration of its own. Every noun has a table of its live rows and one of its
 * archived ones, so that a start reads what lives and nothing else. id is the number in the name ("d-17"), or counts from 2^62 up in the
 * order of creation; only those names need an index. sum is row_sum() of the row, 0 = not known (a migration changed it). */
#include "drivers/store/sqlite_schema.h"

static const char version_1[] =
  "CREATE TABLE store(id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL, epoch INTEGER NOT NULL, seals INTEGER NOT NULL,"
  " sum INTEGER NOT NULL) STRICT;"
  "INSERT INTO store VALUES(1, 0, 0, 0, 0);"
#include "drivers/store/version_1.def"
  ;

const char *const migrations[] = { version_1 };
const int n_migrations = G_N_ELEMENTS(migrations);
