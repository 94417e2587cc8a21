#include "drivers/hypervisor/power.h"

#define OFF (1u << DOMAIN_OFF)
#define ON (1u << DOMAIN_ON)
#define SUSPENDED (1u << DOMAIN_SUSPENDED)
#define SAVED (1u << DOMAIN_SAVED)
#define CRASHED (1u << DOMAIN_CRASHED)

const PowerRule power_rules[N_DOMAIN_VERBS] = {
  /*                        what            done               act                             needs */
  [DOMAIN_START]         = { "start",        ON,                OFF | SUSPENDED | SAVED | CRASHED, -1 },
  [DOMAIN_SHUTDOWN]      = { "shut down",    OFF | SAVED,       ON,                             -1 },
  [DOMAIN_SHUTDOWN_ACPI] = { "shut down",    OFF | SAVED,       ON,                             -1 },
  [DOMAIN_REBOOT]        = { "reboot",       0,                 ON,                             -1 },
  [DOMAIN_RESET]         = { "reset",        0,                 ON | SUSPENDED,                 CAN_RESET },
  [DOMAIN_DESTROY]       = { "destroy",      OFF | SAVED,       ON | SUSPENDED | CRASHED,       -1 },
  [DOMAIN_SUSPEND]       = { "suspend",      SUSPENDED,         ON,                             CAN_SUSPEND },
  [DOMAIN_RESUME]        = { "resume",       ON,                SUSPENDED,                      CAN_SUSPEND },
  [DOMAIN_SAVE]          = { "save",         SAVED,             ON | SUSPENDED,                 CAN_SAVE },
  [DOMAIN_RESTORE]       = { "restore",      ON,                SAVED | SUSPENDED,              CAN_SAVE },
  [DOMAIN_FORGET_SAVED]  = { "forget the saved state of", OFF | ON | SUSPENDED | CRASHED, SAVED, CAN_SAVE },
};

PowerNext power_next(DomainVerb verb, DomainState state, const char *domain, GError **err)
{
  const PowerRule *rule = &power_rules[verb];
  if (rule->done & 1u << state)
    return POWER_DONE;
  if (rule->act & 1u << state)
    return POWER_ACT;
  if (verb == DOMAIN_RESTORE)
    error_set(err, REASON_NO_SAVED_STATE, "domain", domain, NULL);
  else
    error_set(err, REASON_DOMAIN_STATE, "what", rule->what, "domain", domain, "state", domain_state_name(state), NULL);
  return POWER_REFUSED;
}
