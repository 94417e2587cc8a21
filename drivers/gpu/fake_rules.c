/* The vendors' rules: what a card still gives, given what it has given. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drivers/gpu/fake_inside.h"

/* ── what is used ───────────────────────────────────────────────────────── */

static const FakeType *type_find(const FakeModel *model, const char *id)
{
  for (int i = 0; i < FAKE_TYPES && model->types[i].id; i++)
    if (!strcmp(model->types[i].id, id))
      return &model->types[i];
  return NULL;
}

/* Of a card's capacity; *ret_type: the type that its parts have, the last one seen. */
typedef struct {
  int size;
  const FakeType *type;
} Used;

static void used_add(Used *used, const FakeModel *model, const char *id)
{
  const FakeType *type = type_find(model, id);
  if (!type)
    return;
  used->size += type->size;
  used->type = type;
}

char *fake_card_of(const char *dir, const char *function)
{
  g_autofree char *link = g_build_filename(dir, FAKE_PCI, function, "physfn", NULL), *to = g_file_read_link(link, NULL);
  return to ? g_path_get_basename(to) : g_strdup(function);
}

/* A function has one at most. */
static bool has_mdev(const char *dir, const char *function)
{
  g_auto(GStrv) all = fake_names(dir, "mdev");
  bool found = false;
  for (char **uuid = all; *uuid && !found; uuid++) {
    g_autofree char *line = fake_get(dir, "mdev/%s", *uuid);
    found = g_str_has_prefix(line, function);
  }
  return found;
}

static Used mdevs_used(const char *dir, const char *card, const FakeModel *model)
{
  g_auto(GStrv) all = fake_names(dir, "mdev");
  Used used = { 0 };
  for (char **uuid = all; *uuid; uuid++) {
    g_autofree char *line = fake_get(dir, "mdev/%s", *uuid);
    g_auto(GStrv) words = g_strsplit(line, " ", 2);
    g_autofree char *owner = g_strv_length(words) == 2 ? fake_card_of(dir, words[0]) : NULL;
    if (!g_strcmp0(owner, card))
      used_add(&used, model, words[1]);
  }
  return used;
}

static Used functions_used(const char *dir, const char *card, const FakeModel *model)
{
  g_auto(GStrv) functions = fake_functions(dir, card);
  Used used = { 0 };
  for (char **name = functions; *name; name++) {
    g_autofree char *id = fake_get(dir, FAKE_PCI "/%s/nvidia/current_vgpu_type", *name);
    used_add(&used, model, id);
  }
  return used;
}

static int room_for(const FakeModel *model, Used used, const FakeType *type)
{
  bool other = model->same_type && used.type && used.type != type;
  return other ? 0 : (model->capacity - used.size) / type->size;
}

int fake_mdev_free(const char *dir, const char *parent, const FakeModel *model, const FakeType *type)
{
  g_autofree char *card = fake_card_of(dir, parent);
  int room = room_for(model, mdevs_used(dir, card, model), type);
  return strcmp(card, parent) ? room > 0 && !has_mdev(dir, parent) : room;
}

/* ── mediated devices ───────────────────────────────────────────────────── */

bool fake_cards_mdev_create(const char *dir, const char *host, const char *parent, const char *type_id, const char *uuid, GError **err)
{
  g_autofree char *address = g_strdup(parent);
  if (g_str_has_prefix(address, "pci_") && strlen(address) == 16) {
    address[8] = address[11] = ':';
    address[14] = '.';
    memmove(address, address + 4, 13);
  }
  g_autofree char *card = fake_card_of(dir, address);
  const FakeModel *model = fake_model_of(dir, card);
  if (!model || model->backend != GPU_MDEV || (model->vfs && !strcmp(card, address)))
    return error_false(err, REASON_NOT_FOUND, "kind", "device", "name", parent, NULL);
  if (fake_has(dir, "mdev/%s", uuid))
    return error_false(err, REASON_EXISTS, "kind", "mediated device", "name", uuid, NULL);
  const FakeType *type = type_find(model, type_id);
  if (!type)
    return error_false(err, REASON_HYPERVISOR_REFUSED, "host", host, "what", "make a mediated device", "detail", "no such type", NULL);
  if (fake_mdev_free(dir, address, model, type) < 1)
    return error_false(err, REASON_GPU_FULL, "host", host, "card", parent, "type", type_id, "detail", "none is free now", NULL);
  g_autofree char *line = g_strdup_printf("%s %s", address, type_id);
  fake_put(dir, line, "mdev/%s", uuid);
  return true;
}

