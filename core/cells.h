/* NUMA cells of a host with what each has: its driver tells them, the host's row keeps them as JSON, placement counts by them. Values alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { HOST_CELLS_MAX = 8, CELL_CPUS_BYTES = 1024, HOST_CPUS_MAX = 4096 };

typedef struct {
  int id;                         /* as the host numbers it, 0 to 7 */
  int n_cpus;
  char cpus[CELL_CPUS_BYTES];     /* "0-7,16-23", as libvirt takes them */
  int64_t memory_mib;             /* all of it, huge pages too */
  int64_t huge_mib;               /* in huge pages */
} HostCell;

typedef struct {
  int n;
  HostCell cells[HOST_CELLS_MAX]; /* by id */
} HostCells;

/* Writes which CPUs are set as ranges; false where there is none, or cell has no room for the text. */
bool cell_set_cpus(HostCell *cell, const bool cpus[HOST_CPUS_MAX]);
/* As JSON, [{"id":0,"cpus":"0-7","memory_mib":32000,"huge_mib":0}]; NULL for no cells. Owned by the caller. */
char *host_cells_text(const HostCells *cells);
/* Reads such text; NULL, and text that is none, are no cells. */
void host_cells_read(const char *text, HostCells *ret_cells);
/* The cell of that id, or NULL. */
const HostCell *host_cell_find(const HostCells *cells, int64_t id);
