/* ThreadSanitizer sees libvirt's locks but not the counters that order what they guard, and calls their end a race. */
#ifdef __SANITIZE_THREAD__
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
  return "race:libvirt.so.0\n";
}
#endif
typedef int tsan_libvirt_is_no_empty_file;