bool fake_cards_mdev_destroy(const char *dir, const char *host, const char *uuid, GError **err)
{
  if (fake_has(dir, "held/%s", uuid))
    return error_false(err, REASON_GPU_IN_USE, "what", uuid, "host", host, "detail", "a process has it open", NULL);
  fake_del(dir, "mdev/%s", uuid);
  return true;
}

/* ── vendor functions and GPU instances ─────────────────────────────────── */

static int memory_of(const FakeType *type)
{
  return type->size;
}

/* A type with an instance of its profile that has no function yet, and where. */
static int instance_without(const char *dir, const char *card, const FakeType *type)
{
  g_autofree char *text = fake_get(dir, "mig/%s", card);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1), functions = fake_functions(dir, card);
  for (char **line = lines; *line; line++) {
    int number, id, start;
    bool used = false;
    if (sscanf(*line, "%d %d %d", &number, &id, &start) != 3 || number != type->number)
      continue;
    for (char **name = functions; *name; name++) {
      g_autofree char *has = fake_get(dir, FAKE_PCI "/%s/nvidia/gpu_instance_id", *name);
      used |= atoi(has) == id && strlen(has) < 5;
    }
    if (!used)
      return id;
  }
  return -1;
}

/* The number that is written to a function: its id, or 1000 and the profile's. */
static int number_of(const FakeModel *model, const FakeType *type)
{
  return model->backend == GPU_MIG ? 1000 + type->number : atoi(type->id);
}

static bool creatable(const char *dir, const char *card, const FakeModel *model, const FakeType *type)
{
  if (model->backend == GPU_MIG)
    return instance_without(dir, card, type) >= 0;
  return room_for(model, functions_used(dir, card, model), type) > 0 && memory_of(type) > 0;
}

void fake_creatable(const char *dir, const char *card)
{
  const FakeModel *model = fake_model_of(dir, card);
  if (!model || (model->backend != GPU_VENDOR_VF && model->backend != GPU_MIG))
    return;
  g_autoptr(GString) list = g_string_new("ID    : vGPU Name\n");
  for (int i = 0; i < FAKE_TYPES && model->types[i].id; i++)
    if (creatable(dir, card, model, &model->types[i]))
      g_string_append_printf(list, "%-5d : %s\n", number_of(model, &model->types[i]), model->types[i].title);
  g_auto(GStrv) functions = fake_functions(dir, card);
  for (char **name = functions; *name; name++) {
    g_autofree char *now = fake_get(dir, FAKE_PCI "/%s/nvidia/current_vgpu_type", *name);
    fake_put(dir, atoi(now) ? "" : g_strchomp(list->str), FAKE_PCI "/%s/nvidia/creatable_vgpu_types", *name);
  }
}

static char *card_of(const char *dir, const char *function)
{
  g_autofree char *link = g_build_filename(dir, FAKE_PCI, function, "physfn", NULL), *to = g_file_read_link(link, NULL);
  return to ? g_path_get_basename(to) : NULL;
}

static int type_give(const char *dir, const char *function, const char *card, int number)
{
  const FakeModel *model = fake_model_of(dir, card);
  for (int i = 0; model && i < FAKE_TYPES && model->types[i].id; i++) {
    const FakeType *type = &model->types[i];
    if (number_of(model, type) != number)
      continue;
    if (!creatable(dir, card, model, type))
      return EINVAL;
    g_autofree char *text = g_strdup_printf("%d", number);
    fake_put(dir, text, FAKE_PCI "/%s/nvidia/current_vgpu_type", function);
    if (model->backend != GPU_MIG)
      return 0;
    g_autofree char *instance = g_strdup_printf("%d", instance_without(dir, card, type));
    fake_put(dir, instance, FAKE_PCI "/%s/nvidia/gpu_instance_id", function);
    return 0;
  }
  return EINVAL;
}

static int write_type(const char *dir, const char *function, const char *text)
{
  g_autofree char *card = card_of(dir, function), *now = fake_get(dir, FAKE_PCI "/%s/nvidia/current_vgpu_type", function);
  int number = atoi(text), result = 0;
  if (!card || !*now)
    return ENOENT;
  if (fake_has(dir, "held/%s", function) || (number && (atoi(now) || fake_has(dir, FAKE_PCI "/%s/dirty", function))))
    return EBUSY;
  if (number)
    result = type_give(dir, function, card, number);
  else {
    fake_put(dir, "0", FAKE_PCI "/%s/nvidia/current_vgpu_type", function);
    fake_put(dir, "4294967295", FAKE_PCI "/%s/nvidia/gpu_instance_id", function);
  }
  fake_creatable(dir, card);
  return result;
}

/* ── drivers and resets ─────────────────────────────────────────────────── */

