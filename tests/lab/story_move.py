#!/usr/bin/env python3
"""Two real hosts with a directory that both see: a desktop in use goes from one to the other as it runs, whatever becomes of the controller or of a
host meanwhile."""
import os
import pty
import re
import select
import subprocess
import time

from lab import Failure, Lab, equal, refused, require, run, until
from product import Product, missing, viewer

SLOW_MIB_S = 1  # the least there is: some seconds even for the smallest guest


def other(host):
    return {"host1": "host2", "host2": "host1"}[host]


def where(sarang, desktop):
    """The hosts that have its domain, and its state on each."""
    name = sarang.domain(desktop)
    return {h: sarang.lab.state(h, name) for h in ("host1", "host2") if name in sarang.domains(h)}


def count(lab, host, name, seconds=15):
    """Where its counter stands, as it says itself on its serial line: who listens there already gives way."""
    ours, theirs = pty.openpty()
    end, said = time.monotonic() + seconds, b""
    with subprocess.Popen(["virsh", "-q", "-c", lab.uri(host), "console", name, "--force"], stdin=theirs, stdout=theirs, stderr=theirs) as console:
        os.close(theirs)
        try:
            while time.monotonic() < end:
                if select.select([ours], [], [], 0.2)[0]:
                    said += os.read(ours, 4096)
                if found := re.findall(rb"count (\d+)\r", said):
                    return int(found[-1])
        except OSError:
            pass
        finally:
            console.kill()
            os.close(ours)
    raise Failure(f"the guest on {host} says {said[-200:]!r}")


def moved(lab, sarang, desktop, to, before):
    """It runs there alone, was never started anew, and its session is let in."""
    d = sarang.wait("desktop", desktop, host=to, power="on", task=None, moving=None)
    equal(where(sarang, desktop), {to: "running"}, "where its domain is")
    require(lab.virsh(to, "dominfo", sarang.domain(desktop)).find("Persistent:     yes") >= 0, "it is not defined there")
    now = count(lab, to, sarang.domain(desktop))
    require(before < now < before + 300, f"it counted to {before}, and says {now} now")
    s = sarang.show("session", d["session"])
    equal((s["host"], s["ready"]), (to, True), "the session's host, and whether it is ready")
    return d


def prepare(s, sarang):
    with s.check("two hosts, a storage they share, a desktop that somebody has", needed=True):
        for host in ("host1", "host2"):
            sarang.enrol(host)
        sarang.add_shared()
        sarang.add_guest("micro", ["shared"])
        sarang("user", "add", "jihye", title="Kim Jihye")
        sarang("pool", "create", "p", template="micro", image="micro", personalise="none", vcpus=1, min=1, max=2)
        sarang.wait_count("desktop", 1, pool="p", state="available")
        return sarang("session", "request", "p", "--wait=60", user="jihye")


def check_refused(s, lab, sarang, desktop, home):
    with s.check("libvirt does not know the storage as shared: the move fails with that, and the desktop stays"):
        with refused("storage change STORAGE --coherent"):
            sarang("desktop", "migrate", desktop, "--wait=60")
        equal(where(sarang, desktop), {home: "running"}, "where its domain is")
        d = sarang.wait("desktop", desktop, host=home, task=None, moving=None)
        require(sarang.show("session", d["session"])["ready"], "its session is not ready")
        sarang("storage", "change", "shared", coherent="true")
    with s.check("to where it is, to a host that there is not, to one that has no room: refused with the reason"):
        for host, why in ((home, "is on host"), ("host9", "no host"), (other(home), "1 of 1 MiB free, 2 wanted")):
            if host == other(home):
                sarang("host", "change", host, memory_mib=1)
            with refused(why):
                sarang("desktop", "migrate", desktop, host=host)
        sarang("host", "change", other(home), memory_mib=0)


