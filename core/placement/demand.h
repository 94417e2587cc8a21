/* What a desktop asks for, as a value, and its class: equal demands are one class, and what is found out about a host's state is
 * found out once for the class. A class belongs to one fleet. */
#pragma once

#include "core/names.h"
#include "core/placement/fleet.h"

#define GROUP_RULES(X) X(GROUP_NONE, "none") X(GROUP_TOGETHER, "together") X(GROUP_APART, "apart")
ENUM_DECLARE(GroupRule, group_rule, GROUP_RULES, N_GROUP_RULES)

/* Weights of a pool, 0 to 100 each; 0 leaves the rule out. field, wire name, help */
#define POLICY_WEIGHTS(X) \
  X(fragments, "fragments", "lose as little as possible of what the profiles that are asked for could use of the cards") \
  X(pack, "pack", "fill hosts one after the other") \
  X(spread, "spread", "prefer the emptiest host") \
  X(keep_gpu, "keep-gpu", "keep hosts with cards for desktops with a vGPU") \
  X(image, "image", "prefer hosts that hold the image") \
  X(prefer, "prefer", "prefer hosts with the preferred labels")

typedef struct {
#define X(field, wire, help) int field;
  POLICY_WEIGHTS(X)
#undef X
} Policy;

/* Named policies: pack, spread, fragments. */
#define POLICIES(X) X(POLICY_FRAGMENTS, "fragments") X(POLICY_PACK, "pack") X(POLICY_SPREAD, "spread")
ENUM_DECLARE(PolicyName, policy_name, POLICIES, N_POLICIES)
Policy policy_of(PolicyName name);

enum { LICENCES_MOST = 8 }; /* different counted features of a demand */

/* So many of a counted feature. */
typedef struct {
  const char *name;
  int n;
} LicenceWish;

/* Which vGPU: the first of profile, framebuffer and share that is set says how much of a card, each count times. */
typedef struct {
  int count;                       /* 0: none */
  const char *profile;             /* by name */
  int64_t framebuffer_mib;         /* the smallest profile that has as much, else the whole card */
  int share;                       /* 1/1000: the smallest profile with as much, or that share where a model gives any */
  bool apart;                      /* each on another card */
  const char *const *models;       /* card models that will do; NULL: any */
} GpuWish;

typedef struct {
  int64_t vcpus, memory_mib;       /* vCPUs in 1/1000 */
  bool huge;                       /* its memory is huge pages */
  int64_t page_kib;                /* of that size; 0: of any */
  int64_t disk_mib;
  const char *disk_kind;           /* NULL with disk_mib: any */
  bool one_cell;                   /* vCPUs and memory in one NUMA cell */
  bool near;                       /* and its vGPUs on cards of that cell */
  int in_cell;                     /* with one of these: that cell + 1; 0: any */
  GpuWish gpu;
  const char *const *labels, *const *prefers, *const *features;
  const char *const *hosts;        /* the only ones allowed; NULL: all */
  const char *const *stores;       /* storages one of which the host must have; NULL: any will do */
  bool stays;                      /* it is on its host already, whatever that one's state is */
  const char *image;               /* to prefer hosts that hold it */
  const LicenceWish *licences;     /* counted features, each named once */
  int n_licences;
  const char *group;
  GroupRule group_rule;
  Policy policy;
} Demand;

typedef struct DemandClass DemandClass;

/* The class of a demand, a reference of the caller's. Errors: BAD_VALUE (a number below 0 or too large, no size of vGPU). */
DemandClass *demand_class(Fleet *f, const Demand *demand, GError **err);
DemandClass *demand_class_ref(DemandClass *c);
void demand_class_unref(DemandClass *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DemandClass, demand_class_unref)

/* What is really asked for, with how often: least fragmentation is judged by it. Classes are of this fleet; at most 96 different
 * (vGPU, count) are kept, the most frequent ones. The mix is a copy: classes may end. */
void fleet_set_mix(Fleet *f, DemandClass *const *classes, const int64_t *weights, int n);
