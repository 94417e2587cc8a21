"""Runs some work and cleans up behind it, whatever happens to the one who asked.

Three processes: the *asker*, which make and the terminal know; its child the *keeper*, in a session of its own, which no
Ctrl-C reaches; and the keeper's child, the *worker*. The keeper adopts every process the worker leaves behind, so "all we
started" is "all below the keeper". The first Ctrl-C or SIGTERM asks the worker to stop; the second, or the asker's death by
SIGKILL, ends it at once. The keeper then cleans up in any case, and goes last.
"""
import ctypes
import os
import select
import signal
import sys
import time
import traceback

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_S = 5


class Stopped(Exception):
    """Raised in the worker when it is asked to stop."""


def keep(work, clean_up):
    """work() returns the exit status; clean_up() is called in the keeper when the worker has ended. Returns that status."""
    reader, writer = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        os.close(writer)
        os._exit(be_keeper(reader, work, clean_up))
    os.close(reader)
    for number in STOPPING:
        signal.signal(number, lambda *_: os.write(writer, b'.'))
    _, status = os.waitpid(keeper, 0)
    return os.waitstatus_to_exitcode(status)


def be_keeper(orders, work, clean_up):
    os.setsid()
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    worker = os.fork()
    if worker == 0:
        os.close(orders)
        os._exit(be_worker(work))
    status = watch(worker, orders)
    try:
        clean_up()
    except Exception:  # what is left must still be ended
        traceback.print_exc()
    end_all()
    return status


def be_worker(work):
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in STOPPING:
        signal.signal(number, stop)
    try:
        return work()
    except Stopped:
        return 130
    except Exception as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr, flush=True)
        return 1


def stop(*_):
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def watch(worker, orders):
    """Waits for the worker's end and passes on what the asker orders; the worker's exit status."""
    asked, sources = False, [orders]
    while True:
        readable, _, _ = select.select(sources, [], [], 0.1)
        if readable:
            gone = not os.read(orders, 1)
            send(worker, signal.SIGKILL if asked or gone else signal.SIGTERM)
            asked, sources = True, [] if gone else sources
        status = reap().get(worker)
        if status is not None:
            return status if status >= 0 else 128 - status


def reap():
    """Takes in all children that have ended: {pid: exit status}."""
    ended = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def end_all():
    """Ends every process below this one: asks first, then makes it so."""
    started = time.monotonic()
    asked = set()
    while True:
        reap()
        pids = descendants()
        if not pids:
            return
        late = time.monotonic() - started > GRACE_S
        for pid in pids:
            if late or pid not in asked:
                send(pid, signal.SIGKILL if late else signal.SIGTERM)
                asked.add(pid)
        time.sleep(0.05)


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def descendants():
    parents = {}
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{name}/stat', encoding='utf-8', errors='replace') as file:
                parents[int(name)] = int(file.read().rpartition(')')[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found, heads = [], {os.getpid()}
    while heads:
        heads = {pid for pid, parent in parents.items() if parent in heads}
        found += heads
    return found


def prctl(option, value):
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