def check_move(s, lab, sarang, desktop, session, home):
    there = other(home)
    with s.check("it goes to the other host as it runs: it counts on, its console is cut, and a new ticket leads to where it is"):
        sarang.start_gateway()
        ticket = sarang("session", "ticket", session)["ticket"]
        before = count(lab, home, sarang.domain(desktop))
        with viewer(sarang, ticket) as screen:
            require(screen.recv(12).startswith(b"RFB"), "no console")
            task = sarang("desktop", "migrate", desktop, "--wait=120")
            equal((task["from"], task["to"], task["state"]), (home, there, "done"), "the task")
            moved(lab, sarang, desktop, there, before)
            screen.settimeout(20)
            while screen.recv(4096):
                pass
        with viewer(sarang, sarang("session", "ticket", session)["ticket"]) as screen:
            require(screen.recv(12).startswith(b"RFB"), "no console over there")
    with s.check("no word of a desktop that was moved by hand"):
        kinds = {e["kind"] for e in sarang("event", "list")}
        require("desktop.migrated" in kinds, f"the events are {kinds}")
        equal(kinds & {"host.desktop-elsewhere", "desktop.vanished", "desktop.lost"}, set(), "events of a desktop gone astray")
    return there


def slowly(sarang, desktop):
    """A move that takes its time, once it is under way: from where, the task, and how far the guest had counted before."""
    home = sarang.show("desktop", desktop)["host"]
    sarang("host", "change", home, migrate_mib_s=SLOW_MIB_S)
    before = count(sarang.lab, home, sarang.domain(desktop))
    task = sarang("desktop", "migrate", desktop)["name"]
    name = sarang.domain(desktop)
    until(lambda: re.search(r"Data (processed|remaining)", sarang.lab.virsh(home, "domjobinfo", name)), "it is on its way")
    return home, task, before


def check_killed(s, lab, sarang, desktop):
    with s.check("sarangd killed half way: the hosts go on by themselves, and when it is back it finds the desktop where it is"):
        home, task, before = slowly(sarang, desktop)
        sarang.kill()
        sarang.start()
        sarang.wait("task", task, seconds=120, state="done")
        moved(lab, sarang, desktop, other(home), before)
        sarang("host", "change", home, migrate_mib_s=0)


def check_cancelled(s, lab, sarang, desktop):
    with s.check("cancelled half way: it stays, and nothing of it is left over there"):
        home, task, before = slowly(sarang, desktop)
        sarang("task", "cancel", task)
        sarang.wait("task", task, seconds=60, state="cancelled")
        moved(lab, sarang, desktop, home, before)
        sarang("host", "change", home, migrate_mib_s=0)


def check_broken(s, lab, sarang, desktop):
    with s.check("the other host's libvirtd dies half way: it stays, and goes once that one is back"):
        home, task, before = slowly(sarang, desktop)
        lab.script("libvirtd", other(home), "kill")
        lab.script("libvirtd", other(home), "start")
        sarang.wait("task", task, seconds=120, state="failed")
        moved(lab, sarang, desktop, home, before)
        sarang("host", "change", home, migrate_mib_s=0)
        sarang.wait("host", other(home), state="up")
        sarang("desktop", "migrate", desktop, "--wait=120")
        moved(lab, sarang, desktop, other(home), before)


def check_apply(s, lab, sarang, desktop):
    with s.check("the moves that free its host are told, and made with --apply alone"):
        home = sarang.show("desktop", desktop)["host"]
        before = count(lab, home, sarang.domain(desktop))
        plan = sarang("plan", "rebalance", host=home)
        equal((plan["reached"], [(m["desktop"], m["to"]) for m in plan["moves"]]), (True, [(desktop, other(home))]), "the plan")
        equal(sarang.show("desktop", desktop)["moving"], None, "whether it is on its way")
        made = sarang("plan", "rebalance", "--apply", host=home)
        equal(made["begun"], 1, "moves that were begun")
        sarang.wait("task", made["moves"][0]["task"], seconds=60, state="done")
        moved(lab, sarang, desktop, other(home), before)
        plan = sarang("plan", "rebalance", host=home)
        equal((plan["reached"], plan["moves"]), (True, []), "the plan once it has gone")


def story(s):
    if missing():
        s.skip("desktops move", f"not built yet: {', '.join(missing())}")
        return
    with Lab("move") as lab, Product(lab) as sarang:
        session = prepare(s, sarang)
        desktop, home = session["desktop"], session["host"]
        check_refused(s, lab, sarang, desktop, home)
        check_move(s, lab, sarang, desktop, session["name"], home)
        check_killed(s, lab, sarang, desktop)
        check_cancelled(s, lab, sarang, desktop)
        check_broken(s, lab, sarang, desktop)
        check_apply(s, lab, sarang, desktop)


run(story)
