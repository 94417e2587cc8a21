/* libvirt's event loop, on a GMainContext that nobody else has (its own default one sits on the process's default context,
 * where our main loop and a helper thread took events from each other), and the callbacks that become HypervisorEvents. Sources
 * are made and destroyed by any thread; libvirt's free callbacks run later in the event thread, never inside the remove call,
 * as virEventRegisterImpl() demands. */
#include <glib-unix.h>
#include <libvirt/virterror.h>

#include "drivers/hypervisor/libvirt.h"

/* ── the loop ───────────────────────────────────────────────────────────── */

/* A file handle or a timer. Everything is behind `lock`, which is not held while a callback runs. */
typedef struct {
  int id, fd, events;   /* fd -1: a timer */
  int interval_ms;      /* -1: switched off */
  virEventHandleCallback handle;
  virEventTimeoutCallback timer;
  void *opaque;
  virFreeCallback free;
  GSource *source;      /* NULL while switched off */
} Watch;

static GMainContext *context;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *watches; /* id → Watch */
static int last_id;

static GIOCondition to_condition(int events)
{
  return (events & VIR_EVENT_HANDLE_READABLE ? G_IO_IN : 0) | (events & VIR_EVENT_HANDLE_WRITABLE ? G_IO_OUT : 0) |
         (events & VIR_EVENT_HANDLE_ERROR ? G_IO_ERR : 0) | (events & VIR_EVENT_HANDLE_HANGUP ? G_IO_HUP : 0);
}

static int to_events(GIOCondition condition)
{
  return (condition & G_IO_IN ? VIR_EVENT_HANDLE_READABLE : 0) | (condition & G_IO_OUT ? VIR_EVENT_HANDLE_WRITABLE : 0) |
         (condition & G_IO_ERR ? VIR_EVENT_HANDLE_ERROR : 0) | (condition & G_IO_HUP ? VIR_EVENT_HANDLE_HANGUP : 0);
}

/* A copy of the watch as it is now; false when it was removed meanwhile. */
static bool watch_get(int id, Watch *ret_watch)
{
  pthread_mutex_lock(&lock);
  Watch *watch = g_hash_table_lookup(watches, GINT_TO_POINTER(id));
  if (watch)
    *ret_watch = *watch;
  pthread_mutex_unlock(&lock);
  return watch;
}

static gboolean on_handle(int fd, GIOCondition condition, gpointer id)
{
  Watch watch;
  if (watch_get(GPOINTER_TO_INT(id), &watch))
    watch.handle(watch.id, fd, to_events(condition), watch.opaque);
  return G_SOURCE_CONTINUE;
}

static gboolean on_timer(gpointer id)
{
  Watch watch;
  if (watch_get(GPOINTER_TO_INT(id), &watch))
    watch.timer(watch.id, watch.opaque);
  return G_SOURCE_CONTINUE;
}

/* Called with the lock held. */
static void watch_arm(Watch *watch)
{
  if (watch->source) {
    g_source_destroy(watch->source);
    g_clear_pointer(&watch->source, g_source_unref);
  }
  if (watch->fd >= 0 ? !watch->events : watch->interval_ms < 0)
    return;
  if (watch->fd >= 0) {
    watch->source = g_unix_fd_source_new(watch->fd, to_condition(watch->events));
    g_source_set_callback(watch->source, G_SOURCE_FUNC(on_handle), GINT_TO_POINTER(watch->id), NULL);
  } else {
    watch->source = g_timeout_source_new(watch->interval_ms);
    g_source_set_callback(watch->source, on_timer, GINT_TO_POINTER(watch->id), NULL);
  }
  g_source_attach(watch->source, context);
}

static int watch_add(Watch watch)
{
  Watch *added = g_new(Watch, 1);
  *added = watch;
  pthread_mutex_lock(&lock);
  int id = added->id = ++last_id;
  g_hash_table_insert(watches, GINT_TO_POINTER(id), added);
  watch_arm(added);
  pthread_mutex_unlock(&lock);
  return id;
}

static gboolean free_later(gpointer data)
{
  Watch *watch = data;
  if (watch->free)
    watch->free(watch->opaque);
  g_free(watch);
  return G_SOURCE_REMOVE;
}

