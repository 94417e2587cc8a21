#!/usr/bin/env python3
"""What others do to our domains behind our back: a definition taken away while its desktop is in use, and put back; our UUID started by hand."""
import re

from lab import Lab, equal, require, run, until
from product import Product, missing


def prepare(s, sarang):
    with s.check("a host, and a desktop in somebody's hands", needed=True):
        sarang.enrol("host1")
        sarang.add_shared()
        sarang.add_guest("micro", ["shared"])
        sarang("user", "add", "jihye", title="Kim Jihye")
        sarang("pool", "create", "p", template="micro", image="micro", personalise="none", min=1, max=1)
        return sarang("session", "request", "p", "--wait=60", user="jihye")


def error_of(sarang, desktop):
    return (sarang.show("desktop", desktop).get("error") or {}).get("code")


def kept(lab, domain):
    """A file with the domain's XML, as somebody would keep it."""
    path = lab.dir / "kept.xml"
    path.write_text(lab.virsh("host1", "dumpxml", domain, "--inactive"))
    return path


def check_undefined(s, lab, sarang, session):
    desktop = session["desktop"]
    domain = sarang.domain(desktop)
    with s.check("undefined by hand while it is used: it is said, the person goes on, nothing is started or ended"):
        pid = lab.exec("host1", "pgrep", "-f", f"guest={domain},")
        lab.virsh("host1", "undefine", domain)
        until(lambda: error_of(sarang, desktop) == "desktop-undefined", "it is said", 20)
        require(sarang.show("session", session["name"])["state"] in ("offered", "assigned"), "the session is not held")
        require(sarang("event", "list", kind="desktop.undefined", object=desktop), "no event tells it")
        equal(lab.exec("host1", "pgrep", "-f", f"guest={domain},"), pid, "the process of the desktop")
    with s.check("defined again by hand: nothing is said of it any more"):
        lab.virsh("host1", "define", kept(lab, domain))
        until(lambda: error_of(sarang, desktop) is None, "it is unsaid", 20)
    return desktop


def check_transient(s, lab, sarang, desktop, session):
    domain = sarang.domain(desktop)
    with s.check("started by hand from its XML while nobody looked, and without a definition: it is ours, and said to have none"):
        sarang.stop()
        xml = kept(lab, domain)
        lab.virsh("host1", "undefine", domain)
        lab.virsh("host1", "destroy", domain)
        lab.virsh("host1", "create", xml)
        sarang.start()
        until(lambda: error_of(sarang, desktop) == "desktop-undefined", "it is said", 20)
        equal(len(sarang.domains("host1")), 1, "domains on the host")
    with s.check("never used, it is there for the next, and it is still said; retired, it goes, and one with a definition comes"):
        sarang("session", "end", session["name"])
        sarang.wait("desktop", desktop, state="available")
        equal(error_of(sarang, desktop), "desktop-undefined", "what is said of it")
        sarang("desktop", "retire", desktop)
        until(lambda: desktop not in [d["name"] for d in sarang("desktop", "list")], "it is gone", 60)
        new = sarang.domain(sarang.wait_count("desktop", 1, pool="p", state="available", seconds=90)[0]["name"])
        equal(sarang.domains("host1"), {new}, "domains on the host")
        require(re.search(r"^Persistent: +yes$", lab.virsh("host1", "dominfo", new), re.M), f"{new} has no definition")


def story(s):
    if missing():
        s.skip("domains are changed by hand", f"not built yet: {', '.join(missing())}")
        return
    with Lab("behind", hosts=1) as lab, Product(lab) as sarang:
        session = prepare(s, sarang)
        desktop = check_undefined(s, lab, sarang, session)
        check_transient(s, lab, sarang, desktop, session)


run(story)
