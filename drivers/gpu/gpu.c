#include "drivers/gpu/gpu.h"

#include <libxml/tree.h>
#include <string.h>

#include "drivers/gpu/fake_cards.h"
#include "drivers/gpu/turns.h"
#include "drivers/gpu/view.h"
#include "drivers/hypervisor/fake.h"

const GpuDriver *const gpu_drivers[N_GPU_BACKENDS] = {
  [GPU_MDEV] = &gpu_mdev,
  [GPU_VENDOR_VF] = &gpu_vendor_vf,
  [GPU_SRIOV] = &gpu_sriov,
  [GPU_MIG] = &gpu_mig,
  [GPU_WHOLE] = &gpu_whole,
};

/* Who looks at a card first: what a card can do best decides, and what nobody takes can still be given away whole. */
static const GpuBackend order_of_looks[N_GPU_BACKENDS] = { GPU_MDEV, GPU_MIG, GPU_VENDOR_VF, GPU_SRIOV, GPU_WHOLE };

/* ── what back ends share ───────────────────────────────────────────────── */

/* A host that knows no name tells an empty one. */
static char *told(const char *text)
{
  return text && *text ? g_strdup(text) : NULL;
}

GpuCard *gpu_card_of(const GpuView *view, const ViewFunction *function, GpuBackend backend)
{
  GpuCard *card = gpu_card_new(function->address, backend);
  card->vendor_id = function->vendor_id;
  card->device_id = function->device_id;
  card->vendor = told(function->vendor);
  card->model = told(function->model);
  card->driver = told(function->driver);
  card->serial = told(function->serial);
  card->numa_node = function->numa_node;
  card->iommu_group = function->iommu_group;
  card->console = function->boot_vga == 1;
  for (guint i = 0; i < view->functions->len && !card->unread; i++) {
    const ViewFunction *each = view->functions->pdata[i];
    if (each == function || !strcmp(each->physical, function->address))
      card->unread = g_strdup(each->wrong);
  }
  if (view->xen_told && !view->xen_directio)
    card->broken = g_strdup("Xen has no IOMMU to keep a card in: enable it in firmware, and look at iommu= on Xen's command line");
  return card;
}

bool gpu_unread(const GpuHost *host, const char *words, GError **err)
{
  return !words || error_false(err, REASON_GPU_FACTS, "host", host->host, "detail", words, NULL);
}

bool gpu_refused(const GpuHost *host, const char *what, GError *why, GError **err)
{
  if (!error_is(why, REASON_EXEC_FAILED) && !error_is(why, REASON_HYPERVISOR_REFUSED)) {
    g_propagate_error(err, why);
    return false;
  }
  const char *detail = error_arg(why, "detail");
  error_set(err, REASON_GPU_REFUSED, "host", host->host, "what", what, "detail", detail ? detail : "it did not say why", NULL);
  g_error_free(why);
  return false;
}

bool gpu_full(const GpuHost *host, const GpuOrder *order, const char *detail, GError **err)
{
  return error_false(err, REASON_GPU_FULL, "host", host->host, "card", order->card, "type", order->type, "detail", detail, NULL);
}

bool gpu_gone(const GpuHost *host, const char *card, GError **err)
{
  return error_false(err, REASON_GPU_GONE, "host", host->host, "card", card, NULL);
}

bool gpu_not_ours(const GpuHost *host, const char *what, const char *detail, GError **err)
{
  return error_false(err, REASON_GPU_NOT_OURS, "host", host->host, "what", what, "detail", detail, NULL);
}

bool gpu_made_before(const GpuHost *host, const GpuOrder *order, const char *what, GError **err)
{
  return order->again || gpu_not_ours(host, what, "others made it since the card was looked at", err);
}

char *gpu_file(const char *address, const char *name)
{
  return g_strdup_printf("/sys/bus/pci/devices/%s/%s", address, name);
}

bool gpu_exec_open(const Hypervisor *hypervisor, const ExecOptions *options, Exec **ret_exec, GError **err)
{
  const char *fake = fake_cards_of(hypervisor);
  if (fake)
    return fake_exec_open(hypervisor->host, fake, ret_exec, err);
  *ret_exec = NULL;
  return !options || exec_open(options, ret_exec, err);
}

/* ── verbs ──────────────────────────────────────────────────────────────── */

static bool taken(const GPtrArray *cards, const char *address)
{
  for (guint i = 0; i < cards->len; i++)
    if (!strcmp(((const GpuCard *)cards->pdata[i])->address, address))
      return true;
  return false;
}

