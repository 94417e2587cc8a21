#!/usr/bin/env python3
"""kill -9 of sarangd at each step of making a desktop, giving it to a person and taking it back. Started again it goes on: what
was promised holds, nothing is done twice, nothing is left over. With LAB_FULL=1 each step is killed in a run of its own too, and so
are those of every other task: recover, power by every verb, destroy, wake, heal, reseed, import, image-delete. What is about graphics cards has a
story on the GPU host."""
import re

from kills import ENDED, kill_at, steps_of_tasks
from lab import FULL, Guest, Lab, equal, guests, require, run, until
from product import Product, file_hash, missing

CARDS = "gpu-"  # kinds and steps that a desktop without a card has not, or passes over
TRIP = ("provision", "personalise", "reset")  # what a person's coming and going takes
# verb and the desktop's power after it, in an order in which each has something to do
POWER = (("suspend", "suspended"), ("resume", "on"), ("save", "saved"), ("restore", "on"), ("reboot", "on"), ("reset", "on"),
         ("shutdown", "off"), ("start", "on"), ("destroy", "off"))


def killing(s, sarang, kind, steps, act, settle):
    """settle waits until all is as it should be after act, or says why it is not. Returns the (kind, step) it was killed at."""
    killed = []
    with s.check(f"{kind}, killed at {', '.join(steps) or 'no step'}, comes to its end"):
        killed = kill_at(sarang, kind, steps, act)
        settle()
    return {(kind, step) for step in killed}


def images(lab):
    """Where the host has its local storage."""
    return lab.dir / "hosts" / "host1" / "images"


def volumes(lab):
    return {f.name for f in images(lab).iterdir() if not f.name.startswith("img-")}


def whole(lab, sarang, generation):
    """One desktop, one domain, the volumes of its generation and no others."""
    desktops = sarang.list("desktop")
    equal(len(desktops), 1, "the number of desktops")
    d = desktops[0]
    equal(sarang.domains("host1"), {sarang.domain(d["name"])}, "the domains on the host")
    files = {re.sub(r"-[0-9a-f]{8}\.", ".", name) for name in volumes(lab)}  # less the controller's hash
    wanted = {f"{d['name']}.g{generation}.qcow2", f"{d['name']}.g{generation}.seed.img"}
    equal(files, wanted, "the files on the storage")
    equal(d["clone"], generation, "the generation of its disk")
    return d


def prepare(s, sarang):
    with s.check("a host, an image, an empty pool, a person", needed=True):
        sarang.enrol("host1")
        sarang.add_local("host1")  # through libvirt each file takes long enough to be killed at
        sarang.add_guest("linux-cli", ["host1-local"])
        sarang("user", "add", "jihye", title="Kim Jihye")
        sarang("pool", "create", "cli", template="linux-cli", image="linux-cli", network="bridge:br0", memory_mib=256, min=0, max=1)


def round_trip(s, lab, sarang, points):
    """Making, giving, taking back one desktop; points: the (kind of task, step) at which sarangd is to be killed. Returns those at
    which it was."""
    def of(kind):
        return [step for k, step in points if k == kind]

    def available(generation):
        def settle():
            sarang.wait_count("desktop", 1, seconds=180, state="available")
            whole(lab, sarang, generation)
        return settle

    def ready():
        session = sarang.wait_count("session", 1, seconds=120, ready=True)[0]
        equal((session["user"], session["desktop"]), ("jihye", whole(lab, sarang, 1)["name"]), "the session")
        guest = Guest(lab, "host1", sarang.domain(session["desktop"]))
        equal(guest.shell("grep -c ^jihye: /etc/passwd"), "1", "how often the person has an account")

    killed = killing(s, sarang, "provision", of("provision"), lambda: sarang("pool", "change", "cli", min=1), available(1))
    killed |= killing(s, sarang, "personalise", of("personalise"), lambda: sarang("session", "request", "cli", user="jihye"), ready)
    session = sarang.list("session", ready=True)[0]["name"]
    killed |= killing(s, sarang, "reset", of("reset"), lambda: sarang("session", "end", session), available(2))
    with s.check("nothing of the person is left, and the store is whole"):
        guest = Guest(lab, "host1", sarang.domain(sarang.list("desktop")[0]["name"]))
        require("jihye" not in guest.run("/bin/cat", "/etc/passwd"), "the account is still there")
        equal(sarang.show("session", session)["state"], "ended", "the session")
    return killed


