/* Runs a fuzz target over its corpus without a fuzzer: replay_NAME reads tests/fuzz/corpus/NAME/ and calls the target with each
 * file, whole and cut short. What breaks aborts, as it would under the fuzzer. */
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void input_run(const char *path)
{
  g_autofree char *bytes = NULL;
  g_autoptr(GError) err = NULL;
  gsize n;
  if (!g_file_get_contents(path, &bytes, &n, &err))
    g_error("%s", err->message);
  /* a copy of the exact size, so that a read past its end is seen */
  for (gsize cut = n;; cut = cut * 3 / 4) {
    g_autofree uint8_t *exact = g_memdup2(bytes, cut);
    LLVMFuzzerTestOneInput(exact ? exact : (const uint8_t *)"", cut);
    if (!cut)
      break;
  }
}

int main(int argc, char **argv)
{
  const char *name = strstr(argv[0], "replay_");
  g_autofree char *folder = g_build_filename("tests/fuzz/corpus", name ? name + strlen("replay_") : "", NULL);
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  int inputs = 0;
  for (const char *file; dir && (file = g_dir_read_name(dir)); inputs++) {
    g_autofree char *path = g_build_filename(folder, file, NULL);
    input_run(path);
  }
  printf("%d passed, %d failed, 0 skipped\n", inputs, inputs ? 0 : 1);
  return inputs ? 0 : 1;
}