static bool runs_on(const GpuHost *host, const GpuDriver *driver)
{
  return driver->on_xen || hypervisor_flavour(host->hypervisor)->kind != FLAVOUR_XEN;
}

/* A back end says what it could take; what an earlier one took stays with that one. */
static bool look_with(const GpuHost *host, const GpuView *view, const GpuDriver *driver, GPtrArray *cards, GError **err)
{
  g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)gpu_card_free);
  if ((driver->needs_exec && !host->exec) || !runs_on(host, driver))
    return true;
  if (!driver->discover(host, view, found, err))
    return false;
  for (guint i = 0; i < found->len; i++) {
    GpuCard *card = found->pdata[i];
    if (taken(cards, card->address))
      continue;
    found->pdata[i] = NULL;
    g_ptr_array_add(cards, card);
  }
  return true;
}

static int by_address(const void *a, const void *b)
{
  return strcmp((*(GpuCard *const *)a)->address, (*(GpuCard *const *)b)->address);
}

/* One of which so little was understood that no back end knows it is still there. */
static void unread_add(const GpuView *view, GPtrArray *cards)
{
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *function = view->functions->pdata[i];
    if (function->wrong && !*function->physical && !taken(cards, function->address))
      g_ptr_array_add(cards, gpu_card_of(view, function, GPU_WHOLE));
  }
}

/* A card in MIG mode looks like another kind of card to whoever does not know of the mode; mediated devices do not depend on it. */
static void untold_mark(const GpuView *view, const GPtrArray *cards)
{
  for (guint i = 0; i < cards->len; i++) {
    GpuCard *card = cards->pdata[i];
    if (!card->unread && card->backend != GPU_MDEV)
      card->unread = gpu_view_untold(view, card->address);
  }
}

/* Each function may tell of others than the next. */
static void many_mark(const GPtrArray *cards)
{
  for (guint i = 0; i < cards->len; i++) {
    GpuCard *card = cards->pdata[i];
    if (!card->unread && card->types->len > GPU_TYPES_MOST)
      card->unread = g_strdup_printf("card %s tells of %u types of parts (%d may be)", card->address, card->types->len, GPU_TYPES_MOST);
  }
}

/* only: the others need not be looked at as closely; NULL = all are. */
static bool cards_find(const GpuHost *host, const char *only, GPtrArray *cards, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  if (!gpu_view_read(host, &view, err))
    return false;
  view->only = only;
  for (int i = 0; i < N_GPU_BACKENDS; i++)
    if (!look_with(host, view, gpu_drivers[order_of_looks[i]], cards, err))
      return false;
  unread_add(view, cards);
  untold_mark(view, cards);
  many_mark(cards);
  return true;
}

bool gpu_discover(const GpuHost *host, GPtrArray **ret_cards, GError **err)
{
  g_autoptr(GPtrArray) cards = g_ptr_array_new_with_free_func((GDestroyNotify)gpu_card_free);
  if (!cards_find(host, NULL, cards, err))
    return false;
  g_ptr_array_sort(cards, by_address);
  *ret_cards = g_steal_pointer(&cards);
  return true;
}

static bool card_take(const GpuHost *host, GPtrArray *cards, const char *address, GpuCard **ret_card, GError **err)
{
  for (guint i = 0; i < cards->len; i++) {
    GpuCard *card = cards->pdata[i];
    if (strcmp(card->address, address))
      continue;
    cards->pdata[i] = NULL;
    *ret_card = card;
    return true;
  }
  return gpu_gone(host, address, err);
}

bool gpu_look(const GpuHost *host, const char *address, GpuCard **ret_card, GError **err)
{
  g_autoptr(GPtrArray) cards = g_ptr_array_new_with_free_func((GDestroyNotify)gpu_card_free);
  return cards_find(host, address, cards, err) && card_take(host, cards, address, ret_card, err);
}

bool gpu_look_part(const GpuHost *host, const GpuOrder *order, GpuCard **ret_card, GError **err)
{
  g_autoptr(GPtrArray) cards = g_ptr_array_new_with_free_func((GDestroyNotify)gpu_card_free);
  g_autoptr(GpuCard) card = NULL;
  g_autoptr(GpuView) view = NULL;
  bool mig = order->backend == GPU_MIG;
  if (!gpu_view_read(host, &view, err))
    return false;
  g_autofree char *untold = mig ? gpu_view_untold(view, order->card) : NULL;
  const ViewFunction *function = order->address ? gpu_view_find(view, order->address) : NULL;
  view->only = order->card;
  if (!gpu_unread(host, untold, err) || !gpu_view_told(host, gpu_view_find(view, order->card), err) || !gpu_view_told(host, function, err) ||
      !look_with(host, view, gpu_drivers[order->backend], cards, err) || !card_take(host, cards, order->card, &card, err) ||
      !gpu_unread(host, mig ? card->unread : NULL, err))
    return false;
  *ret_card = g_steal_pointer(&card);
  return true;
}