static int write_override(const char *dir, const char *function, const char *text)
{
  g_autofree char *driver = g_strchomp(g_strdup(text));
  fake_put(dir, *driver ? driver : "(null)", FAKE_PCI "/%s/driver_override", function);
  return 0;
}

static int write_unbind(const char *dir, const char *function, const char *text)
{
  if (fake_has(dir, "held/%s", function) && !fake_has(dir, "xen"))
    return EBUSY;
  fake_del(dir, FAKE_PCI "/%s/driver", function);
  return 0;
}

static int write_reset(const char *dir, const char *function, const char *text)
{
  fake_del(dir, FAKE_PCI "/%s/dirty", function);
  return 0;
}

/* Drivers for guests, and the modules that they come with. */
static const struct { const char *driver, *module; } pass_rows[] = { { "vfio-pci", "vfio-pci" }, { "pciback", "xen-pciback" } };
#define SLOTS "sys/bus/pci/drivers/pciback/slots"

/* The function's own driver is; another that nobody loaded is not there. */
static bool is_loaded(const char *dir, const char *driver, const char *first)
{
  for (size_t i = 0; i < G_N_ELEMENTS(pass_rows); i++)
    if (!strcmp(pass_rows[i].driver, driver))
      return fake_has(dir, "modules/%s", pass_rows[i].module);
  return !strcmp(driver, first);
}

int fake_cards_modprobe(const char *dir, const char *module)
{
  for (size_t i = 0; i < G_N_ELEMENTS(pass_rows); i++) {
    if (strcmp(pass_rows[i].module, module) != 0 || fake_has(dir, "no-%s", module))
      continue;
    fake_put(dir, "", "modules/%s", module);
    fake_put(dir, "", "sys/bus/pci/drivers/%s/slots", pass_rows[i].driver);
    return 0;
  }
  return 1;
}

static bool has_slot(const char *dir, const char *function)
{
  g_autofree char *text = fake_get(dir, SLOTS);
  g_auto(GStrv) slots = g_strsplit(text, "\n", -1);
  return g_strv_contains((const char *const *)slots, function);
}

static void slot_add(const char *dir, const char *function)
{
  g_autofree char *text = fake_get(dir, SLOTS), *more = g_strdup_printf("%s%s%s", text, *text ? "\n" : "", function);
  if (!has_slot(dir, function))
    fake_put(dir, more, SLOTS);
}

/* pci_stub.c: -ENOENT of one that it does not remember */
static int remove_slot(const char *dir, const char *function)
{
  g_autofree char *text = fake_get(dir, SLOTS);
  g_auto(GStrv) slots = g_strsplit(text, "\n", -1);
  g_autoptr(GString) left = g_string_new(NULL);
  if (!has_slot(dir, function))
    return ENOENT;
  for (char **slot = slots; *slot; slot++)
    if (strcmp(*slot, function) != 0)
      g_string_append_printf(left, "%s%s", left->len ? "\n" : "", *slot);
  fake_put(dir, left->str, SLOTS);
  return 0;
}

/* Whom the kernel gives it to: the one that it must, else one that remembers it, else the first. A driver that is not loaded gets nothing. */
static int probe(const char *dir, const char *function)
{
  g_autofree char *override = fake_get(dir, FAKE_PCI "/%s/driver_override", function);
  g_autofree char *first = fake_get(dir, FAKE_PCI "/%s/default_driver", function);
  const char *driver = strcmp(override, "(null)") ? override : has_slot(dir, function) ? "pciback" : first;
  g_autofree char *to = g_strconcat("../../drivers/", driver, NULL);
  if (!*first)
    return ENODEV;
  if (fake_has(dir, FAKE_PCI "/%s/driver", function) || !is_loaded(dir, driver, first))
    return 0;
  if (strcmp(driver, first) && fake_has(dir, FAKE_PCI "/%s/unwanted", function))
    return 0;
  if (!strcmp(driver, "pciback"))
    slot_add(dir, function);
  fake_link(dir, to, FAKE_PCI "/%s/driver", function);
  return 0;
}

/* The one line of many that says it. */
char *fake_cards_store(const char *dir)
{
  g_auto(GStrv) held = fake_names(dir, "held");
  g_autoptr(GString) lines = g_string_new(NULL);
  for (guint i = 0; held[i]; i++)
    g_string_append_printf(lines, "/local/domain/0/backend/pci/%u/0/num_devs = \"1\"\n/local/domain/0/backend/pci/%u/0/dev-0 = \"%s\"\n", i + 1,
                           i + 1, held[i]);
  return lines->len ? g_string_free(g_steal_pointer(&lines), FALSE) : NULL;
}

