/* Which addresses a guest may be dialled at: by rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/error.h"
#include "core/guestnet.h"

static GuestNetworks networks_of(const char *list)
{
  GuestNetworks networks;
  g_auto(GStrv) texts = g_strsplit(list, ";", -1);
  assert_true(guest_networks_parse((const char *const *)texts, &networks, NULL));
  return networks;
}

static void an_address_is_a_machines_in_an_allowed_network(void **state)
{
  static const struct { const char *networks, *address, *reason; } rows[] = {
    { "10.20.0.0/16", "10.20.3.4", NULL },
    { "10.20.0.0/16", "10.21.3.4", "guest-address-outside" },
    { "10.20.0.0/16;192.0.2.128/25", "192.0.2.200", NULL },
    { "10.20.0.0/16;192.0.2.128/25", "192.0.2.127", "guest-address-outside" },
    { "192.0.2.128/25", "192.0.2.128", "guest-address-outside" }, /* the network itself */
    { "192.0.2.128/25", "192.0.2.255", "guest-address-outside" }, /* everybody in it */
    { "192.0.2.10/31", "192.0.2.10", NULL },                      /* RFC 3021 */
    { "192.0.2.10/32", "192.0.2.10", NULL },
    { "192.0.2.10/32", "192.0.2.11", "guest-address-outside" },
    { "fd00:20::/64", "fd00:20::7", NULL },
    { "fd00:20::/64", "fd00:20:0:1::7", "guest-address-outside" },
    { "fd00:20::/64", "10.20.3.4", "guest-address-outside" },
    { "", "10.20.3.4", "guest-networks-unset" },
    /* never, whatever is allowed */
    { "0.0.0.0/0;::/0", "198.51.100.7", NULL },
    { "0.0.0.0/0;::/0", "2001:db8::7", NULL },
    { "0.0.0.0/0;::/0", "127.0.0.1", "guest-address-special" },
    { "0.0.0.0/0;::/0", "127.255.0.9", "guest-address-special" },
    { "0.0.0.0/0;::/0", "0.0.0.0", "guest-address-special" },
    { "0.0.0.0/0;::/0", "169.254.169.254", "guest-address-special" },
    { "0.0.0.0/0;::/0", "224.0.0.1", "guest-address-special" },
    { "0.0.0.0/0;::/0", "255.255.255.255", "guest-address-special" },
    { "0.0.0.0/0;::/0", "::1", "guest-address-special" },
    { "0.0.0.0/0;::/0", "::", "guest-address-special" },
    { "0.0.0.0/0;::/0", "::ffff:127.0.0.1", "guest-address-special" },
    { "0.0.0.0/0;::/0", "::ffff:10.20.3.4", "guest-address-special" },
    { "0.0.0.0/0;::/0", "::7f00:1", "guest-address-special" },
    { "0.0.0.0/0;::/0", "64:ff9b::7f00:1", "guest-address-special" },
    { "0.0.0.0/0;::/0", "2002:7f00:1::1", "guest-address-special" },
    { "0.0.0.0/0;::/0", "fe80::1", "guest-address-special" },
    { "0.0.0.0/0;::/0", "febf::1", "guest-address-special" },
    { "0.0.0.0/0;::/0", "ff02::1", "guest-address-special" },
    /* no address in numbers at all */
    { "0.0.0.0/0;::/0", "fe80::1%eth0", "guest-address-special" },
    { "0.0.0.0/0;::/0", "localhost", "guest-address-special" },
    { "0.0.0.0/0;::/0", "10.20.3", "guest-address-special" },
    { "0.0.0.0/0;::/0", "0x7f.1", "guest-address-special" },
    { "0.0.0.0/0;::/0", "010.020.3.4", "guest-address-special" },
    { "0.0.0.0/0;::/0", "10.20.3.4 ", "guest-address-special" },
    { "0.0.0.0/0;::/0", "", "guest-address-special" },
    { "0.0.0.0/0;::/0", NULL, "guest-address-special" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    GuestNetworks networks = networks_of(rows[i].networks);
    g_autoptr(GError) err = NULL;
    bool may = guest_address_check(&networks, "d-1", rows[i].address, &err);
    const char *reason = err ? reason_wire(error_reason(err)) : NULL;
    if (may != !rows[i].reason || g_strcmp0(reason, rows[i].reason))
      fail_msg("%s in %s: %s", rows[i].address, rows[i].networks, reason ? reason : "may be dialled");
  }
}

static void what_is_no_network_is_refused_with_the_options_name(void **state)
{
  static const char *const bad[] = { "10.20.0.0", "10.20.0.1/16", "10.20.0.0/33", "10.20.0.0/-1", "10.20.0.0/", "/16", "desk/16", "127.0.0.0/8", "127.0.0.1/32",
                                     "169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "::1/128", "fd00::1/64", "fd00::/129", "::ffff:10.0.0.0/104" };
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    GuestNetworks networks;
    g_autoptr(GError) err = NULL;
    const char *const texts[] = { "10.0.0.0/8", bad[i], NULL };
    if (guest_networks_parse(texts, &networks, &err))
      fail_msg("%s was taken", bad[i]);
    assert_true(error_is(err, REASON_BAD_VALUE));
    assert_string_equal(error_arg(err, "field"), "console.guest_networks");
    assert_string_equal(error_arg(err, "value"), bad[i]);
  }
}

static void one_address_written_in_two_ways_is_the_same(void **state)
{
  GuestAddressBits a, b;
  assert_true(guest_address_parse("fd00:20::7", &a) && guest_address_parse("FD00:0020:0:0::0007", &b) && guest_address_same(&a, &b));
  assert_true(guest_address_parse("fd00:20::8", &b) && !guest_address_same(&a, &b));
  assert_true(guest_address_parse("10.20.0.1", &a) && guest_address_parse("a14:1::", &b) && !guest_address_same(&a, &b)); /* the same first bytes */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_address_is_a_machines_in_an_allowed_network),
    cmocka_unit_test(what_is_no_network_is_refused_with_the_options_name),
    cmocka_unit_test(one_address_written_in_two_ways_is_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
