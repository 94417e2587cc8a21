#!/usr/bin/env python3
"""kill -9 of sarangd at each step of making a desktop, giving it to a person and taking it back. Started again it goes on: what
was promised holds, nothing is done twice, nothing is left over. With LAB_FULL=1 each step is killed in a run of its own too."""
import http.client
import itertools
import json
import re
import socket
import threading
import time

from lab import FULL, PROJECT, Failure, Guest, Lab, equal, require, run, until
from product import Product, missing

KINDS = ("provision", "personalise", "reset")
ENDED = ("done", "failed", "cancelled")
UNREACHABLE = 7  # exit status of the command line


def steps_of_tasks():
    """The steps of each kind of task, by the tables of the core."""
    names = dict(re.findall(r'X\((\w+), "([a-z-]+)",', (PROJECT / "core" / "step.h").read_text()))
    lists = re.findall(r"^LIST\((\w+), ([^)]*)\);", (PROJECT / "core" / "step.c").read_text(), re.M)
    return {kind: tuple(names[step.strip().removeprefix("STEP_")] for step in steps.split(","))
            for kind, steps in lists if kind in KINDS}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(self.path)


def get(sarang, path):
    """An answer of the API that is still to be read. The command line would take too long: some steps are over in milliseconds."""
    connection = UnixConnection(sarang.env["SARANG_SOCKET"])
    connection.request("GET", path)
    answer = connection.getresponse()
    require(answer.status == 200, f"{path} is answered with {answer.status}")
    return answer


class Tasks:
    """New tasks of a kind: those there are, then as they change; over when sarangd is gone."""

    def __init__(self, sarang, kind, old):
        self.kind, self.old = kind, old
        self.changes = get(sarang, "/api/v1/watch")
        self.now = json.loads(get(sarang, "/api/v1/tasks").read())["items"]

    def __iter__(self):
        for change in itertools.chain(self.now, self.stream()):
            if change.get("kind") == self.kind and change.get("step") and change["name"] not in self.old:
                yield change

    def stream(self):
        for line in self.changes:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


def tasks_soon(sarang, kind, old):
    """The same, of a sarangd that is just starting."""
    for _ in range(15000):
        try:
            return Tasks(sarang, kind, old)
        except OSError:
            time.sleep(0.002)  # not yet
    raise Failure("sarangd does not come back")


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


class Asker(threading.Thread):
    """Asks for something while sarangd is killed."""

    def __init__(self, act):
        super().__init__(daemon=True)
        self.act, self.error = act, None
        self.start()

    def run(self):
        try:
            insist(self.act)
        except Exception as e:  # told by end()
            self.error = e

    def end(self):
        self.join(60)
        require(not self.is_alive(), "what was asked for is not answered")
        if self.error:
            raise self.error


def kill_at(sarang, kind, steps, act):
    """act, with sarangd killed as soon as a new task of that kind is seen at each of the steps, and started again. Returns the
    steps it was killed at: one that was over before it was seen is passed over."""
    left, killed = list(steps), []
    old = {t["name"] for t in sarang.list("task")}
    tasks = Tasks(sarang, kind, old)
    asker = Asker(act)
    while left:
        task = next(t for t in tasks if t["state"] in ENDED or t["step"] in left)
        if task["state"] in ENDED:
            break
        sarang.kill()
        killed.append(task["step"])
        left = left[left.index(task["step"]) + 1:]
        sarang.spawn()
        tasks = tasks_soon(sarang, kind, old)
    asker.end()
    return killed


def killing(s, sarang, kind, steps, act, settle):
    """settle waits until all is as it should be after act, or says why it is not. Returns the (kind, step) it was killed at."""
    killed = []
    with s.check(f"{kind}, killed at {', '.join(steps) or 'no step'}, comes to its end"):
        killed = kill_at(sarang, kind, steps, act)
        settle()
    return {(kind, step) for step in killed}


def whole(lab, sarang, generation):
    """One desktop, one domain, the volumes of its generation and no others."""
    desktops = sarang.list("desktop")
    equal(len(desktops), 1, "the number of desktops")
    d = desktops[0]
    equal(sarang.domains("host1"), {sarang.domain(d["name"])}, "the domains on the host")
    files = {f.name for f in (lab.dir / "hosts" / "host1" / "images").iterdir() if not f.name.startswith("img-")}
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


def story(s):
    if missing():
        s.skip("sarangd is killed", f"not built yet: {', '.join(missing())}")
        return
    with Lab("kill", hosts=1) as lab, Product(lab) as sarang:
        prepare(s, sarang)
        points = [(kind, step) for kind, steps in steps_of_tasks().items() for step in steps]
        killed = round_trip(s, lab, sarang, points)
        for point in points if FULL else [p for p in points if p not in killed]:
            begin_anew(sarang)
            killed |= round_trip(s, lab, sarang, [point])
        with s.check("sarangd was killed at each step"):
            equal([p for p in points if p not in killed], [], "steps that were over each time before the kill came")


run(story)
