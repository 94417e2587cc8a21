/* sarang: the command line. Reads a command, finds its row, runs it, says what went wrong. */
#include <langinfo.h>
#include <locale.h>
#include <string.h>

#include "cli/command.h"

/* By what the person asked for, also where that locale is not installed. */
static Lang lang_of_environment(void)
{
  static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
  for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
    const char *value = g_getenv(names[i]);
    if (value && *value)
      return g_str_has_prefix(value, "ko") ? LANG_KO : LANG_EN;
  }
  return LANG_EN;
}

/* Names and titles are UTF-8 whatever the locale is. */
static void set_locale(void)
{
  setlocale(LC_ALL, "");
  if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
    setlocale(LC_CTYPE, "C.UTF-8");
}

int main(int argc, char **argv)
{
  set_locale();
  Command c = { .verb = N_API_VERBS, .place.lang = lang_of_environment(), .words = g_ptr_array_new_with_free_func(g_free),
                .flags = g_ptr_array_new_with_free_func(g_free) };
  g_autoptr(GError) err = NULL;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  bool ok = command_read(&c, argv, &err) && command_dispatch(&c, &err);
  int status = ok ? c.status : report(&c, err);
  command_clear(&c);
  curl_global_cleanup();
  return status;
}