static const struct { const char *file; int (*write)(const char *dir, const char *function, const char *text); } file_rows[] = {
  { "nvidia/current_vgpu_type", write_type }, { "driver_override", write_override }, { "driver/unbind", write_unbind },
  { "reset", write_reset },
};

static int told_to_fail(const char *dir, const char *function, const char *file)
{
  g_autofree char *line = fake_get(dir, FAKE_PCI "/%s/fail", function);
  g_auto(GStrv) words = g_strsplit(line, " ", 2);
  return g_strv_length(words) == 2 && !strcmp(words[0], file) ? atoi(words[1]) : 0;
}

int fake_cards_write(const char *dir, const char *path, const char *text)
{
  static const char devices[] = "/sys/bus/pci/devices/";
  if (!strcmp(path, "/sys/bus/pci/drivers_probe"))
    return probe(dir, text);
  if (!strcmp(path, "/sys/bus/pci/drivers/pciback/remove_slot"))
    return remove_slot(dir, text);
  if (!g_str_has_prefix(path, devices) || strlen(path) < sizeof devices + 12)
    return ENOENT;
  g_autofree char *function = g_strndup(path + sizeof devices - 1, 12);
  const char *file = path + sizeof devices + 12;
  if (!fake_has(dir, FAKE_PCI "/%s/class", function))
    return ENOENT;
  int failure = told_to_fail(dir, function, file);
  for (size_t i = 0; !failure && i < G_N_ELEMENTS(file_rows); i++)
    if (!strcmp(file_rows[i].file, file))
      return file_rows[i].write(dir, function, text);
  return failure ? failure : ENOENT;
}

/* ── nvidia-smi ─────────────────────────────────────────────────────────── */

typedef struct {
  const char *dir, *card;
  const FakeModel *model;
  GArray *instances;  /* of int[3]: profile, id, start */
  GString *out;
} Smi;

typedef struct { int number, id, start; } Instance;

static const FakeType *profile_find(const FakeModel *model, int number)
{
  for (int i = 0; i < FAKE_TYPES && model->types[i].id; i++)
    if (model->types[i].number == number)
      return &model->types[i];
  return NULL;
}

static void instances_load(Smi *smi)
{
  g_autofree char *text = fake_get(smi->dir, "mig/%s", smi->card);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++) {
    Instance each;
    if (sscanf(*line, "%d %d %d", &each.number, &each.id, &each.start) == 3)
      g_array_append_val(smi->instances, each);
  }
}

static void instances_save(Smi *smi)
{
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < smi->instances->len; i++) {
    const Instance *each = &g_array_index(smi->instances, Instance, i);
    g_string_append_printf(text, "%s%d %d %d", text->len ? "\n" : "", each->number, each->id, each->start);
  }
  fake_put(smi->dir, text->str, "mig/%s", smi->card);
  fake_creatable(smi->dir, smi->card);
}

static bool place_is_free(const Smi *smi, const FakeType *type, int start)
{
  for (guint i = 0; i < smi->instances->len; i++) {
    const Instance *each = &g_array_index(smi->instances, Instance, i);
    if (start < each->start + profile_find(smi->model, each->number)->size && each->start < start + type->size)
      return false;
  }
  return true;
}

static int places(const Smi *smi, const FakeType *type, GString *list)
{
  int n = 0;
  for (int i = 0; i < type->n_starts; i++)
    if (place_is_free(smi, type, type->starts[i])) {
      if (list)
        g_string_append_printf(list, "%s%d", n ? "," : "", type->starts[i]);
      n++;
    }
  return n;
}

static int smi_lgip(Smi *smi, const char *value)
{
  g_string_append(smi->out, "+-------------------------------------------------------------------------------+\n"
                            "| GPU instance profiles:                                                        |\n"
                            "| GPU   Name               ID    Instances   Memory     P2P    SM    DEC   ENC  |\n"
                            "|                                Free/Total   GiB              CE    JPEG  OFA  |\n"
                            "|===============================================================================|\n");
  for (int i = 0; i < FAKE_TYPES && smi->model->types[i].id; i++) {
    const FakeType *type = &smi->model->types[i];
    g_string_append_printf(smi->out, "|   0  MIG %-15s %2d     %d/%d        4.75       No     14     0     0   |\n"
                                     "|                                                               1     0     0   |\n",
                           type->id, type->number, places(smi, type, NULL), type->n_starts);
  }
  return 0;
}

