#!/usr/bin/env python3
"""kill -9 of sarangd at each step of making a desktop, giving it to a person and taking it back. Started again it goes on: what
was promised holds, nothing is done twice, nothing is left over. With LAB_FULL=1 each step is killed in a run of its own too."""
import http.client
import itertools
import json
import socket
import threading

from lab import FULL, Failure, Guest, Lab, equal, require, run, until
from product import Product, missing

# the steps of each task, as core/step.c has them
STEPS = {
    "provision": ("clone", "seed", "define", "start", "wait-ready"),
    "personalise": ("personalise",),
    "reset": ("power-off", "undefine", "clone", "seed", "define", "delete-old", "start", "wait-ready", "prove"),
}
ENDED = ("done", "failed", "cancelled")
UNREACHABLE = 7  # exit status of the command line


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Changes:
    """The stream of changes, from when this was made; over when sarangd is gone."""

    def __init__(self, sarang):
        connection = UnixConnection(sarang.env["SARANG_SOCKET"])
        connection.request("GET", "/api/v1/watch")
        self.answer = connection.getresponse()
        require(self.answer.status == 200, f"watching is answered with {self.answer.status}")

    def tasks(self, kind):
        for line in self.answer:
            if line.startswith(b"data: "):
                change = json.loads(line[6:])
                if change.get("kind") == kind and "step" in change:
                    yield change


class Killer(threading.Thread):
    """Kills sarangd as soon as a new task of that kind is seen at each of the steps, and starts it again. A step that was over
    before it was seen is passed over: sarangd is killed at the one after it."""

    def __init__(self, sarang, kind, steps):
        super().__init__(daemon=True)
        self.sarang, self.kind, self.left = sarang, kind, list(steps)
        self.old = {t["name"] for t in sarang.list("task")}
        self.changes = Changes(sarang)
        self.killed, self.error, self.over = [], None, False

    def run(self):
        try:
            while self.left and not self.over:
                self.kill_next()
                self.changes = Changes(self.sarang)
        except Exception as e:  # told by the story, which looks for it
            self.error = e
        self.over = True

    def kill_next(self):
        for task in itertools.chain(self.sarang.list("task", kind=self.kind), self.changes.tasks(self.kind)):
            if task["name"] in self.old:
                continue
            if task["state"] in ENDED:
                self.over = True
                return
            if task["step"] in self.left:
                self.sarang.kill()
                self.killed.append(task["step"])
                self.left = self.left[self.left.index(task["step"]) + 1:]
                self.sarang.start()
                return


def insist(act):
    """Asks until there is an answer: who got none asks again, as a person would."""
    refusal = []

    def asked():
        try:
            act()
        except Failure as e:
            if e.status == UNREACHABLE:
                raise  # until() asks again
            refusal.append(e)
        return True
    until(asked, "sarangd answers", 30)
    if refusal:
        raise refusal[0]


def killing(s, sarang, kind, steps, act, settle):
    """act, with sarangd killed at each of the steps; settle waits until all is as it should be, or says why it is not."""
    with s.check(f"{kind}: killed at {', '.join(steps) or 'no step'}"):
        killer = Killer(sarang, kind, steps)
        killer.start()
        insist(act)
        until(lambda: killer.over, f"the task is over or killed at each step (so far: {killer.killed})", 240)
        require(not killer.error, f"{killer.error!r}, killed at {killer.killed}")
        settle()
        require(killer.killed or not steps, "each step was over before the kill came")
        print(f"     killed at {', '.join(killer.killed)}")


def whole(lab, sarang, generation):
    """One desktop, one domain, the volumes of its generation and no others."""
    desktops = sarang.list("desktop")
    equal(len(desktops), 1, "the number of desktops")
    d = desktops[0]
    equal(sarang.domains("host1"), {sarang.domain(d["name"])}, "the domains on the host")
    files = {f.name for f in (lab.shared / "sarang").iterdir() if not f.name.startswith("img-")}
    wanted = {f"{d['name']}.g{generation}.qcow2", f"{d['name']}.g{generation}.seed.img"}
    equal(files, wanted, "the files on the storage")
    equal(d["clone"], generation, "the generation of its disk")
    return d


def prepare(s, sarang):
    with s.check("a host, an image, an empty pool, a person", needed=True):
        sarang.enrol("host1")
        sarang.add_shared()
        sarang.add_guest("linux-cli", ["shared"])
        sarang("user", "add", "jihye", title="Kim Jihye")
        sarang("pool", "create", "cli", template="linux-cli", image="linux-cli", network="bridge:br0", memory_mib=256, min=0, max=1)


def round_trip(s, lab, sarang, points):
    """Making, giving, taking back one desktop; points: for each kind of task, the steps at which sarangd is killed."""
    def available(generation):
        def settle():
            sarang.wait_count("desktop", 1, seconds=180, state="available")
            whole(lab, sarang, generation)
        return settle

    def ready():
        session = sarang.wait_count("session", 1, seconds=120, ready=True)[0]
        equal((session["user"], session["desktop"]), ("jihye", whole(lab, sarang, 1)["name"]), "the session")
        guest = Guest(lab, "host1", sarang.domain(session["desktop"]))
        passwd = guest.run("/bin/cat", "/etc/passwd")
        equal(passwd.count("jihye:"), 1, "how often the person has an account")

    killing(s, sarang, "provision", points["provision"], lambda: sarang("pool", "change", "cli", min=1), available(1))
    killing(s, sarang, "personalise", points["personalise"], lambda: sarang("session", "request", "cli", user="jihye"), ready)
    session = sarang.list("session", ready=True)[0]["name"]
    killing(s, sarang, "reset", points["reset"], lambda: sarang("session", "end", session), available(2))
    with s.check("nothing of the person is left, and the store is whole"):
        guest = Guest(lab, "host1", sarang.domain(sarang.list("desktop")[0]["name"]))
        require("jihye" not in guest.run("/bin/cat", "/etc/passwd"), "the account is still there")
        equal(sarang.show("session", session)["state"], "ended", "the session")


def begin_anew(sarang):
    sarang("pool", "change", "cli", min=0)
    for d in sarang.list("desktop"):
        sarang("desktop", "retire", d["name"])
    sarang.wait_count("desktop", 0, seconds=60)


def story(s):
    if missing():
        s.skip("sarangd is killed", f"not built yet: {', '.join(missing())}")
        return
    with Lab("kill", hosts=1) as lab, Product(lab) as sarang:
        prepare(s, sarang)
        round_trip(s, lab, sarang, STEPS)
        for kind, steps in STEPS.items() if FULL else ():
            for step in steps:
                begin_anew(sarang)
                round_trip(s, lab, sarang, {k: (step,) if k == kind else () for k in STEPS})


run(story)
