#!/usr/bin/env python3
"""What hosts do to us: libvirtd dies, ends, hangs; QEMU dies; a cable is pulled; a host loses power. The others go on as ever."""
import time

from lab import Lab, equal, refused, require, run, until
from product import Product, missing

SILENT_S = 60  # keepalive finds a silent host after 20 s, one connect to it fails after 10; and the machine may be busy
BACK_S = 15  # tried again within 5 s, also when one try is under way into nothing; and the machine may be busy


def prepare(s, sarang):
    with s.check("two hosts, a desktop on each", needed=True):
        for host in ("host1", "host2"):
            sarang.enrol(host)
        sarang.add_shared()
        sarang.add_guest("micro", ["shared"])
        sarang("user", "add", "jihye", title="Kim Jihye")
        pool_on(sarang, "a", "host1")
        pool_on(sarang, "b", "host2")


def pool_on(sarang, pool, host):
    sarang("pool", "create", pool, template="micro", image="micro", hosts=[host], personalise="none", min=1, max=2)
    return sarang.wait_count("desktop", 1, pool=pool, state="available")[0]


def desktop_of(sarang, pool):
    return sarang.wait_count("desktop", 1, pool=pool, state="available")[0]


def works(sarang, host, pool):
    """The host still makes desktops: one more, and gone again."""
    sarang("pool", "change", pool, min=2)
    sarang.wait_count("desktop", 2, pool=pool, host=host, state="available")
    sarang("pool", "change", pool, min=1)
    extra = sarang.list("desktop", pool=pool)[-1]["name"]
    sarang("desktop", "retire", extra)
    sarang.wait_count("desktop", 1, pool=pool)


def check_libvirtd(s, lab, sarang):
    for fault, back in (("kill", "start"), ("stop", "start"), ("freeze", "thaw")):
        pid = qemu_pid(lab, "host1", sarang)
        with s.check(f"libvirtd {fault}: the host is unreachable, its desktop runs on, the other host works"):
            lab.script("libvirtd", "host1", fault)
            sarang.wait("host", "host1", seconds=SILENT_S, state="unreachable")
            equal(sarang.show("host", "host2")["state"], "up", "the other host")
            works(sarang, "host2", "b")
            equal(qemu_pid(lab, "host1", sarang), pid, "the process of the desktop")
        with s.check(f"libvirtd {back}: the host is up, its desktop the same as before"):
            lab.script("libvirtd", "host1", back)
            sarang.wait("host", "host1", seconds=BACK_S, state="up")
            desktop_of(sarang, "a")
            equal(qemu_pid(lab, "host1", sarang), pid, "the process of the desktop")
            works(sarang, "host1", "a")


def qemu_pid(lab, host, sarang):
    """As the host sees it."""
    domain = sarang.domain(sarang.list("desktop", pool="a" if host == "host1" else "b")[0]["name"])
    return int(lab.inside(host, f"/run/libvirt/qemu/{domain}.pid").read_text())


def vanishes(lab, host, domain):
    """Undefined first: one that is off would be started again in between."""
    lab.virsh(host, "undefine", domain)
    lab.virsh(host, "destroy", domain)


def check_behind_our_back(s, lab, sarang):
    with s.check("QEMU killed: noticed within a second, and its desktop comes back"):
        lab.exec("host2", "kill", "-9", qemu_pid(lab, "host2", sarang))
        noticed_off(sarang, desktop_of_any(sarang, "b"))
        desktop_of(sarang, "b")
    with s.check("a domain destroyed by hand: noticed within a second, and its desktop comes back"):
        lab.virsh("host2", "destroy", sarang.domain(desktop_of(sarang, "b")["name"]))
        noticed_off(sarang, desktop_of_any(sarang, "b"))
        desktop_of(sarang, "b")
    with s.check("a domain undefined by hand is made anew, or replaced"):
        vanishes(lab, "host2", sarang.domain(desktop_of(sarang, "b")["name"]))
        until(lambda: [d for d in sarang.list("desktop", pool="b", state="available")
                       if sarang.domain(d["name"]) in lab.virsh("host2", "list", "--name").split()], "a desktop runs again", 60)