static int watch_remove(int id)
{
  void *key, *removed = NULL;
  pthread_mutex_lock(&lock);
  if (g_hash_table_steal_extended(watches, GINT_TO_POINTER(id), &key, &removed)) {
    Watch *watch = removed;
    watch->events = 0;
    watch->interval_ms = -1;
    watch_arm(watch);
  }
  pthread_mutex_unlock(&lock);
  if (!removed)
    return -1;
  GSource *idle = g_idle_source_new();
  g_source_set_priority(idle, G_PRIORITY_DEFAULT);
  g_source_set_callback(idle, free_later, removed, NULL);
  g_source_attach(idle, context);
  g_source_unref(idle);
  return 0;
}

static void watch_update(int id, int value)
{
  pthread_mutex_lock(&lock);
  Watch *watch = g_hash_table_lookup(watches, GINT_TO_POINTER(id));
  if (watch && watch->fd >= 0 && watch->events != value) {
    watch->events = value;
    watch_arm(watch);
  } else if (watch && watch->fd < 0) {
    watch->interval_ms = value;
    watch_arm(watch);
  }
  pthread_mutex_unlock(&lock);
}

static int handle_add(int fd, int events, virEventHandleCallback callback, void *opaque, virFreeCallback ff)
{
  return watch_add((Watch){ .fd = fd, .events = events, .handle = callback, .opaque = opaque, .free = ff });
}

static int timer_add(int interval_ms, virEventTimeoutCallback callback, void *opaque, virFreeCallback ff)
{
  return watch_add((Watch){ .fd = -1, .interval_ms = interval_ms, .timer = callback, .opaque = opaque, .free = ff });
}

static void *run(void *unused)
{
  g_main_context_push_thread_default(context);
  for (;;)
    g_main_context_iteration(context, TRUE);
  return NULL;
}

/* libvirt prints errors to stderr unless told otherwise; they are in what we return. */
static void silence(void *unused, virErrorPtr error) {}

static void start(void)
{
  context = g_main_context_new();
  watches = g_hash_table_new(NULL, NULL);
  virSetErrorFunc(NULL, silence);
  virEventRegisterImpl(handle_add, watch_update, watch_remove, timer_add, watch_update, watch_remove);
  virInitialize();
  pthread_t thread;
  g_assert(!pthread_create(&thread, NULL, run, NULL));
  pthread_setname_np(thread, "libvirt-events");
  pthread_detach(thread);
}

void events_start(void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, start);
}

/* ── events of a connection ─────────────────────────────────────────────── */

static void domain_changed(Link *link, virDomainPtr domain, bool definition)
{
  char uuid[UUID_TEXT_BYTES];
  if (virDomainGetUUIDString(domain, uuid))
    return;
  if (definition)
    link_forget(link, uuid);
  link_tell(link, HYPERVISOR_DOMAIN_CHANGED, uuid, NULL);
}

/* A start or stop may bring another definition with it: only pausing cannot. */
static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *link)
{
  domain_changed(link, domain, event != VIR_DOMAIN_EVENT_SUSPENDED && event != VIR_DOMAIN_EVENT_RESUMED);
  return 0;
}

static void on_reboot(virConnectPtr conn, virDomainPtr domain, void *link)
{
  domain_changed(link, domain, false);
}

static void on_agent(virConnectPtr conn, virDomainPtr domain, int state, int reason, void *link)
{
  domain_changed(link, domain, false);
}

static void on_metadata(virConnectPtr conn, virDomainPtr domain, int type, const char *nsuri, void *link)
{
  domain_changed(link, domain, true);
}

static void on_device_added(virConnectPtr conn, virDomainPtr domain, const char *alias, void *link)
{
  domain_changed(link, domain, true);
}

static void on_device_removed(virConnectPtr conn, virDomainPtr domain, const char *alias, void *data)
{
  Link *link = data;
  domain_changed(link, domain, true);
  pthread_mutex_lock(&link->lock);
  link->gone_count++;
  pthread_cond_broadcast(&link->device_gone);
  pthread_mutex_unlock(&link->lock);
}

static void node_changed(Link *link, virNodeDevicePtr node)
{
  const char *name = virNodeDeviceGetName(node);
  if (!g_str_has_prefix(name, "pci_") && !g_str_has_prefix(name, "mdev_"))
    return;
  link_touch_device(link, name);
  if (link->known)
    link_tell(link, HYPERVISOR_DEVICES_CHANGED, "", NULL);
}

