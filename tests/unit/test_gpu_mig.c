/* GPU instances and their functions at the end of a claim: neither is left behind, and no function stays as its guest left it. */
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/gpu/fake_cards.h"
#include "drivers/gpu/view.h"
#include "drivers/hypervisor/fake.h"

static const char controller[] = "11111111-2222-4333-8444-555555555555";
static char *dir;

typedef struct {
  Hypervisor *hypervisor;
  Exec *exec;
  GpuHost host;
} Rules;

static int rules_up(void **state)
{
  Rules *rules = g_new0(Rules, 1);
  g_autofree char *uri = g_strdup_printf("fake:gpu?gpus=%s", dir);
  HypervisorOptions options = { .uri = uri, .host = "h1", .controller = controller };
  assert_true(hypervisor_open(&options, &rules->hypervisor, NULL));
  assert_true(gpu_exec_open(rules->hypervisor, NULL, &rules->exec, NULL));
  assert_non_null(rules->exec);
  rules->host = (GpuHost){ rules->hypervisor, rules->exec, "h1", controller };
  *state = rules;
  return 0;
}

static int rules_down(void **state)
{
  Rules *rules = *state;
  exec_close(rules->exec);
  hypervisor_close(rules->hypervisor);
  g_free(rules);
  fake_cards_reboot(dir);
  return 0;
}

static int free_of(Rules *rules, const char *address, const char *id)
{
  g_autoptr(GpuCard) card = NULL;
  assert_true(gpu_look(&rules->host, address, &card, NULL));
  for (guint i = 0; i < card->types->len; i++)
    if (!strcmp(((GpuType *)card->types->pdata[i])->id, id))
      return ((GpuType *)card->types->pdata[i])->free;
  return 0;
}

static void text_put(const char *name, const char *text)
{
  g_autofree char *path = g_build_filename(dir, name, NULL);
  assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void text_drop(const char *name)
{
  g_autofree char *path = g_build_filename(dir, name, NULL);
  g_unlink(path);
}

static void guest_define(Rules *rules, const char *uuid, const GpuHandle *handle)
{
  g_autofree char *device = NULL;
  assert_true(gpu_xml(handle, GPU_DISPLAY_OFF, "ua-v-1", &device, NULL));
  g_autofree char *xml = g_strdup_printf("<domain><name>d-1</name><uuid>%s</uuid><metadata><sarang:owner xmlns:sarang='" DOMAIN_OWNER_XMLNS
                                         "' controller='%s' desktop='d-1' generation='1'/></metadata><devices>%s</devices></domain>", uuid,
                                         controller, device);
  assert_true(hypervisor_define(rules->hypervisor, xml, false, NULL));
}

/* Its type went first: the next try found a function without one, and did not reset it. */
static void function_of_an_instance_stays_dirty_until_a_reset_is_confirmed(void **state)
{
  Rules *rules = *state;
  GpuHandle handle;
  GpuOrder order = { .card = "0000:81:00.0", .backend = GPU_MIG, .type = "1g.5gb", .claim = "v-1", .generation = 1, .start = 4,
                     .address = "0000:81:00.4" };
  assert_true(gpu_make(&rules->host, &order, &handle, NULL));
  text_put("sys/bus/pci/devices/0000:81:00.4/fail", "reset 25");
  for (int i = 0; i < 2; i++) {
    g_autoptr(GError) err = NULL;
    assert_false(gpu_release(&rules->host, &order, &err));
    assert_true(error_is(err, REASON_GPU_DIRTY));
  }
  text_drop("sys/bus/pci/devices/0000:81:00.4/fail");
  assert_true(gpu_release(&rules->host, &order, NULL));
  assert_int_equal(free_of(rules, "0000:81:00.0", "1g.5gb"), 7);
}

/* Another guest runs with the function by now: the instance behind ours stayed for ever. */
static void gpu_instance_goes_though_its_function_is_anothers(void **state)
{
  Rules *rules = *state;
  static const char theirs[] = "aaaaaaaa-0000-4000-8000-000000000003";
  g_autoptr(GError) err = NULL;
  GpuHandle handle;
  GpuOrder order = { .card = "0000:81:00.0", .backend = GPU_MIG, .type = "1g.5gb", .claim = "v-1", .generation = 1, .start = 4,
                     .domain = "bbbbbbbb-0000-4000-8000-000000000004", .address = "0000:81:00.4" }, another = order;
  another.domain = theirs, another.start = 5, another.claim = "v-2";
  for (int i = 0; i < 2; i++) { /* released, and made once more by a try that failed at the function */
    const char *instance[] = { "nvidia-smi", "mig", "-cgi", "19:4", "-i", order.card, NULL };
    assert_true(gpu_make(&rules->host, &another, &handle, NULL));
    guest_define(rules, theirs, &handle);
    assert_true(hypervisor_power(rules->hypervisor, theirs, DOMAIN_START, NULL));
    assert_true(exec_run(rules->exec, instance, 30, NULL, NULL));
    order.again = i > 0;
    assert_int_equal(order.again ? gpu_make(&rules->host, &order, &handle, &err) : !gpu_release(&rules->host, &order, NULL), 0);
    assert_int_equal(free_of(rules, "0000:81:00.0", "1g.5gb"), 6);
    assert_true(hypervisor_power(rules->hypervisor, theirs, DOMAIN_DESTROY, NULL) && gpu_release(&rules->host, &another, NULL));
    assert_true(hypervisor_undefine(rules->hypervisor, theirs, NULL));
  }
  assert_true(error_is(err, REASON_GPU_FULL));
}

int main(void)
{
#define R(f) cmocka_unit_test_setup_teardown(f, rules_up, rules_down)
  const struct CMUnitTest tests[] = {
    R(function_of_an_instance_stays_dirty_until_a_reset_is_confirmed), R(gpu_instance_goes_though_its_function_is_anothers),
  };
  dir = g_dir_make_tmp("sarang-mig-XXXXXX", NULL);
  int failed = !fake_cards_add(dir, "0000:81:00.0", "a100", NULL);
  failed += cmocka_run_group_tests(tests, NULL, NULL);
  fake_forget();
  fake_tree_del(dir);
  g_free(dir);
  return failed;
}
