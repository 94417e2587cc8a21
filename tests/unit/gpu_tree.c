#include "tests/unit/gpu_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/gpu/fake_inside.h"

enum { ADDRESS_CHARS = 12 };

typedef struct {
  const char *dir;
  char *rules, *under, *card;
} Tree;

static void tree_clear(Tree *t)
{
  g_free(t->rules);
  g_free(t->under);
  g_free(t->card);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tree, tree_clear)

/* A function lies below its bridge; the bus has links to all. */
static void function_ensure(Tree *t, const char *address)
{
  if (fake_has(t->dir, FAKE_PCI "/%s", address))
    return;
  g_autofree char *below = g_build_filename(t->dir, t->under, address, NULL);
  g_autofree char *to = g_strdup_printf("../../../../%s/%s", t->under, address);
  g_mkdir_with_parents(below, 0700);
  fake_link(t->dir, to, FAKE_PCI "/%s", address);
  if (t->card)
    return;
  t->card = g_strdup(address);
  fake_put(t->dir, t->rules, FAKE_PCI "/%s/model", address);
}

/* Where /sys is from a function's directory. */
static char *way_up(const Tree *t)
{
  GString *way = g_string_new("..");
  for (const char *part = t->under; (part = strchr(part, '/')); part++)
    g_string_append(way, "/..");
  return g_string_free(way, FALSE);
}

/* n: the how-manieth function of its line. */
static void link_put(Tree *t, const char *address, const char *file, const char *name, int n)
{
  g_autofree char *counted = g_str_has_suffix(name, "+") ? g_strdup_printf("%d", atoi(name) + n) : g_strdup(name);
  bool driver = !strcmp(file, "driver"), group = !strcmp(file, "iommu_group");
  g_autofree char *up = way_up(t);
  g_autofree char *to = driver || group ? g_build_filename(up, driver ? "bus/pci/drivers" : "kernel/iommu_groups", counted, NULL)
                                        : g_build_filename("..", counted, NULL);
  fake_link(t->dir, to, FAKE_PCI "/%s/%s", address, file);
  if (driver)
    fake_put(t->dir, counted, FAKE_PCI "/%s/default_driver", address); /* whom the kernel would give it to */
  if (group)
    fake_put(t->dir, "", "sys/kernel/iommu_groups/%s/devices/%s", counted, address);
}

static void text_put(Tree *t, const char *address, const char *file, const char *text)
{
  g_autofree char *before = fake_get(t->dir, FAKE_PCI "/%s/%s", address, file);
  g_autofree char *all = *before ? g_strdup_printf("%s\n%s", before, text) : g_strdup(text);
  fake_put(t->dir, all, FAKE_PCI "/%s/%s", address, file);
}

/* "0000:3d:00.4..04.3": functions count on over slots, as ARI has it. */
static bool range_read(const char *word, char ret_bus[ADDRESS_CHARS], unsigned *ret_first, unsigned *ret_last)
{
  unsigned slot, function, last_slot, last_function;
  int n = sscanf(word, "%7[0-9a-f:]:%2x.%1x..%2x.%1x", ret_bus, &slot, &function, &last_slot, &last_function);
  if (n != 3 && n != 5)
    return false;
  *ret_first = 8 * slot + function;
  *ret_last = n == 5 ? 8 * last_slot + last_function : *ret_first;
  return *ret_first <= *ret_last && *ret_last < 256;
}

static bool functions_put(Tree *t, const char *range, const char *file, const char *value)
{
  char bus[ADDRESS_CHARS];
  unsigned first, last;
  if (!t->rules || !range_read(range, bus, &first, &last))
    return false;
  for (unsigned i = first; i <= last; i++) {
    g_autofree char *address = g_strdup_printf("%.7s:%02x.%x", bus, i / 8, i % 8);
    function_ensure(t, address);
    if (g_str_has_prefix(value, "-> "))
      link_put(t, address, file, value + 3, (int)(i - first));
    else
      text_put(t, address, file, value);
  }
  return true;
}

static bool line_read(Tree *t, const char *line)
{
  g_auto(GStrv) words = g_strsplit(line, " ", 3);
  guint n = g_strv_length(words);
  if (!*line || *line == '#')
    return true;
  if (n == 2 && !strcmp(words[0], "rules")) {
    t->rules = g_strdup(words[1]);
    return true;
  }
  if (n == 2 && !strcmp(words[0], "under")) {
    g_free(t->under);
    t->under = g_strdup(words[1]);
    return true;
  }
  return n == 3 && functions_put(t, words[0], words[1], words[2]);
}

bool gpu_tree_load(const char *file, const char *dir)
{
  g_auto(Tree) tree = { .dir = dir, .under = g_strdup("sys/devices/pci0000:00") };
  g_autofree char *text = NULL;
  if (!g_file_get_contents(file, &text, NULL, NULL)) {
    fprintf(stderr, "%s cannot be read\n", file);
    return false;
  }
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++)
    if (!line_read(&tree, *line)) {
      fprintf(stderr, "%s: \"%s\" is no line of a tree\n", file, *line);
      return false;
    }
  return tree.card;
}
