#!/usr/bin/env python3
"""A person asks for a desktop, gets it as their own, works at its console through the gateway, leaves; nothing of them is there
for the next. Consoles take a fresh ticket, once, from the page it was made for."""
import json

import rfb
from lab import Guest, Lab, equal, refused, require, run, until
from product import Product, missing, page, viewer

SECRET = "/home/jihye/secret"


def prepare(s, sarang):
    with s.check("a floating pool of one desktop, two people", needed=True):
        sarang.enrol("host1")
        sarang.add_shared()
        sarang.add_guest("linux-cli", ["shared"])
        for name, title in (("jihye", "Kim Jihye"), ("mina", "Park Mina")):
            sarang("user", "add", name, "--password", title=title, text_in=f"{name}-password\n")
        sarang("pool", "create", "cli", template="linux-cli", image="linux-cli", network="bridge:br0", memory_mib=256, min=1, max=1)
        sarang.wait_count("desktop", 1, seconds=120, pool="cli", state="available")
        sarang.start_gateway()


def check_request(s, sarang):
    with s.check("jihye gets the desktop, with her account in it", needed=True):
        session = sarang("session", "request", "cli", "--wait=60", user="jihye")
        require({"name", "state", "pool", "desktop", "host", "connect"} <= session.keys(), f"the session says only {list(session)}")
        guest = Guest(sarang.lab, "host1", sarang.domain(session["desktop"]))
        require("jihye" in guest.run("/bin/cat", "/etc/passwd"), "there is no account jihye")
        equal(sarang.show("desktop", session["desktop"])["touched"], True, "whether the desktop counts as touched")
    with s.check("asking again gives the same session"):
        equal(sarang("session", "request", "cli", "--wait=60", user="jihye")["name"], session["name"], "the session")
    with s.check("mina is told that the pool is full, and what would help"):
        with refused("cli", status=8):
            sarang("session", "request", "cli", user="mina")
    return session, guest


def ticket(sarang, session, **how):
    return sarang("session", "ticket", session["name"], **how)["ticket"]


def check_viewer(s, sarang, session, guest):
    """The text console: jihye logs in with the password that came with her account, and leaves a file."""
    with s.check("a native viewer opens the console by a ticket, and no password is asked for"):
        with viewer(sarang, ticket(sarang, session)) as console:
            equal(rfb.login(console)[:2], (720, 400), "the screen's size")
            guest.wait_reads_keys("getty")
            rfb.type_text(console, "jihye\n")
            guest.wait_reads_keys("login")
            rfb.type_text(console, "jihye-password\n")
            until(lambda: guest.users() == {"jihye"}, "the agent reports jihye")
            rfb.type_text(console, f"echo mine > {SECRET}\n")
            until(lambda: guest.has(SECRET), "what jihye typed has run")
    with s.check("the session was active, and is disconnected now"):
        sarang.wait("session", session["name"], state="disconnected")
        equal(sarang.show("desktop", session["desktop"])["state"], "used", "the desktop's state")


def check_page(s, sarang, session):
    origin = sarang.origin()
    with s.check("the page opens it too, and the session is active again"):
        with page(sarang, ticket(sarang, session, origin=origin)) as console:
            equal(rfb.login(console)[:2], (720, 400), "the screen's size")
            sarang.wait("session", session["name"], state="active")
    with s.check("a ticket opens one console, once"):
        used = ticket(sarang, session, origin=origin)
        with page(sarang, used, origin):
            pass
        with refused("", status=401), page(sarang, used, origin):
            pass
    with s.check("a ticket of the page does not open a native viewer, nor the other way round"):
        with refused(), viewer(sarang, ticket(sarang, session, origin=origin)):
            pass
        with refused(), page(sarang, ticket(sarang, session)):
            pass
    with s.check("a page of somebody else is refused"):
        with refused("origin", status=403), page(sarang, ticket(sarang, session, origin=origin), "https://evil.example"):
            pass


def check_end(s, sarang, session, guest):
    desktop = session["desktop"]
    with s.check("ending the session cuts its console"):
        with viewer(sarang, ticket(sarang, session)) as console:
            rfb.login(console)
            sarang("session", "end", session["name"])
            console.settimeout(10)
            require(console.recv(1) == b"", "the console goes on")
    with s.check("its tickets open nothing any more"):
        with refused(status=5):
            ticket(sarang, session)
    with s.check("the desktop is available again only by a proven reset"):
        d = sarang.wait("desktop", desktop, seconds=120, state="available")
        equal((d["touched"], d["clone"]), (False, 2), "whether it is touched, and the generation of its disk")
        evidence = d["evidence"] if isinstance(d["evidence"], dict) else json.loads(d["evidence"])
        require(evidence, "there is no evidence")
    with s.check("nothing of jihye is left"):
        require(not guest.has("/home/jihye"), "her home is still there")
        require("jihye" not in guest.run("/bin/cat", "/etc/passwd", "/etc/shadow"), "her account is still there")
        equal(guest.boots(), 1, "the number of boots of this disk")
        files = {f.name for f in (sarang.lab.shared / "sarang").iterdir() if f.name.startswith(desktop + "-")}
        require(all(".g2." in name for name in files), f"volumes of the generation before are left: {files}")


def check_next(s, sarang, guest):
    with s.check("mina gets it, and does not find the file"):
        session = sarang("session", "request", "cli", "--wait=60", user="mina")
        require("mina" in guest.run("/bin/cat", "/etc/passwd"), "there is no account mina")
        equal(guest.status("/bin/cat", SECRET)[0], 1, "the exit status of reading jihye's file")
        with refused(status=8):
            sarang("session", "request", "cli", user="jihye")
        sarang("session", "end", session["name"])


def story(s):
    if missing():
        s.skip("a person's session", f"not built yet: {', '.join(missing())}")
        return
    with Lab("session", hosts=1) as lab, Product(lab) as sarang:
        prepare(s, sarang)
        session, guest = check_request(s, sarang)
        check_viewer(s, sarang, session, guest)
        check_page(s, sarang, session)
        check_end(s, sarang, session, guest)
        check_next(s, sarang, guest)


run(story)