static bool can(const GpuHost *host, const GpuOrder *order, GError **err)
{
  const GpuDriver *driver = gpu_drivers[order->backend];
  if (!gpu_address_check(order->card))
    return error_false(err, REASON_BAD_VALUE, "field", "card", "value", order->card, "limit", "a PCI address", NULL);
  if (order->address && !gpu_address_check(order->address))
    return error_false(err, REASON_BAD_VALUE, "field", "address", "value", order->address, "limit", "a PCI address", NULL);
  if (!runs_on(host, driver))
    return error_false(err, REASON_UNSUPPORTED, "what", driver->title, "by", hypervisor_flavour(host->hypervisor)->title, NULL);
  return !driver->needs_exec || host->exec ||
         error_false(err, REASON_GPU_NEEDS_EXEC, "what", driver->title, "host", host->host, NULL);
}

bool gpu_nobody_elses(const GpuHost *host, const GpuOrder *order, const char *address, GError **err)
{
  g_autoptr(GPtrArray) domains = NULL;
  if (!address || !order->domain)
    return true;
  if (!hypervisor_list(host->hypervisor, &domains, err))
    return false;
  for (guint i = 0; i < domains->len; i++) {
    const DomainFacts *domain = domains->pdata[i];
    bool runs = domain->state == DOMAIN_ON || domain->state == DOMAIN_SUSPENDED;
    bool has = runs && domain->hostdevs && g_strv_contains((const char *const *)domain->hostdevs, address);
    if (has && g_ascii_strcasecmp(domain->uuid, order->domain))
      return gpu_not_ours(host, address, domain->name, err);
  }
  return true;
}

/* A mediated device says in its UUID whose it is; a function has no mark, but a guest that runs with it does. Of a GPU instance the function that
 * it has decides, which is not always the order's. */
static bool nobody_elses(const GpuHost *host, const GpuOrder *order, GError **err)
{
  bool asked = order->backend != GPU_MDEV && order->backend != GPU_MIG;
  return !asked || gpu_nobody_elses(host, order, order->backend == GPU_WHOLE ? order->card : order->address, err);
}

/* libvirt keeps its mediated devices apart by itself: there is no turn to take. */
static bool turn_take(const GpuHost *host, const GpuOrder *order, CardTurn **ret_turn, GError **err)
{
  *ret_turn = NULL;
  return !gpu_drivers[order->backend]->needs_exec || card_turn_take(host->host, order->card, host->exec->until_us, ret_turn, err);
}

bool gpu_make(const GpuHost *host, const GpuOrder *order, GpuHandle *ret_handle, GError **err)
{
  *ret_handle = (GpuHandle){ .backend = order->backend, .start = order->start };
  g_autoptr(CardTurn) turn = NULL;
  return can(host, order, err) && turn_take(host, order, &turn, err) && nobody_elses(host, order, err) &&
         gpu_drivers[order->backend]->make(host, order, ret_handle, err);
}

bool gpu_release(const GpuHost *host, const GpuOrder *order, GError **err)
{
  g_autoptr(CardTurn) turn = NULL;
  return can(host, order, err) && turn_take(host, order, &turn, err) && nobody_elses(host, order, err) &&
         gpu_drivers[order->backend]->release(host, order, err);
}

/* A mediated device is reset by ending it. */
bool gpu_reset(const GpuHost *host, const GpuOrder *order, GError **err)
{
  const GpuDriver *driver = gpu_drivers[order->backend];
  g_autoptr(CardTurn) turn = NULL;
  return can(host, order, err) && (!driver->reset || (turn_take(host, order, &turn, err) && driver->reset(host, order, err)));
}

/* ── the device of a domain ─────────────────────────────────────────────── */

static void prop(xmlNode *node, const char *name, const char *value)
{
  xmlNewProp(node, BAD_CAST name, BAD_CAST value);
}

/* https://libvirt.org/formatdomain.html#usb-pci-scsi-devices: a mediated device is managed by whoever made it */
static void mdev_fill(xmlNode *hostdev, const GpuHandle *handle, GpuDisplay display)
{
  prop(hostdev, "type", "mdev");
  prop(hostdev, "model", "vfio-pci");
  prop(hostdev, "display", display == GPU_DISPLAY_OFF ? "off" : "on");
  if (display == GPU_DISPLAY_RAMFB)
    prop(hostdev, "ramfb", "on");
  prop(xmlNewChild(xmlNewChild(hostdev, NULL, BAD_CAST "source", NULL), NULL, BAD_CAST "address", NULL), "uuid", handle->uuid);
}

