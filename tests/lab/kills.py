"""Killing sarangd, or something else, at each step of a task: the steps by the tables of the core, seen on a stream of changes as they begin."""
import http.client
import itertools
import json
import re
import socket
import threading
import time

from lab import PROJECT, Failure, require, until

ENDED = ("done", "failed", "cancelled")
CONFLICT, UNREACHABLE = 5, 7  # exit statuses of the command line


def steps_of_tasks():
    """The steps of each kind of task, by the tables of the core."""
    names = dict(re.findall(r'X\((\w+), "([a-z-]+)",', (PROJECT / "core" / "step.h").read_text()))
    lists = re.findall(r"^LIST\((\w+), ([^)]*)\);", (PROJECT / "core" / "step.c").read_text(), re.M)
    return {kind.replace("_", "-"): tuple(names[step.strip().removeprefix("STEP_")] for step in steps.split(","))
            for kind, steps in lists}


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
    end = time.monotonic() + 60
    while time.monotonic() < end and sarang.daemon.poll() is None:
        try:
            return Tasks(sarang, kind, old)
        except OSError:
            time.sleep(0.002)  # not yet
    raise Failure(f"sarangd does not come back: {sarang.words()}")


def insist(act):
    """Asks until there is an answer: who got none asks again, as a person would, and may then hear that it is under way."""
    refusal, unanswered = [], []

    def asked():
        try:
            act()
        except Failure as e:
            if e.status == UNREACHABLE:
                unanswered.append(e)
                raise  # until() asks again
            if not unanswered or e.status != CONFLICT:
                refusal.append(e)
        return True
    until(asked, "sarangd answers", 60)
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
        self.join(90)
        require(not self.is_alive(), "what was asked for is not answered")
        if self.error:
            raise self.error


def kill_at(sarang, kind, steps, act, strike=None):
    """act, with sarangd killed as soon as a new task of that kind is seen at each of the steps, and started again; or with strike() done instead.
    Returns the steps it was done at: one that was over before it was seen is passed over."""
    left, killed = list(steps), []
    old = {t["name"] for t in sarang.list("task")}
    tasks = Tasks(sarang, kind, old)
    asker = Asker(act)
    while left:
        task = next(t for t in tasks if t["state"] in ENDED or t["step"] in left)
        if task["state"] in ENDED:
            break
        if strike:
            strike()
        else:
            sarang.kill()
        killed.append(task["step"])
        left = left[left.index(task["step"]) + 1:]
        if not strike:
            sarang.spawn()
            tasks = tasks_soon(sarang, kind, old)
    asker.end()
    return killed
