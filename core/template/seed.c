#include "core/template/seed.h"

#include "core/error.h"
#include "core/template/fat.h"

#include <string.h>
#include <yaml.h>

void seed_files_clear(SeedFiles *files)
{
  g_clear_pointer(&files->meta_data, g_free);
  g_clear_pointer(&files->user_data, g_free);
  g_clear_pointer(&files->network_config, g_free);
}

/* ── YAML, written by events ─────────────────────────────────────────────── */

typedef struct {
  yaml_emitter_t emitter;
  GString *out;
  GError *error;  /* the first thing that went wrong; what comes after is dropped */
} Writer;

static int append(void *data, unsigned char *bytes, size_t n)
{
  g_string_append_len(((Writer *)data)->out, (const char *)bytes, (gssize)n);
  return 1;
}

/* made: what libyaml's maker of the event said. The event is eaten either way. */
static void emit(Writer *w, yaml_event_t *event, int made)
{
  if (w->error)
    yaml_event_delete(event);
  else if (!made || !yaml_emitter_emit(&w->emitter, event))
    error_set(&w->error, REASON_INTERNAL, "detail", w->emitter.problem ? w->emitter.problem : "libyaml", NULL);
}

static void put_scalar(Writer *w, const char *text, yaml_scalar_style_t style)
{
  yaml_event_t event = { 0 };
  emit(w, &event, yaml_scalar_event_initialize(&event, NULL, NULL, (yaml_char_t *)text, -1, 1, 1, style));
}

static void put_key(Writer *w, const char *key) { put_scalar(w, key, YAML_PLAIN_SCALAR_STYLE); }

static void put_string(Writer *w, const char *key, const char *text)
{
  if (!text)
    return;
  if (key)
    put_key(w, key);
  if (!w->error && !g_utf8_validate(text, -1, NULL))
    error_set(&w->error, REASON_TEXT_NOT_UTF8, "field", key ? key : "text", NULL);
  put_scalar(w, text, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

/* Words that YAML itself gives a meaning: true, false, a number. */
static void put_word(Writer *w, const char *key, const char *word)
{
  put_key(w, key);
  put_scalar(w, word, YAML_PLAIN_SCALAR_STYLE);
}

static void open_map(Writer *w, const char *key)
{
  yaml_event_t event = { 0 };
  if (key)
    put_key(w, key);
  emit(w, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
}

static void close_map(Writer *w)
{
  yaml_event_t event = { 0 };
  emit(w, &event, yaml_mapping_end_event_initialize(&event));
}

static void open_list(Writer *w, const char *key)
{
  yaml_event_t event = { 0 };
  put_key(w, key);
  emit(w, &event, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
}

static void close_list(Writer *w)
{
  yaml_event_t event = { 0 };
  emit(w, &event, yaml_sequence_end_event_initialize(&event));
}

static void put_strings(Writer *w, const char *key, const char *const *texts)
{
  if (!texts || !*texts)
    return;
  open_list(w, key);
  for (; *texts; texts++)
    put_string(w, NULL, *texts);
  close_list(w);
}

static void put_stream(Writer *w, const Seed *seed, void (*put)(Writer *, const Seed *))
{
  yaml_event_t event = { 0 };
  emit(w, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
  emit(w, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
  put(w, seed);
  emit(w, &event, yaml_document_end_event_initialize(&event, 1));
  emit(w, &event, yaml_stream_end_event_initialize(&event));
}

static bool write_document(const Seed *seed, void (*put)(Writer *, const Seed *), const char *head, char **ret_text, GError **err)
{
  Writer w = { .out = g_string_new(head) };
  yaml_emitter_initialize(&w.emitter);
  yaml_emitter_set_output(&w.emitter, append, &w);
  yaml_emitter_set_unicode(&w.emitter, 1);
  yaml_emitter_set_width(&w.emitter, -1);
  put_stream(&w, seed, put);
  yaml_emitter_delete(&w.emitter);
  g_autofree char *text = g_string_free(w.out, FALSE);
  if (w.error) {
    g_propagate_error(err, w.error);
    return false;
  }
  *ret_text = g_steal_pointer(&text);
  return true;
}

/* ── the three files ─────────────────────────────────────────────────────── */

static void put_meta_data(Writer *w, const Seed *seed)
{
  open_map(w, NULL);
  put_string(w, "instance-id", seed->instance_id);
  put_string(w, "local-hostname", seed->hostname);
  close_map(w);
}

static void put_person(Writer *w, const GuestPerson *person)
{
  open_list(w, "users");
  open_map(w, NULL);
  put_string(w, "name", person->name);
  put_string(w, "gecos", person->gecos);
  put_word(w, "lock_passwd", person->password_hash ? "false" : "true");
  put_string(w, "hashed_passwd", person->password_hash);
  put_strings(w, "ssh_authorized_keys", person->ssh_keys);
  close_map(w);
  close_list(w);
}

static void put_user_data(Writer *w, const Seed *seed)
{
  const GuestPerson *person = seed->person;
  open_map(w, NULL);
  put_string(w, "hostname", seed->hostname);
  put_string(w, "locale", person && person->locale ? person->locale : seed->locale);
  put_string(w, "timezone", seed->timezone);
  if (person)
    put_person(w, person);
  close_map(w);
}

static void put_address(Writer *w, const SeedNetwork *network)
{
  const char *const addresses[] = { network->address, NULL };
  put_strings(w, "addresses", addresses);
  put_string(w, "gateway4", network->gateway);
  if (!network->nameservers || !*network->nameservers)
    return;
  open_map(w, "nameservers");
  put_strings(w, "addresses", network->nameservers);
  close_map(w);
}

static void put_network_config(Writer *w, const Seed *seed)
{
  open_map(w, NULL);
  put_word(w, "version", "2");
  open_map(w, "ethernets");
  open_map(w, "nic0");
  open_map(w, "match");
  put_string(w, "macaddress", seed->network->mac);
  close_map(w);
  if (seed->network->address)
    put_address(w, seed->network);
  else
    put_word(w, "dhcp4", "true");
  close_map(w);
  close_map(w);
  close_map(w);
}

static bool needed_check(const char *field, const char *text, GError **err)
{
  return text ? true : error_false(err, REASON_MISSING_FIELD, "field", field, NULL);
}

bool seed_files(const Seed *seed, SeedFiles *ret_files, GError **err)
{
  g_auto(SeedFiles) files = { 0 };
  if (!needed_check("instance-id", seed->instance_id, err) || !needed_check("hostname", seed->hostname, err) ||
      (seed->person && !needed_check("name", seed->person->name, err)) ||
      (seed->network && !needed_check("mac", seed->network->mac, err)) ||
      !write_document(seed, put_meta_data, "", &files.meta_data, err) ||
      !write_document(seed, put_user_data, "#cloud-config\n", &files.user_data, err) ||
      (seed->network && !write_document(seed, put_network_config, "", &files.network_config, err)))
    return false;
  *ret_files = files;
  files = (SeedFiles){ 0 };
  return true;
}

bool seed_image(const Seed *seed, GBytes **ret_image, GError **err)
{
  g_auto(SeedFiles) files = { 0 };
  if (!seed_files(seed, &files, err))
    return false;
  const FatFile list[] = {
    { "meta-data", files.meta_data, strlen(files.meta_data) },
    { "user-data", files.user_data, strlen(files.user_data) },
    { "network-config", files.network_config, files.network_config ? strlen(files.network_config) : 0 },
  };
  return fat_image(SEED_LABEL, list, files.network_config ? 3 : 2, ret_image, err);
}