def begin_anew(sarang):
    sarang("pool", "change", "cli", min=0)
    for d in sarang.list("desktop"):
        sarang("desktop", "retire", d["name"])
    sarang.wait_count("desktop", 0, seconds=60)


# ── tasks that no round trip has ──

def check_recover(s, lab, sarang, steps):
    d = sarang.list("desktop")[0]
    pid = lab.inside("host1", f"/run/libvirt/qemu/{sarang.domain(d['name'])}.pid").read_text()

    def settle():
        sarang.wait("desktop", d["name"], seconds=180, state="available", power="on")
        whole(lab, sarang, d["clone"])
    return killing(s, sarang, "recover", steps, lambda: lab.exec("host1", "kill", "-9", pid), settle)


def check_power(s, sarang, desktop):
    """One step, as often as there are verbs."""
    killed = set()
    for verb, power in POWER:
        def settle():
            until(lambda: all(t["state"] in ENDED for t in sarang.list("task", kind="power")), "its task has ended", 180)
            sarang.wait("desktop", desktop, power=power)
        with s.check(f"{verb}, killed at power, comes to its end"):
            killed.update(kill_at(sarang, "power", ["power"], lambda: sarang("desktop", verb, desktop)))
            settle()
    return {("power", step) for step in killed}


def check_destroy(s, lab, sarang, steps):
    def act():
        sarang("pool", "change", "cli", min=0)
        for d in sarang.list("desktop"):
            sarang("desktop", "retire", d["name"])

    def settle():
        sarang.wait_count("desktop", 0, seconds=120)
        equal((sarang.domains("host1"), volumes(lab)), (set(), set()), "what is left")
    return killing(s, sarang, "destroy", steps, act, settle)


def check_wake(s, lab, sarang, steps):
    """A desktop of its owner's is off when they come back."""
    with s.check("a desktop of jihye's own, off", needed=True):
        sarang("pool", "create", "own", kind="dedicated", template="linux-cli", image="linux-cli", network="bridge:br0", memory_mib=256,
               max=1)
        session = sarang("session", "request", "own", "--wait=180", user="jihye", seconds=190)
        sarang("session", "end", session["name"])
        sarang.wait("session", session["name"], state="ended")
        lab.virsh("host1", "destroy", sarang.domain(session["desktop"]))
        sarang.wait("desktop", session["desktop"], power="off")

    def settle():
        now = sarang.wait_count("session", 1, seconds=180, ready=True)[0]
        equal(now["desktop"], whole(lab, sarang, 1)["name"], "the session's desktop")
        sarang.wait("desktop", now["desktop"], power="on")
    return killing(s, sarang, "wake", steps, lambda: sarang("session", "request", "own", user="jihye"), settle)


def check_heal(s, lab, sarang, steps):
    """jihye's own desktop, taken away from the host while she has it."""
    session = sarang.list("session", ready=True)[0]
    domain = sarang.domain(session["desktop"])

    def act():
        lab.virsh("host1", "undefine", domain)
        lab.virsh("host1", "destroy", domain)

    def settle():
        until(lambda: domain in sarang.domains("host1"), "it is defined again", 120)
        until(lambda: not sarang.show("desktop", session["desktop"]).get("task"), "its task is over", 120)
        whole(lab, sarang, 1)
        require(sarang.show("session", session["name"])["state"] in ("offered", "assigned"), "the session is not held")
    return killing(s, sarang, "heal", steps, act, settle)


