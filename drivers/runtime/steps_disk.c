#include <string.h>

#include "core/cells.h"
#include "core/template/seed.h"
#include "core/text.h"
#include "drivers/runtime/steps_parts.h"

/* ── storages ─────────────────────────────────────────────────────────────── */

/* The driver follows from what is known: a fake host has fake storage, a directory that we see is written directly, any other goes through
 * the host's libvirtd. */
Volumes *step_storage_open(const StepRun *run, const Storage *storage, const Host *host, GError **err)
{
  bool fake = host && g_str_has_prefix(host->uri, "fake:");
  VolumesOptions options = {
    .driver = fake ? VOLUMES_FAKE : storage->controller_path || !host ? VOLUMES_DIR : VOLUMES_LIBVIRT,
    .storage = storage->head.name,
    .path = storage->path,
    .controller_path = storage->controller_path,
    .uri = host ? host->uri : NULL,
    .ground = run->options->ground,
  };
  VolumeCall call = { .deadline_us = run->deadline_us, .cancel = run->cancel };
  Volumes *volumes = NULL;
  return volumes_open(&options, &call, &volumes, err) ? volumes : NULL;
}

static Volumes *desktop_storage(const StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  if (!o->storage)
    return error_null(err, REASON_NOT_FOUND, "kind", "storage", "name", o->desktop->storage, NULL);
  return step_storage_open(run, o->storage, o->host, err);
}

bool run_measure(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  if (!o->storage)
    return error_false(err, REASON_NOT_FOUND, "kind", "storage", "name", "", NULL);
  g_autoptr(Volumes) volumes = step_storage_open(run, o->storage, o->host, err);
  VolumeCall call = { .deadline_us = run->deadline_us, .cancel = run->cancel };
  VolumeSpace space;
  if (!volumes || !volumes_space(volumes, &call, &space, err))
    return false;
  run->result->total_bytes = space.total_bytes;
  run->result->free_bytes = space.free_bytes;
  return true;
}

/* ── the disk ─────────────────────────────────────────────────────────────── */

static bool clone_overlay(StepRun *run, Volumes *volumes, const VolumeCall *call, const char *name, GError **err)
{
  const StepOrder *o = run->order;
  g_autofree char *tag = g_strdup_printf("%s/%s/%" G_GINT64_FORMAT, o->controller, o->desktop->head.name, o->desktop->clone);
  VolumeClone clone = { .image = o->image->volume, .format = o->image->format, .virtual_bytes = o->image->virtual_bytes, .tag = tag };
  /* a fresh one is success, one that was ever written to is not: so what follows is evidence */
  if (!volume_clone(volumes, call, name, &clone, err) || !volume_prove(volumes, call, name, &clone, err))
    return false;
  run->result->clone = o->desktop->clone;
  run->result->evidence = g_strdup_printf("{\"volume\":\"%s\",\"on\":\"%s\",\"fresh\":true}", name, o->image->volume);
  return true;
}

static bool clone_copy(StepRun *run, Volumes *volumes, const VolumeCall *call, const char *name, GError **err)
{
  const StepOrder *o = run->order;
  /* an earlier try may have left one: nobody used it yet, so it is made again */
  if (!volume_delete(volumes, call, name, err) || !volume_copy(volumes, call, o->image->volume, name, err))
    return false;
  run->result->clone = o->desktop->clone;
  run->result->evidence = g_strdup_printf("{\"volume\":\"%s\",\"copy_of\":\"%s\",\"fresh\":true}", name, o->image->volume);
  return true;
}

/* Never another controller's: every name that we make, open or delete has ours in it. */
static char *own_volume(const StepOrder *o, VolumeRole role)
{
  g_autofree char *owner = volume_owner(o->controller, o->desktop->head.name);
  return volume_name(role, owner, o->desktop->clone);
}

/* A full copy has its image's format; an overlay is always qcow2. */
static VolumeRole disk_role(const StepOrder *o)
{
  bool raw = o->pool && o->pool->disk == DISK_COPY && o->image->format == FORMAT_RAW;
  return raw ? VOLUME_DISK_RAW : VOLUME_DISK_QCOW2;
}

bool run_clone(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  if (!o->image)
    return error_false(err, REASON_NOT_FOUND, "kind", "image", "name", o->desktop->image, NULL);
  g_autoptr(Volumes) volumes = desktop_storage(run, err);
  if (!volumes)
    return false;
  VolumeCall call = { .deadline_us = run->deadline_us, .cancel = run->cancel };
  g_autofree char *name = own_volume(o, disk_role(o));
  bool copy = o->pool && o->pool->disk == DISK_COPY;
  return copy ? clone_copy(run, volumes, &call, name, err) : clone_overlay(run, volumes, &call, name, err);
}