static int smi_lgipp(Smi *smi, const char *value)
{
  for (int i = 0; i < FAKE_TYPES && smi->model->types[i].id; i++) {
    const FakeType *type = &smi->model->types[i];
    g_autoptr(GString) list = g_string_new(NULL);
    places(smi, type, list);
    g_string_append_printf(smi->out, "GPU  0 Profile ID %2d Placement%s: {%s}:%d\n", type->number, type->n_starts > 1 ? "s" : " ", list->str,
                           type->size);
  }
  return 0;
}

static int smi_lgi(Smi *smi, const char *value)
{
  g_autofree char *fails = fake_get(smi->dir, "smi-fails");
  if (*fails) {
    g_string_append_printf(smi->out, "%s\n", fails);
    return 4;
  }
  if (!smi->instances->len) {
    g_string_append(smi->out, "No GPU instances found: Not Found\n");
    return 6;
  }
  for (guint i = 0; i < smi->instances->len; i++) {
    const Instance *each = &g_array_index(smi->instances, Instance, i);
    const FakeType *type = profile_find(smi->model, each->number);
    g_string_append_printf(smi->out, "|   0  MIG %-14s %4d %8d %10d:%d     |\n", type->id, type->number, each->id, each->start, type->size);
  }
  return 0;
}

static int smi_cgi(Smi *smi, const char *value)
{
  Instance made = { .id = 1 };
  if (sscanf(value, "%d:%d", &made.number, &made.start) != 2)
    return 2;
  const FakeType *type = profile_find(smi->model, made.number);
  if (!type || !place_is_free(smi, type, made.start))
    return 19;
  for (guint i = 0; i < smi->instances->len; i++)
    made.id = MAX(made.id, g_array_index(smi->instances, Instance, i).id + 1);
  g_array_append_val(smi->instances, made);
  instances_save(smi);
  return 0;
}

static int smi_dgi(Smi *smi, const char *value)
{
  g_auto(GStrv) functions = fake_functions(smi->dir, smi->card);
  for (char **name = functions; *name; name++) {
    g_autofree char *has = fake_get(smi->dir, FAKE_PCI "/%s/nvidia/gpu_instance_id", *name);
    if (!strcmp(has, value))
      return 15;  /* in use by another client */
  }
  for (guint i = 0; i < smi->instances->len; i++)
    if (g_array_index(smi->instances, Instance, i).id == atoi(value)) {
      g_array_remove_index(smi->instances, i);
      instances_save(smi);
      return 0;
    }
  return 6;
}

static const struct { const char *verb; int value_at; int (*run)(Smi *smi, const char *value); } smi_rows[] = {
  { "-lgip", 0, smi_lgip }, { "-lgipp", 0, smi_lgipp }, { "-lgi", 0, smi_lgi }, { "-cgi", 3, smi_cgi }, { "-dgi", 4, smi_dgi },
};

char *fake_cards_smi(const char *dir, const char *const *argv, int *ret_status)
{
  guint n = g_strv_length((char **)argv);
  Smi smi = { .dir = dir, .card = argv[n - 1], .model = fake_model_of(dir, argv[n - 1]), .out = g_string_new(NULL) };
  smi.instances = g_array_new(FALSE, FALSE, sizeof(Instance));
  *ret_status = 2;
  for (size_t i = 0; smi.model && n > 4 && i < G_N_ELEMENTS(smi_rows); i++)
    if (!strcmp(smi_rows[i].verb, argv[2])) {
      instances_load(&smi);
      *ret_status = smi_rows[i].run(&smi, argv[smi_rows[i].value_at]);
    }
  g_array_unref(smi.instances);
  return g_string_free(smi.out, FALSE);
}

char *fake_cards_smi_lines(const char *dir)
{
  g_auto(GStrv) all = fake_names(dir, FAKE_PCI);
  g_autofree char *silent = fake_get(dir, "smi-silent");
  GString *lines = g_string_new(NULL);
  bool any = false;
  for (char **name = all; *name; name++) {
    const FakeModel *model = fake_model_of(dir, *name);
    g_autofree char *link = g_build_filename(dir, FAKE_PCI, *name, "driver", NULL), *driver = g_file_read_link(link, NULL);
    bool nvidia = model && !strcmp(model->vendor, "0x10de");
    any |= nvidia;
    if (nvidia && driver && g_str_has_suffix(driver, "/nvidia") && strcmp(silent, *name))
      g_string_append_printf(lines, "smi gpu 0000%s, %s, %s\n", *name, model->backend == GPU_MIG ? "Enabled" : "[N/A]", "1650923004321");
  }
  if (any && g_str_has_prefix(silent, "failed "))
    g_string_printf(lines, "smi %s\n", silent);
  else if (any)
    g_string_prepend(lines, "smi ran\n");
  return g_string_free(lines, FALSE);
}
