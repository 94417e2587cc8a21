/* The serial line: a console stream per domain, read by the event thread into a ring. libvirt's calls that end a stream wait
 * for the host, so the event thread only marks it as ended and the next verb, or the close, tells the host. */
#include <string.h>

#include "core/log.h"
#include "drivers/hypervisor/libvirt.h"

enum { RING_MAX_BYTES = 64 << 10, READ_BYTES = 16 << 10 };

/* Behind the link's lock but for stream, which only the opener and whoever takes it out of here touch. */
typedef struct {
  char uuid[UUID_TEXT_BYTES];
  Link *link;
  virStreamPtr stream;  /* NULL while the domain is off, or after it was taken to be ended */
  bool ended;           /* the host said so */
  bool told;            /* SERIAL was said and not yet followed by a read */
  GByteArray *ring;
  int64_t start;        /* bytes of this run before the ring */
  int refs;             /* the link's table, and the stream's callback */
} Serial;

static void serial_unref_locked(Serial *serial)
{
  if (--serial->refs)
    return;
  g_byte_array_unref(serial->ring);
  g_free(serial);
}

void serial_free(void *serial)
{
  serial_unref_locked(serial);
}

static void serial_unref(void *data)
{
  Serial *serial = data;
  Link *link = serial->link;
  pthread_mutex_lock(&link->lock);
  serial_unref_locked(serial);
  pthread_mutex_unlock(&link->lock);
  link_unref(link);
}

static void ring_add(Serial *serial, const char *bytes, int n)
{
  g_byte_array_append(serial->ring, (const guint8 *)bytes, n);
  if (serial->ring->len <= RING_MAX_BYTES)
    return;
  guint surplus = serial->ring->len - RING_MAX_BYTES;
  g_byte_array_remove_range(serial->ring, 0, surplus);
  serial->start += surplus;
}

/* In the event thread. Reads what is there without waiting. */
static void on_readable(virStreamPtr stream, int events, void *data)
{
  Serial *serial = data;
  char bytes[READ_BYTES];
  int n = virStreamRecv(stream, bytes, sizeof bytes);
  if (n == -2)
    return;
  if (n <= 0)
    virStreamEventRemoveCallback(stream);
  pthread_mutex_lock(&serial->link->lock);
  bool tell = n > 0 && !serial->told;
  if (n > 0) {
    ring_add(serial, bytes, n);
    serial->told = true;
  } else {
    serial->ended = true;
  }
  pthread_mutex_unlock(&serial->link->lock);
  if (tell)
    link_tell(serial->link, HYPERVISOR_SERIAL, serial->uuid, NULL);
}

/* ── the table ──────────────────────────────────────────────────────────── */

static Serial *serial_find(Link *link, const char *uuid)
{
  return g_hash_table_lookup(link->serials, uuid);
}

static Serial *serial_ensure(Link *link, const char *uuid)
{
  Serial *serial = serial_find(link, uuid);
  if (serial)
    return serial;
  serial = g_new0(Serial, 1);
  g_strlcpy(serial->uuid, uuid, sizeof serial->uuid);
  serial->link = link;
  serial->ring = g_byte_array_new();
  serial->refs = 1;
  g_hash_table_insert(link->serials, serial->uuid, serial);
  return serial;
}

bool serial_armed(Libvirt *libvirt, const char *uuid)
{
  pthread_mutex_lock(&libvirt->link->lock);
  bool armed = serial_find(libvirt->link, uuid);
  pthread_mutex_unlock(&libvirt->link->lock);
  return armed;
}

/* Takes uuid's stream out of the table when it has ended, or in any case. Locked: no; to be given to stream_end(). */
static virStreamPtr stream_take(Link *link, const char *uuid, bool only_ended)
{
  virStreamPtr stream = NULL;
  pthread_mutex_lock(&link->lock);
  Serial *serial = serial_find(link, uuid);
  if (serial && (serial->ended || !only_ended)) {
    stream = g_steal_pointer(&serial->stream);
    serial->ended = false;
  }
  pthread_mutex_unlock(&link->lock);
  return stream;
}

static void stream_end(virStreamPtr stream)
{
  if (!stream)
    return;
  virStreamEventRemoveCallback(stream);
  virStreamAbort(stream);
  virStreamFree(stream);
}

/* ── opening ────────────────────────────────────────────────────────────── */