bool run_find_disk(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  if (!o->image)
    return error_false(err, REASON_NOT_FOUND, "kind", "image", "name", o->desktop->image, NULL);
  g_autoptr(Volumes) volumes = desktop_storage(run, err);
  VolumeCall call = { .deadline_us = run->deadline_us, .cancel = run->cancel };
  g_autofree char *name = own_volume(o, disk_role(o));
  g_autoptr(VolumeFacts) facts = NULL;
  g_autoptr(GError) why = NULL;
  if (!volumes)
    return false;
  if (volume_look(volumes, &call, name, &facts, &why))
    return true;
  if (error_is(why, REASON_NOT_FOUND))
    return error_false(err, REASON_DISK_GONE, "desktop", o->desktop->head.name, "storage", o->storage->head.name, "volume", name, NULL);
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

static bool put_seed(StepRun *run, const char *instance, const GuestPerson *person, GError **err)
{
  const StepOrder *o = run->order;
  Seed seed = { .instance_id = instance, .hostname = o->desktop->head.name, .person = person };
  g_autoptr(GBytes) bytes = NULL;
  g_autoptr(Volumes) volumes = seed_image(&seed, &bytes, err) ? desktop_storage(run, err) : NULL;
  if (!volumes)
    return false;
  VolumeCall call = { .deadline_us = run->deadline_us, .cancel = run->cancel };
  g_autofree char *name = own_volume(o, VOLUME_SEED);
  return volume_put_bytes(volumes, &call, name, bytes, g_bytes_get_size(bytes), VOLUME_REPLACE, err);
}

/* The seed of this generation, with nobody's account: a guest applies one once for each instance. */
bool run_seed(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  g_autoptr(DomainTemplate) t = step_template(o, err);
  g_autofree char *instance = g_strdup_printf("%s.g%" G_GINT64_FORMAT, o->desktop->head.name, o->desktop->clone);
  return t && (!t->seed || put_seed(run, instance, NULL, err));
}

/* In the place of the one without: another instance, so that the guest applies it when it boots next. */
bool run_seed_person(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  g_autoptr(DomainTemplate) t = step_template(o, err);
  if (!t)
    return false;
  if (!t->seed)
    return error_false(err, REASON_UNSUPPORTED, "what", "an account by the seed", "by", o->template->head.name, NULL);
  if (!o->person)
    return error_false(err, REASON_NOT_FOUND, "kind", "user", "name", o->session ? o->session->user : "", NULL);
  GuestPerson person = step_person(o->person);
  g_autofree char *full_name = guest_full_name(person.gecos);
  person.gecos = full_name;
  g_autofree char *instance = g_strdup_printf("%s.g%" G_GINT64_FORMAT ".%s", o->desktop->head.name, o->desktop->clone, person.name);
  return put_seed(run, instance, &person, err);
}

/* Deletes the desktop's volumes but those of generation keep (0 = none is kept). */
static bool delete_but(StepRun *run, int64_t keep, GError **err)
{
  g_autoptr(Volumes) volumes = desktop_storage(run, err);
  VolumeCall call = { .deadline_us = run->deadline_us, .cancel = run->cancel };
  g_autofree char *owner = volume_owner(run->order->controller, run->order->desktop->head.name);
  return volumes && volume_delete_desktop(volumes, &call, owner, keep, err);
}

bool run_delete_old(StepRun *run, GError **err)
{
  return delete_but(run, run->order->desktop->clone, err);
}

bool run_delete_volumes(StepRun *run, GError **err)
{
  return delete_but(run, 0, err);
}

/* ── the domain ───────────────────────────────────────────────────────────── */

/* The pool's values for the template's parameters; texts stay owned by json. */
static TemplateArgument *arguments_of(json_t *json, size_t *ret_n, GPtrArray *texts)
{
  TemplateArgument *arguments = g_new0(TemplateArgument, json_object_size(json) + 1);
  const char *key;
  json_t *value;
  *ret_n = 0;
  json_object_foreach(json, key, value) {
    char *text = json_is_string(value) ? g_strdup(json_string_value(value)) : g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    g_ptr_array_add(texts, text);
    arguments[(*ret_n)++] = (TemplateArgument){ key, text };
  }
  return arguments;
}

static VirtType virt_type_for(const StepRun *run)
{
  VirtType type = VIRT_QEMU;
  if (run->order->host->virt_type)
    virt_type_parse(run->order->host->virt_type, &type);
  return run->options->never_kvm && type == VIRT_KVM ? VIRT_QEMU : type;
}

static char *domain_name(const StepOrder *o)
{
  return g_strdup_printf("sarang-%s", o->desktop->head.name);
}

static bool define_xml(StepRun *run, const DomainTemplate *t, DomainSpec *spec, char **ret_xml, GError **err)
{
  const StepOrder *o = run->order;
  const char *const directories[] = { o->storage->path, NULL };
  LintPolicy policy = { directories, (const char *const *)o->template->waive };
  json_auto_t *parameters = o->pool && o->pool->parameters ? json_loads(o->pool->parameters, 0, NULL) : NULL;
  g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
  g_autofree TemplateArgument *arguments = arguments_of(parameters, &spec->n_arguments, texts);
  spec->arguments = arguments;
  return template_domain(t, spec, &policy, ret_xml, err);
}

/* What one host has found valid: what else of the desktop changes from one to the next are names, numbers and paths, which are checked here. */
static char *memo_key(const StepOrder *o)
{
  return g_strdup_printf("%s %s %s %s %" G_GINT64_FORMAT " %s", o->host->head.name, o->host->hypervisor, o->template->head.name,
                         o->pool ? o->pool->head.name : "", o->pool ? o->pool->head.generation : 0, o->image->head.name);
}

static bool define_checked(StepRun *run, const char *xml, GError **err)
{
  const StepOrder *o = run->order;
  g_autofree char *key = memo_key(o);
  bool known = step_memo_has(run->options->memo, key);
  g_autoptr(GError) why = NULL;
  if (hypervisor_define(run->hypervisor, xml, !known, &why)) {
    step_memo_add(run->options->memo, key);
    return true;
  }
  if (error_is(why, REASON_BAD_DOMAIN_XML))
    return error_false(err, REASON_TEMPLATE_REFUSED, "host", o->host->head.name, "template", o->template->head.name, "detail", why->message, NULL);
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

/* What was claimed of the host's memory is what the domain is bound to. */
static bool memory_fill(const StepOrder *o, HostCells *cells, DomainSpec *spec, GError **err)
{
  spec->page_kib = o->host->page_kib;
  if (o->desktop->cell == CELL_ANY)
    return true;
  host_cells_read(o->host->cells, cells);
  const HostCell *cell = host_cell_find(cells, o->desktop->cell - CELL_0);
  if (!cell)
    return error_false(err, REASON_CELL_GONE, "host", o->host->head.name, "cell", numa_cell_name((NumaCell)o->desktop->cell), NULL);
  spec->cell = cell->id;
  spec->cell_cpus = cell->cpus;
  return true;
}

bool run_define(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  g_autoptr(DomainTemplate) t = step_template(o, err);
  if (!t)
    return false;
  VolumeRole role = disk_role(o);
  g_autofree char *uuid = step_uuid(o), *name = domain_name(o);
  g_autofree char *disk_name = own_volume(o, role);
  g_autofree char *seed_name = own_volume(o, VOLUME_SEED);
  g_autofree char *disk = g_build_filename(o->storage->path, disk_name, NULL);
  g_autofree char *seed = g_build_filename(o->storage->path, seed_name, NULL);
  g_autofree char *listen = hypervisor_console_address(o->host->uri, o->host->console_address, err);
  if (!listen)
    return false;
  DomainSpec spec = {
    .name = name, .uuid = uuid, .type = virt_type_for(run), .memory_mib = o->desktop->memory_mib, .vcpus = o->desktop->vcpus,
    .disk = disk, .disk_format = role == VOLUME_DISK_RAW ? FORMAT_RAW : FORMAT_QCOW2, .seed = t->seed ? seed : NULL,
    .kernel = o->image->kernel, .initrd = o->image->initrd, .network = o->pool ? o->pool->network : NULL,
    .mac = o->desktop->mac,
    .listen = listen, .controller = o->controller,
    .desktop = o->desktop->head.name, .pool = o->desktop->pool, .template_version = o->desktop->template,
    .generation = o->desktop->clone,
  };
  g_auto(GStrv) hostdevs = NULL;
  if (!step_hostdevs(run, &hostdevs, &spec.gpu_screen, err))
    return false;
  HostCells cells;
  if (!memory_fill(o, &cells, &spec, err))
    return false;
  spec.guest_screen = t->screen == SCREEN_BY_GUEST;
  spec.hostdevs = (const char *const *)hostdevs;
  g_autofree char *xml = NULL;
  return define_xml(run, t, &spec, &xml, err) && define_checked(run, xml, err);
}