def check_vanished_in_use(s, lab, sarang):
    """Somebody holds the desktop when its domain is destroyed and undefined by hand."""
    session = None
    with s.check("a domain that vanished under a person: named, nobody is let in, made again of the same disk"):
        session = sarang("session", "request", "b", user="jihye")["name"]
        sarang.wait("session", session, ready=True)
        desktop = sarang.show("desktop", sarang.show("session", session)["desktop"])
        domain = sarang.domain(desktop["name"])
        vanishes(lab, "host2", domain)
        until(lambda: not sarang.show("session", session)["ready"], "the session says that it is not ready", 5)
        with refused():
            sarang("session", "ticket", session)
        sarang.wait("session", session, seconds=60, ready=True)
        now = sarang.show("desktop", desktop["name"])
        equal((now["clone"], now["session"], now["power"]), (desktop["clone"], session, "on"), "the desktop")
        equal(lab.state("host2", domain), "running", "its domain")
        require(sarang("event", "list", kind="desktop.vanished", object=desktop["name"]), "no event names it")
    with s.check("its disk gone too: the session is told why it ends, the pool replaces the desktop"):
        desktop = sarang.show("desktop", sarang.show("session", session)["desktop"])
        domain = sarang.domain(desktop["name"])
        disk = lab.virsh("host2", "domblklist", domain, "--details").split("disk", 1)[1].split()[1]
        lab.exec("host2", "rm", disk)
        vanishes(lab, "host2", domain)
        sarang.wait("session", session, seconds=60, state="ended", reason="failed")
        equal(sarang.show("session", session)["error"]["code"], "disk-gone", "why it ended")
        until(lambda: desktop_of(sarang, "b")["name"] != desktop["name"], "another desktop takes its place", 60)


def desktop_of_any(sarang, pool):
    return sarang.list("desktop", pool=pool)[0]


def noticed_off(sarang, desktop):
    """The desktop is no longer said to be available and on: within a second, by event."""
    begin = time.monotonic()

    def changed():
        now = [d for d in sarang.list("desktop", pool=desktop["pool"]) if d["name"] == desktop["name"]]
        return not now or (now[0]["state"], now[0]["power"]) != ("available", "on") or now[0]["generation"] != desktop["generation"]
    until(changed, "it is noticed", 1 + 0.5)  # half a second for the asking itself
    return time.monotonic() - begin


def check_cable(s, lab, sarang):
    with s.check("cable pulled: the other host works on at once; this one is unreachable in time"):
        lab.script("cable", "host1", "down")
        begin = time.monotonic()
        works(sarang, "host2", "b")
        require(time.monotonic() - begin < 15, "the other host's work took more than 15 s")
        sarang.wait("host", "host1", seconds=SILENT_S, state="unreachable")
    with s.check("its desktop is lost, not started elsewhere"):
        sarang.wait("desktop", sarang.list("desktop", pool="a")[0]["name"], seconds=60, state="lost")
        equal([d["host"] for d in sarang.list("desktop", pool="a")], ["host1"], "the hosts of the pool's desktops")
        with refused(status=8):
            sarang("session", "request", "a", user="jihye", seconds=10)
    with s.check("cable back: up, and the same desktop is available"):
        pid = qemu_pid(lab, "host1", sarang)
        lab.script("cable", "host1", "up")
        sarang.wait("host", "host1", seconds=BACK_S, state="up")
        desktop_of(sarang, "a")
        equal(qemu_pid(lab, "host1", sarang), pid, "the process of the desktop")


def check_power_loss(s, lab, sarang):
    with s.check("a host that lost power and was fenced gives its desktop up"):
        lab.script("host-off", "host1")
        sarang.wait("host", "host1", seconds=SILENT_S, state="unreachable")
        sarang("host", "fence", "host1")
        sarang.wait_count("desktop", 0, pool="a", state="available")
    with s.check("back again, it carries its pool anew"):
        lab.script("host-up", "host1")
        sarang.wait("host", "host1", seconds=BACK_S, state="up")
        desktop = desktop_of(sarang, "a")
        equal(lab.state("host1", sarang.domain(desktop["name"])), "running", "its desktop")


def story(s):
    if missing():
        s.skip("faults of hosts", f"not built yet: {', '.join(missing())}")
        return
    with Lab("faults") as lab, Product(lab) as sarang:
        prepare(s, sarang)
        check_libvirtd(s, lab, sarang)
        check_behind_our_back(s, lab, sarang)
        check_vanished_in_use(s, lab, sarang)
        check_cable(s, lab, sarang)
        check_power_loss(s, lab, sarang)


run(story)