static void on_node_lifecycle(virConnectPtr conn, virNodeDevicePtr node, int event, int detail, void *link)
{
  node_changed(link, node);
}

static void on_node_update(virConnectPtr conn, virNodeDevicePtr node, void *link)
{
  node_changed(link, node);
}

static void on_close(virConnectPtr conn, int reason, void *data)
{
  static const char *const why[] = {
    [VIR_CONNECT_CLOSE_REASON_ERROR] = "the connection broke",
    [VIR_CONNECT_CLOSE_REASON_EOF] = "libvirtd closed the connection",
    [VIR_CONNECT_CLOSE_REASON_KEEPALIVE] = "the host does not answer",
    [VIR_CONNECT_CLOSE_REASON_CLIENT] = "we closed the connection",
  };
  Link *link = data;
  pthread_mutex_lock(&link->lock);
  link->lost = true;
  pthread_cond_broadcast(&link->device_gone);
  pthread_mutex_unlock(&link->lock);
  link_tell(link, HYPERVISOR_LOST, "", reason >= 0 && reason < (int)G_N_ELEMENTS(why) ? why[reason] : "the connection is gone");
}

static const struct { int id; virConnectDomainEventGenericCallback callback; } domain_event_rows[] = {
  { VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle) },
  { VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot) },
  { VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_agent) },
  { VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(on_metadata) },
  { VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device_added) },
  { VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device_removed) },
};

static const struct { int id; virConnectNodeDeviceEventGenericCallback callback; } node_event_rows[] = {
  { VIR_NODE_DEVICE_EVENT_ID_LIFECYCLE, VIR_NODE_DEVICE_EVENT_CALLBACK(on_node_lifecycle) },
  { VIR_NODE_DEVICE_EVENT_ID_UPDATE, VIR_NODE_DEVICE_EVENT_CALLBACK(on_node_update) },
};

/* A host whose libvirt has no node device driver has no cards that we could see: nothing is missing. */
static void node_events_register(Libvirt *libvirt)
{
  for (size_t i = 0; i < G_N_ELEMENTS(node_event_rows); i++) {
    int id = virConnectNodeDeviceEventRegisterAny(libvirt->conn, NULL, node_event_rows[i].id, node_event_rows[i].callback,
                                                  link_ref(libvirt->link), link_unref);
    if (id >= 0)
      libvirt->node_callbacks[libvirt->n_node_callbacks++] = id;
    else
      link_unref(libvirt->link);
  }
  libvirt->link->keeps_devices = libvirt->n_node_callbacks == G_N_ELEMENTS(node_event_rows);
}

bool events_register(Libvirt *libvirt, const HypervisorOptions *options, GError **err)
{
  Link *link = libvirt->link;
  /* no reference goes with it: drivers inside our own process take it, succeed, and never give it back. Unregistering waits for
   * a callback under way, so the connection's own reference will do. */
  virConnectRegisterCloseCallback(libvirt->conn, on_close, link, NULL);
  if (options->domain_events || options->device_memo)
    node_events_register(libvirt);
  if (!options->domain_events)
    return true;
  for (size_t i = 0; i < G_N_ELEMENTS(domain_event_rows); i++) {
    int id = virConnectDomainEventRegisterAny(libvirt->conn, NULL, domain_event_rows[i].id, domain_event_rows[i].callback,
                                              link_ref(link), link_unref);
    if (id >= 0) {
      libvirt->callbacks[libvirt->n_callbacks++] = id;
      continue;
    }
    bool needed = domain_event_rows[i].id == VIR_DOMAIN_EVENT_ID_LIFECYCLE;
    if (needed)
      libvirt_failed(libvirt, "tell events", NULL, err);
    link_unref(link);
    if (needed)
      return false;
  }
  return true;
}

void events_deregister(Libvirt *libvirt)
{
  while (libvirt->n_callbacks)
    virConnectDomainEventDeregisterAny(libvirt->conn, libvirt->callbacks[--libvirt->n_callbacks]);
  while (libvirt->n_node_callbacks)
    virConnectNodeDeviceEventDeregisterAny(libvirt->conn, libvirt->node_callbacks[--libvirt->n_node_callbacks]);
  virConnectUnregisterCloseCallback(libvirt->conn, on_close);
}
