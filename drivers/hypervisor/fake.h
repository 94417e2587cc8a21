/* The fake hypervisor: whole hosts in memory, behind the same contract as libvirt and with its manners: domains, power, events
 * on a thread of their own, consoles, agents that know accounts, serial lines. It ships in the daemon (URIs
 * fake:NAME?PARAMETERS), so scenario tests run the binaries that ship. Every connection to one NAME in a process sees one host,
 * which outlives them.
 *
 * Parameters of the URI, all optional; the first connection's count:
 *   cpus=16 · memory_mib=65536       what the host says of itself
 *   cells=0                          NUMA cells that share these evenly; 0 = it tells none
 *   huge_mib=0 · page_kib=2048       memory in huge pages, even among cells (of one where it tells none), and their size
 *   cpu=MODEL · features=A,B         model of its processors, and what guests may require of them; absent = it tells neither
 *   boot_ms=0                        from start to the agent's first answer and the ready line
 *   shutdown_ms=20                   from being asked to being off
 *   latency_ms=0                     every call takes that much longer
 *   ready=TEXT                       the line a booted guest writes to its serial console (default "sarang: ready")
 *   console=PORT                     where every console listens (default: a port of its own)
 *   state=FILE                       keeps domains and accounts across restarts of the process
 *   control=FILE                     lines of commands, obeyed as they are appended
 *   migrate_ms=0                     how long a domain is on its way to another host
 *   gpus=DIR                         its cards: a directory, kept across restarts, see drivers/gpu/fake_cards.h
 *   as=xen                           it has what libvirt's Xen driver has, runs guests of that type, and its cards are told of as in dom0
 *
 * Commands, one a line; DOMAIN is a name or uuid, CALL one of FAKE_CALLS, N a count or `always`:
 *   fail CALL N REASON    the next N calls fail with that reason's wire name
 *   slow CALL MS          each call takes that much longer; 0 ends it
 *   hang CALL N           the next N calls hang until `release`, then go on as if nothing had been
 *   release               lets every hung call go
 *   freeze · thaw         every call hangs: libvirtd stopped; goes on again
 *   lose                  connections break, the host is well: libvirtd was restarted
 *   die · live            power loss: connections break, none can be made, all domains are off; power is back
 *   migration WAY N       the next N migrations from here go that WAY, of FAKE_MIGRATIONS
 *   power DOMAIN STATE    behind our back: off, on, suspended, saved, crashed
 *   gone DOMAIN           undefined behind our back
 *   transient DOMAIN on|off  its definition is taken away while it runs, or put back
 *   mute on|off           no events of domains come any more, or again: only who looks sees
 *   foreign NAME          someone else's domain appears, running
 *   deaf DOMAIN on|off    the guest ignores being asked to shut down
 *   agent DOMAIN on|off   its agent stops answering, or does again
 *   user DOMAIN LOGIN     its agent says that LOGIN is logged in, until it boots again
 *   account DOMAIN LOGIN  its disk has that account, until it gets another disk
 *   card ADDRESS MODEL    a graphics card is put in;  nocard ADDRESS  it is lost;  reboot  all domains off, what cards gave gone
 *   mdev ADDRESS TYPE     somebody else makes a mediated device
 *   sticky DOMAIN on|off  its guest does not let go of devices, or does again
 *   lease DOMAIN ADDRESS  the host's DHCP server gave it that address
 *   claim DOMAIN ADDRESS  its agent says that it has that address
 *   serial DOMAIN TEXT    it writes a line to its serial console */
#pragma once

#include "drivers/hypervisor/hypervisor.h"

/* Calls that can be made to fail, crawl or hang: the verbs of the contract, and each power verb by its own name. */
#define FAKE_CALLS(X) \
  X(FAKE_OPEN, "open") X(FAKE_HOST, "host") X(FAKE_LIST, "list") X(FAKE_LOOK, "look") X(FAKE_DEFINE, "define") \
  X(FAKE_UNDEFINE, "undefine") X(FAKE_CONSOLE, "console") X(FAKE_SCREENSHOT, "screenshot") X(FAKE_AGENT, "agent") \
  X(FAKE_SERIAL, "serial") X(FAKE_START, "start") X(FAKE_SHUTDOWN, "shutdown") X(FAKE_SHUTDOWN_ACPI, "shutdown-acpi") \
  X(FAKE_REBOOT, "reboot") X(FAKE_RESET, "reset") X(FAKE_DESTROY, "destroy") X(FAKE_SUSPEND, "suspend") \
  X(FAKE_RESUME, "resume") X(FAKE_SAVE, "save") X(FAKE_RESTORE, "restore") X(FAKE_FORGET_SAVED, "forget-saved") \
  X(FAKE_DEVICES, "devices") X(FAKE_MDEV_CREATE, "mdev-create") X(FAKE_MDEV_DESTROY, "mdev-destroy") X(FAKE_ATTACH, "attach") \
  X(FAKE_DETACH, "detach") X(FAKE_ADDRESSES, "addresses") X(FAKE_MIGRATE, "migrate") X(FAKE_MIGRATE_STOP, "migrate-stop")
ENUM_DECLARE(FakeCall, fake_call, FAKE_CALLS, N_FAKE_CALLS)

/* WELL; HALFWAY: it fails half way, and the domain stays; LEFT: the same, and its paused half is left over there; UNHEARD: it arrives, and the
 * connection breaks before that is told; ENDLESS: it goes on until it is stopped. */
#define FAKE_MIGRATIONS(X) \
  X(MIGRATES_WELL, "well") X(MIGRATES_HALFWAY, "halfway") X(MIGRATES_LEFT, "left") X(MIGRATES_UNHEARD, "unheard") X(MIGRATES_ENDLESS, "endless")
ENUM_DECLARE(FakeMigration, fake_migration, FAKE_MIGRATIONS, N_FAKE_MIGRATIONS)

/* Obeys one command line for the host fake:NAME, which is made if it is not there. BAD_VALUE, NOT_FOUND. Any thread. */
bool fake_do(const char *host, const char *line, GError **err);

typedef struct {
  int connections, domains, running;
  int hung;                      /* calls that hang now */
  int64_t calls[N_FAKE_CALLS];   /* ever begun */
} FakeFigures;
/* false for a host that never was. */
bool fake_figures(const char *host, FakeFigures *ret_figures);

/* The directory of that connection's cards; NULL where the host has none or is no fake. Borrowed from the host. */
const char *fake_cards_of(const Hypervisor *hypervisor);

/* Forgets every host that has no connection. For tests. */
void fake_forget(void);
