#!/usr/bin/env python3
"""What changes behind our back and no event tells of: a host whose events are withheld is looked at every hosts.poll_s, and what is seen then is said."""
import time

from clilab import Place
from gatewaylab import eventually, main, test

POLL_S = 3


def furnished(sarang):
    """A desktop that is ready, on a host that tells nothing any more."""
    sarang.furnish(spare=1, most=1)
    name = sarang.ok("desktop list -o name").out.strip()
    sarang.wait_for("desktop", name, state="available")
    sarang.command_host("mute on")
    time.sleep(0.5)  # the fake host reads its commands; what is under way is told
    return name


def times(sarang, kind):
    return sarang.ok(f"event list --limit 50 --kind {kind} -o name").out.count("e-")


def domain_of(name):
    return f"sarang-{name}"


def shown(sarang, name):
    return sarang.ok(f"desktop show {name} -o json").json()


@test
def a_desktop_that_went_off_is_seen_by_the_poll_alone():
    with Place("hosts.poll_s=3600") as sarang:
        name = furnished(sarang)
        before = times(sarang, "desktop.power-off")  # as it was made
        sarang.command_host(f"power {domain_of(name)} off")
        time.sleep(2 * POLL_S)
        assert times(sarang, "desktop.power-off") == before, "an event came: what follows shows nothing"
        assert shown(sarang, name)["power"] == "on"
    with Place(f"hosts.poll_s={POLL_S}") as sarang:
        name = furnished(sarang)
        before = times(sarang, "desktop.power-off")
        sarang.command_host(f"power {domain_of(name)} off")
        eventually(lambda: times(sarang, "desktop.power-off") == before + 1, 3 * POLL_S, "the poll sees that it is off")
        sarang.wait_for("desktop", name, state="available", power="on")  # and it is started again


@test
def a_desktop_that_was_undefined_while_it_runs_is_told():
    with Place(f"hosts.poll_s={POLL_S}") as sarang:
        name = furnished(sarang)
        sarang.command_host(f"transient {domain_of(name)} on")
        eventually(lambda: (shown(sarang, name).get("error") or {}).get("code") == "desktop-undefined", 3 * POLL_S, "the poll sees that it is undefined")
        text = sarang.ok(f"desktop show {name}").out
        assert "without a definition" in text and times(sarang, "desktop.undefined") == 1, text
        assert shown(sarang, name)["state"] == "available" and shown(sarang, name)["power"] == "on"
        sarang.command_host(f"transient {domain_of(name)} off")
        eventually(lambda: not shown(sarang, name).get("error"), 3 * POLL_S, "it is unsaid")


if __name__ == "__main__":
    main()