/* managed='no': libvirt must not give a virtual function back to the vendor's driver, nor a card that we bound ourselves. Without <driver> it is
 * vfio's on KVM and pciback's on Xen: each of libvirt's drivers has the one. */
static void pci_fill(xmlNode *hostdev, const char *of)
{
  static const struct { const char *name; int at, n; } rows[] = {
    { "domain", 0, 4 }, { "bus", 5, 2 }, { "slot", 8, 2 }, { "function", 11, 1 },
  };
  prop(hostdev, "type", "pci");
  prop(hostdev, "managed", "no");
  xmlNode *address = xmlNewChild(xmlNewChild(hostdev, NULL, BAD_CAST "source", NULL), NULL, BAD_CAST "address", NULL);
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *value = g_strdup_printf("0x%.*s", rows[i].n, of + rows[i].at);
    prop(address, rows[i].name, value);
  }
}

/* Where it is to be in the guest, but for the slot. Drivers there look for a card's other functions in the slot of its first. */
static void place_fill(xmlNode *hostdev, int n)
{
  g_autofree char *function = g_strdup_printf("0x%d", n);
  xmlNode *address = xmlNewChild(hostdev, NULL, BAD_CAST "address", NULL);
  prop(address, "type", "pci");
  prop(address, "function", function);
  if (!n)
    prop(address, "multifunction", "on");
}

static char *node_text(xmlDoc *doc)
{
  xmlBuffer *buffer = xmlBufferCreate();
  xmlNodeDump(buffer, doc, xmlDocGetRootElement(doc), 0, 0);
  char *text = g_strdup((const char *)xmlBufferContent(buffer));
  xmlBufferFree(buffer);
  return text;
}

static int beside_count(const GpuHandle *handle)
{
  int n = 0;
  while (n < GPU_BESIDE_MOST && handle->beside[n][0])
    n++;
  return n;
}

char *gpu_alias(const char *claim, int n)
{
  return n ? g_strdup_printf("ua-%s-%d", claim, n) : g_strdup_printf("ua-%s", claim);
}

static char *function_xml(const GpuHandle *handle, GpuDisplay display, const char *claim, int n, bool one_slot)
{
  g_autofree char *alias = gpu_alias(claim, n);
  xmlDoc *doc = xmlNewDoc(BAD_CAST "1.0");
  xmlNode *hostdev = xmlNewDocNode(doc, NULL, BAD_CAST "hostdev", NULL);
  xmlDocSetRootElement(doc, hostdev);
  prop(hostdev, "mode", "subsystem");
  if (handle->backend == GPU_MDEV)
    mdev_fill(hostdev, handle, display);
  else
    pci_fill(hostdev, n ? handle->beside[n - 1] : handle->address);
  prop(xmlNewChild(hostdev, NULL, BAD_CAST "alias", NULL), "name", alias);
  if (one_slot)
    place_fill(hostdev, n);
  char *text = node_text(doc);
  xmlFreeDoc(doc);
  return text;
}

static bool handle_check(const GpuHandle *handle, GError **err)
{
  bool made = handle->backend == GPU_MDEV ? g_uuid_string_is_valid(handle->uuid) : gpu_address_check(handle->address);
  const char *wrong = made ? NULL : handle->backend == GPU_MDEV ? handle->uuid : handle->address;
  for (int i = 0; i < beside_count(handle) && !wrong; i++)
    if (handle->backend != GPU_WHOLE || !gpu_address_check(handle->beside[i]))
      wrong = handle->beside[i];
  return !wrong || error_false(err, REASON_BAD_VALUE, "field", "part", "value", wrong, "limit", "a part that was made", NULL);
}

bool gpu_xml(const GpuHandle *handle, GpuDisplay display, const char *claim, bool one_slot, GStrv *ret_xmls, GError **err)
{
  int n = beside_count(handle);
  if (handle->backend != GPU_MDEV && display != GPU_DISPLAY_OFF)
    return error_false(err, REASON_GPU_NO_DISPLAY, "backend", gpu_backend_name(handle->backend), "display",
                       gpu_display_name(display), NULL);
  if (!handle_check(handle, err))
    return false;
  GStrv xmls = g_new0(char *, n + 2);
  for (int i = 0; i <= n; i++)
    xmls[i] = function_xml(handle, display, claim, i, one_slot && n);
  *ret_xmls = xmls;
  return true;
}
