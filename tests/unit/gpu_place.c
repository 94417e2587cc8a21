#include "tests/unit/gpu_place.h"

#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/hypervisor/fake.h"

const char gpu_place_controller[] = "11111111-2222-4333-8444-555555555555";

char *gpu_place_dir(const GpuPlaceCard *cards)
{
  char *dir = g_dir_make_tmp("sarang-gpu-XXXXXX", NULL);
  assert_non_null(dir);
  for (; cards->address; cards++)
    assert_true(fake_cards_add(dir, cards->address, cards->model, NULL));
  return dir;
}

void gpu_place_dir_free(char *dir)
{
  fake_forget();
  fake_tree_del(dir);
  g_free(dir);
}

GpuPlace *gpu_place_in(const char *dir, const char *more)
{
  GpuPlace *p = g_new0(GpuPlace, 1);
  g_autofree char *uri = g_strdup_printf("fake:gpu?gpus=%s%s", dir, more);
  const HypervisorOptions options = { .uri = uri, .host = "h1", .controller = gpu_place_controller };
  p->dir = g_strdup(dir);
  p->shared = true;
  p->host = (GpuHost){ .host = "h1", .controller = gpu_place_controller };
  assert_true(hypervisor_open(&options, &p->host.hypervisor, NULL));
  assert_true(gpu_exec_open(p->host.hypervisor, NULL, &p->host.exec, NULL));
  assert_non_null(p->host.exec);
  return p;
}

GpuPlace *gpu_place_new(const GpuPlaceCard *cards)
{
  g_autofree char *dir = gpu_place_dir(cards);
  GpuPlace *p = gpu_place_in(dir, "");
  p->shared = false;
  return p;
}

void gpu_place_free(GpuPlace *p)
{
  exec_close(p->host.exec);
  hypervisor_close(p->host.hypervisor);
  if (p->shared) {
    fake_cards_reboot(p->dir);
    g_free(p->dir);
  } else {
    gpu_place_dir_free(p->dir);
  }
  g_free(p);
}

void gpu_place_put(const GpuPlace *p, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename(p->dir, name, NULL);
  if (text)
    assert_true(g_file_set_contents(path, text, -1, NULL));
  else
    g_unlink(path);
}

int gpu_place_free_of(const GpuPlace *p, const char *address, const char *id)
{
  g_autoptr(GpuCard) card = NULL;
  assert_true(gpu_look(&p->host, address, &card, NULL));
  const GpuType *type = gpu_card_type(card, id);
  return type ? type->free : 0;
}

void gpu_place_define(const GpuPlace *p, const char *uuid, const GpuHandle *handle)
{
  g_auto(GStrv) devices = NULL;
  assert_true(gpu_xml(handle, GPU_DISPLAY_OFF, "v-1", true, &devices, NULL));
  g_autofree char *all = g_strjoinv("", devices);
  g_autofree char *xml = g_strdup_printf("<domain><name>d-%.4s</name><uuid>%s</uuid><metadata><sarang:owner xmlns:sarang='" DOMAIN_OWNER_XMLNS
                                         "' controller='%s' desktop='d-1' generation='1'/></metadata><devices>%s</devices></domain>", uuid, uuid,
                                         p->host.controller, all);
  assert_true(hypervisor_define(p->host.hypervisor, xml, false, NULL));
}