/* Keeps stream as uuid's and listens to it; the ring begins anew. false when another thread was quicker. */
static bool stream_keep(Link *link, const char *uuid, virStreamPtr stream)
{
  pthread_mutex_lock(&link->lock);
  Serial *serial = serial_ensure(link, uuid);
  bool keep = !serial->stream;
  if (keep) {
    serial->stream = stream;
    serial->ended = serial->told = false;
    serial->start = 0;
    g_byte_array_set_size(serial->ring, 0);
    serial->refs++;
  }
  pthread_mutex_unlock(&link->lock);
  if (!keep)
    return false;
  link_ref(link);
  int events = VIR_STREAM_EVENT_READABLE | VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP;
  if (virStreamEventAddCallback(stream, events, on_readable, serial, serial_unref) < 0) {
    stream_take(link, uuid, false);
    serial_unref(serial);
    return false;
  }
  return true;
}

static bool stream_open(Libvirt *libvirt, virDomainPtr domain, const char *uuid, GError **err)
{
  virStreamPtr stream = virStreamNew(libvirt->conn, VIR_STREAM_NONBLOCK);
  if (!stream || virDomainOpenConsole(domain, NULL, stream, 0) < 0) {
    libvirt_failed(libvirt, "open the console of", domain, err);
    if (stream)
      virStreamFree(stream);
    return false;
  }
  if (!stream_keep(libvirt->link, uuid, stream))
    stream_end(stream);
  return true;
}

void serial_begin(Libvirt *libvirt, virDomainPtr domain)
{
  char uuid[UUID_TEXT_BYTES];
  g_autoptr(GError) err = NULL;
  if (virDomainGetUUIDString(domain, uuid))
    return;
  stream_end(stream_take(libvirt->link, uuid, false));
  if (!stream_open(libvirt, domain, uuid, &err))
    log_warning("hypervisor", "the serial console could not be opened", "host", libvirt->base.host, "domain",
                virDomainGetName(domain), "error", err->message);
}

/* ── the verb ───────────────────────────────────────────────────────────── */

static void serial_end(Libvirt *libvirt, const char *uuid)
{
  stream_end(stream_take(libvirt->link, uuid, false));
  pthread_mutex_lock(&libvirt->link->lock);
  g_hash_table_remove(libvirt->link->serials, uuid);
  pthread_mutex_unlock(&libvirt->link->lock);
}

static SerialText serial_read(Link *link, const char *uuid, int64_t from)
{
  pthread_mutex_lock(&link->lock);
  Serial *serial = serial_ensure(link, uuid);
  int64_t end = serial->start + serial->ring->len;
  int64_t begin = CLAMP(from, serial->start, end);
  SerialText text = { .start = begin, .end = end, .open = serial->stream && !serial->ended };
  text.text = g_bytes_new(serial->ring->data + (begin - serial->start), end - begin);
  serial->told = false;
  pthread_mutex_unlock(&link->lock);
  return text;
}

bool libvirt_serial(Hypervisor *hypervisor, const char *uuid, int64_t from, SerialText *ret_text, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  if (from < 0) {
    serial_end(libvirt, uuid);
    *ret_text = (SerialText){ .text = g_bytes_new(NULL, 0) };
    return true;
  }
  stream_end(stream_take(libvirt->link, uuid, true));
  SerialText text = serial_read(libvirt->link, uuid, from);
  if (text.open) {
    *ret_text = text;
    return true;
  }
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  DomainState state;
  bool active = false;
  bool ok = domain && domain_state_read(libvirt, domain, &state, &active, err);
  if (ok && active && (ok = stream_open(libvirt, domain, uuid, err))) {
    serial_text_clear(&text);
    text = serial_read(libvirt->link, uuid, from);
  }
  if (ok)
    *ret_text = text;
  else
    serial_text_clear(&text);
  return ok;
}

void serial_close(Libvirt *libvirt)
{
  Link *link = libvirt->link;
  for (;;) {
    char uuid[UUID_TEXT_BYTES] = "";
    GHashTableIter iter;
    void *key;
    pthread_mutex_lock(&link->lock);
    g_hash_table_iter_init(&iter, link->serials);
    if (g_hash_table_iter_next(&iter, &key, NULL))
      g_strlcpy(uuid, key, sizeof uuid);
    pthread_mutex_unlock(&link->lock);
    if (!*uuid)
      return;
    serial_end(libvirt, uuid);
  }
}