def check_reseed(s, lab, sarang, steps):
    """An account that comes with the seed, in place of a desktop without one."""
    with s.check("a desktop whose accounts come with its seed", needed=True):
        sarang("session", "end", next(s["name"] for s in sarang.list("session") if s["state"] in ("offered", "assigned")))
        sarang("pool", "delete", "own", "--force")
        sarang.wait_count("desktop", 0, seconds=120)
        sarang("pool", "create", "seeded", template="linux-cli", image="linux-cli", network="bridge:br0", memory_mib=256, personalise="seed",
               min=1, max=1)
        sarang.wait_count("desktop", 1, seconds=120, state="available")

    def settle():
        session = sarang.wait_count("session", 1, seconds=180, ready=True)[0]
        guest = Guest(lab, "host1", sarang.domain(session["desktop"]))
        equal(guest.shell("grep -c ^jihye: /etc/passwd"), "1", "how often the person has an account")
    return killing(s, sarang, "reseed", steps, lambda: sarang("session", "request", "seeded", user="jihye"), settle)


def check_images(s, lab, sarang, steps_of):
    source = guests() / "micro.img"

    def there():
        return list(images(lab).glob("img-second-*-v1.raw"))

    def imported():
        sarang.wait("image", "second@1", state="ready")
        equal([file_hash(f) for f in there()], [file_hash(source)], "the image's hash")

    def removed():
        sarang.wait_count("image", 0, name="second@1")
        require(not there(), "its file is left")
    killed = killing(s, sarang, "import", steps_of["import"],
                     lambda: sarang("image", "import", "second", source, format="raw", storages=["host1-local"]), imported)
    return killed | killing(s, sarang, "image-delete", steps_of["image-delete"], lambda: sarang("image", "remove", "second@1"), removed)


def check_others(s, lab, sarang, steps_of):
    """Begins with one available desktop; ends with another that jihye has. Returns the (kind, step) it was killed at."""
    killed = check_images(s, lab, sarang, steps_of)
    killed |= check_recover(s, lab, sarang, steps_of["recover"])
    session = sarang("session", "request", "cli", "--wait=120", user="jihye")
    killed |= check_power(s, sarang, session["desktop"])
    sarang("session", "end", session["name"])
    sarang.wait_count("desktop", 1, seconds=180, state="available")
    killed |= check_destroy(s, lab, sarang, steps_of["destroy"])
    killed |= check_wake(s, lab, sarang, steps_of["wake"])
    killed |= check_heal(s, lab, sarang, steps_of["heal"])
    return killed | check_reseed(s, lab, sarang, steps_of["reseed"])


def one_by_one(points):
    """Round trips in which each kind of task is killed at one of its steps, until each step had its turn."""
    steps = {kind: [step for k, step in points if k == kind] for kind in TRIP}
    return [[(kind, steps[kind][i]) for kind in TRIP if i < len(steps[kind])] for i in range(max(map(len, steps.values())))]


def story(s):
    if missing():
        s.skip("sarangd is killed", f"not built yet: {', '.join(missing())}")
        return
    steps_of = {kind: [step for step in steps if not step.startswith(CARDS)] for kind, steps in steps_of_tasks().items() if not kind.startswith(CARDS)}
    with Lab("kill", hosts=1) as lab, Product(lab) as sarang:
        prepare(s, sarang)
        points = [(kind, step) for kind in TRIP for step in steps_of[kind]]
        killed = round_trip(s, lab, sarang, points)
        left = [p for p in points if p not in killed]
        for some in one_by_one(points) if FULL else [[p] for p in left]:
            begin_anew(sarang)
            killed |= round_trip(s, lab, sarang, some)
        if FULL:
            killed |= check_others(s, lab, sarang, steps_of)
            points = [(kind, step) for kind in steps_of for step in steps_of[kind]]
        with s.check("sarangd was killed at each step"):
            equal([p for p in points if p not in killed], [], "steps that were over each time before the kill came")


run(story)
