#!/usr/bin/env python3
"""Every power verb, checked from inside the guest: by its boot id, by how often its disk was booted, by what it saw coming."""
from lab import Guest, Lab, equal, refused, require, run, until
from product import Product, missing


def prepare(s, sarang):
    with s.check("a person holds a desktop", needed=True):
        sarang.enrol("host1")
        sarang.add_shared()
        sarang.add_guest("linux-cli", ["shared"])
        sarang("user", "add", "jihye", title="Kim Jihye")
        sarang("pool", "create", "cli", template="linux-cli", image="linux-cli", network="bridge:br0", memory_mib=256, min=1, max=1)
        sarang.wait_count("desktop", 1, seconds=120, pool="cli", state="available")
        return sarang("session", "request", "cli", "--wait=60", user="jihye")


def power(sarang, desktop, verb):
    """The verb by command line, to the end of its task; the desktop then."""
    sarang("desktop", verb, desktop, "--wait=150", seconds=160)  # a shutdown is patient for two minutes
    return sarang.show("desktop", desktop)


def check_kept(s, sarang, guest, desktop):
    """Verbs after which the same boot goes on: verb, power then, verb back."""
    for verb, state, seen, back in (("suspend", "suspended", "paused", "resume"), ("save", "saved", "shut off", "restore")):
        with s.check(f"{verb}, then {back}: the same boot goes on"):
            boot = guest.boot_id()
            equal(power(sarang, desktop, verb)["power"], state, "its power")
            equal(guest.lab.state(guest.host, guest.domain), seen, "its state on the host")
            equal(power(sarang, desktop, back)["power"], "on", "its power")
            equal(guest.boot_id(), boot, "the boot")


def booted_anew(guest, boot, boots):
    def there():
        return guest.boot_id() != boot
    until(there, "the guest has booted anew", 180)
    equal(guest.boots(), boots + 1, "the number of boots")


def check_restarted(s, sarang, guest, desktop):
    for verb, said in (("reboot", "shutdown -h -r"), ("reset", "")):
        with s.check(f"{verb}: it boots anew, without having been off"):
            boot, boots = guest.boot_id(), guest.boots()
            equal(power(sarang, desktop, verb)["power"], "on", "its power")
            booted_anew(guest, boot, boots)
            require(said in guest.shell("tail -1 /var/log/power 2>/dev/null || true"), f'the guest has not seen "{said}"')


def goes_off_and_on(sarang, guest, desktop, verb):
    boot, boots = guest.boot_id(), guest.boots()
    equal(power(sarang, desktop, verb)["power"], "off", "its power")
    equal(guest.lab.state(guest.host, guest.domain), "shut off", "its state on the host")
    equal(power(sarang, desktop, "start")["power"], "on", "its power")
    booted_anew(guest, boot, boots)


def without(guest, *programs):
    """The guest goes on without its agent, or without whom the power button reaches."""
    marks = " ".join(f"/run/no-{p}" for p in programs)
    guest.shell(f"touch {marks}; (sleep 0.2; killall qemu-ga) >/dev/null 2>&1 &")

    def silent():
        with refused():
            guest.ask("guest-ping", seconds=1)
        return True
    until(silent, "the agent is silent")


def check_shutdown(s, sarang, guest, desktop):
    with s.check("shutdown asks the agent"):
        goes_off_and_on(sarang, guest, desktop, "shutdown")
        equal(guest.run("/bin/tail", "-1", "/var/log/power")[:15], "shutdown -h -P ", "how the guest was asked")
    with s.check("without an agent, shutdown presses the power button"):
        boot, boots = guest.boot_id(), guest.boots()
        without(guest, "agent")
        equal(power(sarang, desktop, "shutdown")["power"], "off", "its power")
        power(sarang, desktop, "start")
        booted_anew(guest, boot, boots)
        require("power button" in guest.run("/bin/cat", "/var/log/power"), "the guest has not seen the power button")
    with s.check("where neither helps, shutdown says that only destroy will"):
        without(guest, "agent", "power")
        with refused("does not shut down when asked", status=1):
            power(sarang, desktop, "shutdown")
        equal(guest.lab.state(guest.host, guest.domain), "running", "its state on the host")
    with s.check("who does not want to wait cancels it, and may pull the plug at once"):
        task = sarang("desktop", "shutdown", desktop)["name"]
        sarang.wait("task", task, state="running")
        with refused("is busy", status=5):
            sarang("desktop", "destroy", desktop)
        sarang("task", "cancel", task)
        error = until(lambda: sarang.show("task", task).get("error"), "it has ended")
        equal(error["code"], "cancelled", "how it ended")
    with s.check("destroy pulls the plug; it starts again"):
        equal(power(sarang, desktop, "destroy")["power"], "off", "its power")
        equal(guest.lab.state(guest.host, guest.domain), "shut off", "its state on the host")
        power(sarang, desktop, "start")
        until(lambda: guest.ask("guest-ping", seconds=1) == {}, "the agent answers", 180)


def check_kept_session(s, sarang, guest, session):
    with s.check("through all of it the session and the person's account stayed"):
        now = sarang.show("session", session["name"])
        equal((now["desktop"], now["user"]), (session["desktop"], "jihye"), "the session")
        require("jihye" in guest.run("/bin/cat", "/etc/passwd"), "the account is gone")


def story(s):
    if missing():
        s.skip("power verbs", f"not built yet: {', '.join(missing())}")
        return
    with Lab("power", hosts=1) as lab, Product(lab) as sarang:
        session = prepare(s, sarang)
        desktop = session["desktop"]
        guest = Guest(lab, "host1", sarang.domain(desktop))
        check_kept(s, sarang, guest, desktop)
        check_restarted(s, sarang, guest, desktop)
        check_shutdown(s, sarang, guest, desktop)
        check_kept_session(s, sarang, guest, session)


run(story)
