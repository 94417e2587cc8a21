#!/usr/bin/env python3
"""sarangd on a disk that fills up, or can only be read: what it acknowledged is there, what it refused is not, before and after a
restart, and it goes on by itself when there is room again. The disk is a small tmpfs in a mount namespace of this story's own."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sarangdlab import SLOW, Daemon, tell_all  # noqa: E402

DISK_MIB = 8


def in_own_mounts():
    """Runs this very story again where mounts are nobody else's business."""
    if os.environ.get("SARANG_OWN_MOUNTS"):
        return
    os.environ["SARANG_OWN_MOUNTS"] = "1"
    how = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if subprocess.run(how + ["true"], capture_output=True).returncode:
        print("0 passed, 0 failed, 1 skipped")
        sys.exit(0)
    os.execvp(how[0], how + [sys.executable, os.path.abspath(__file__)])


class Story:
    def __init__(self, folder):
        self.daemon, self.disk = Daemon(folder), os.path.join(folder, "disk")
        self.known, self.n = set(), 0
        os.mkdir(self.disk, 0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}M,mode=0700", "tmpfs", self.disk], check=True)
        self.daemon.start()

    def add(self):
        """Adds a user; the status. Who is acknowledged is known from then on."""
        self.n += 1
        name = f"user{self.n}"
        status, answer, retry = self.daemon.ask("POST", "/users", {"name": name, "title": "x" * 180})
        if status == 201:
            self.known.add(name)
        else:
            assert status == 503, answer
            assert retry and int(retry) >= 1, f"no Retry-After: {answer}"
            self.refused = answer["code"]
        return status

    def must_show_what_is_durable(self, when):
        shown = self.daemon.users()
        assert shown == self.known, f"{when}: {len(shown)} shown, {len(self.known)} acknowledged, apart: {sorted(shown ^ self.known)[:5]}"

    def must_go_on(self):
        end = time.monotonic() + 20 * SLOW
        while self.add() != 201:
            assert time.monotonic() < end, f"it does not go on: {self.refused}"
            time.sleep(0.1)
        assert self.daemon.store() == {"state": "ok"}, self.daemon.store()
        self.must_show_what_is_durable("going on")

    def fill(self):
        with open(os.path.join(self.disk, "filler"), "ab", buffering=0) as filler:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    pass
        self.add_until_refused()

    def add_until_refused(self):
        """The log's file is written over from its start, so some more fit."""
        for _ in range(4000):
            if self.add() == 503:
                return
        raise AssertionError("a full disk takes everything")

    def empty(self):
        os.unlink(os.path.join(self.disk, "filler"))

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.disk], check=True)


def full(story):
    story.fill()
    assert story.refused in ("store-full", "store-io"), story.refused
    assert story.daemon.store()["state"] == "failed", story.daemon.store()
    story.must_show_what_is_durable("full")
    assert story.add() == 503
    story.daemon.stop()
    story.empty()
    story.daemon.start()
    story.must_show_what_is_durable("killed while full, and started")
    story.must_go_on()


def full_and_empty_again(story):
    story.fill()
    story.must_show_what_is_durable("full")
    story.empty()
    story.must_go_on()


def started_on_a_full_disk(story):
    story.fill()
    story.daemon.stop()
    try:
        story.daemon.start()
    except AssertionError:
        assert "full" in story.daemon.words() or "I/O" in story.daemon.words(), story.daemon.words()
    else:
        story.must_show_what_is_durable("started on a full disk")
        story.add_until_refused()
    story.daemon.stop()
    story.empty()
    story.daemon.start()
    story.must_show_what_is_durable("room again")
    story.must_go_on()


def only_to_be_read(story):
    """The kernel does not turn a file system read-only under open files, as an ailing disk does; a start on one it does."""
    story.daemon.stop()
    story.remount("ro")
    try:
        story.daemon.start()
    except AssertionError:
        assert "read-only" in story.daemon.words().lower(), story.daemon.words()
    else:
        story.must_show_what_is_durable("started on a read-only disk")
        assert story.add() == 503
    story.daemon.stop()
    story.remount("rw")
    story.daemon.start()
    story.must_show_what_is_durable("writable again")
    story.must_go_on()


def files_that_cannot_grow(story):
    """An I/O error that is not a full disk: the process may write no file beyond what it has."""
    import resource
    largest = max(os.path.getsize(os.path.join(story.disk, name)) for name in os.listdir(story.disk))
    soft, hard = resource.prlimit(story.daemon.process.pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    story.add_until_refused()
    story.must_show_what_is_durable("a write failed")
    resource.prlimit(story.daemon.process.pid, resource.RLIMIT_FSIZE, (soft, hard))
    story.must_go_on()
    story.daemon.stop(signal.SIGTERM)
    story.daemon.start()
    story.must_show_what_is_durable("stopped and started")


def tell(function):
    folder = tempfile.mkdtemp(prefix="sarang-disk-")
    story, began = None, time.monotonic()
    try:
        story = Story(folder)
        for _ in range(3):
            assert story.add() == 201
        function(story)
        print(f"ok    {time.monotonic() - began:5.1f}s {function.__name__}", flush=True)
        return True
    except Exception as why:
        print(f"FAIL  {time.monotonic() - began:5.1f}s {function.__name__}: {why!r}", flush=True)
        return False
    finally:
        if story:
            story.daemon.stop()
        subprocess.run(["umount", os.path.join(folder, "disk")], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    in_own_mounts()
    tell_all([full, full_and_empty_again, started_on_a_full_disk, only_to_be_read, files_that_cannot_grow], tell)
