"""What the lab's stories stand on: a lab of real hosts, checks that count themselves, waiting with a deadline.

    def story(s):
        with Lab("power") as lab:
            with s.check("the guest starts"):
                lab.virsh("host1", "start", "a")
                until(lambda: lab.count("host1", "a") >= 2, "the guest counts")

    run(story)

A check that fails says why and the story goes on; one with needed=True ends it. Waiting is polling with a deadline: no sleep
stands for an event. A lab lives in a directory of its own name, is made anew by each story, and is removed whatever happens;
what a killed story left is removed by the next one of that name. LAB_KEEP=1 keeps the logs and disks of a lab that is over."""
import base64
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
BUILD = PROJECT / "build" / os.environ.get("MODE", "release")
FULL = os.environ.get("LAB_FULL", "0") == "1"
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
NAMESPACES = ("pid", "mnt", "net")
_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """What was wanted did not come about; its text is for people. status: exit status of the program that said no, or None."""

    def __init__(self, text, status=None):
        super().__init__(text)
        self.status = status


class Stop(Exception):
    """The rest of the story makes no sense."""


def require(condition, text):
    if not condition:
        raise Failure(text)


def equal(got, wanted, what):
    require(got == wanted, f"{what} is {got!r}, not {wanted!r}")


def until(condition, what, seconds=30):
    """The first true value of condition(), asked again and again; a Failure raised by it means not yet."""
    end = time.monotonic() + seconds
    last = ""
    while True:
        try:
            if value := condition():
                return value
        except Failure as e:
            last = f" ({e})"
        require(time.monotonic() < end, f"not within {seconds} s: {what}{last}")
        time.sleep(0.05)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def born(pid):
    """Start time of a process: field 22 of its stat, counted behind the last ")", as a name may hold anything."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def command(*argv, seconds=30, text_in=None, env=None):
    """Runs a program to its end; Failure with its last words when it does not end well or in time."""
    argv = [str(a) for a in argv]
    try:
        done = subprocess.run(argv, input=text_in, capture_output=True, text=True, timeout=seconds, env=env)
    except subprocess.TimeoutExpired:
        raise Failure(f"{shlex.join(argv)} took more than {seconds} s") from None
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())[-400:]
        raise Failure(f"{shlex.join(argv)} ended with {done.returncode}: {words}", done.returncode)
    return done.stdout.strip()


@contextlib.contextmanager
def refused(pattern="", status=None):
    """What is inside must fail, with a text that pattern is found in and, where given, that exit status."""
    try:
        yield
    except Failure as e:
        require(re.search(pattern, str(e)), f"was refused with another reason than /{pattern}/: {e}")
        require(status in (None, e.status), f"was refused with exit status {e.status}, not {status}: {e}")
    else:
        raise Failure("was not refused")


class Story:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    @contextlib.contextmanager
    def check(self, title, needed=False):
        begin = time.monotonic()
        try:
            yield
        except Exception as e:  # whatever goes wrong inside is this check's failure, and only its own
            self.failed += 1
            print(f"FAIL {title}: {e if isinstance(e, Failure) else repr(e)}", flush=True)
            if needed:
                raise Stop from None
        else:
            self.passed += 1
            print(f"ok   {title}  ({time.monotonic() - begin:.1f} s)", flush=True)

    def skip(self, title, why):
        self.skipped += 1
        print(f"skip {title}: {why}", flush=True)


def _is_in(process, numbers):
    with contextlib.suppress(OSError):  # it ended meanwhile
        return any(os.stat(process / "ns" / kind).st_ino in numbers for kind in NAMESPACES)


class Lab:
    """N hosts of its own (or one `--local` host), from up to gone."""
    over = []  # (lab, what was left of it) of each that is

    def __init__(self, name, hosts=2, local=False, cgroups="auto"):
        self.env = os.environ | {"LAB_NAME": "lab." + name, "LAB_CGROUPS": cgroups}
        self.env.pop("LAB_DIR", None)
        where = command("bash", "-c", '. "$1"; echo "$LAB_DIR"; echo "$lab_tag"', "bash", HERE / "common", env=self.env)
        self.dir, self.tag = pathlib.Path(where.splitlines()[0]), where.splitlines()[1]
        self.env["LAB_DIR"] = str(self.dir)
        self.up_args = ["--local"] if local else [hosts]
        self.shared = self.dir / "shared"

    def script(self, name, *argv, seconds=90):
        return command(HERE / name, *argv, seconds=seconds, env=self.env)

    def __enter__(self):
        self._lock()
        self.script("down", "--wipe")
        try:
            self.script("up", *self.up_args)
        except BaseException:
            self.script("down", "--wipe")
            raise
        return self

    def _lock(self):
        """What a story that died has left may be removed, a lab that is in use may not."""
        (PROJECT / "build").mkdir(exist_ok=True)
        self.lock = open(PROJECT / "build" / f"{self.env['LAB_NAME']}.lock", "w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failure(f"{self.dir} is in use by another run of this story") from None

    def __exit__(self, *_):
        keep = os.environ.get("LAB_KEEP") == "1"
        with self.namespaces() as numbers:
            self.script("down", *([] if keep else ["--wipe"]))
            left = self.traces(numbers)
        self.lock.close()
        self.over.append((self.dir.name, [t for t in left if not keep or t != str(self.dir)]))

    @contextlib.contextmanager
    def namespaces(self):
        """The numbers of the namespaces that its processes are in. They are held open meanwhile: the kernel gives the number of
        one that is gone to the next that is made, and that may be another lab's."""
        own = {os.stat(f"/proc/self/ns/{kind}").st_ino for kind in NAMESPACES}
        records = [*self.dir.glob("ctl.pid"), *self.dir.glob("hosts/*/init.pid")]
        with contextlib.ExitStack() as held:
            files = []
            for record in records:
                for kind in NAMESPACES:
                    with contextlib.suppress(OSError):  # that process has ended
                        files.append(held.enter_context(open(f"/proc/{record.read_text().split()[0]}/ns/{kind}", "rb")))
            yield {os.fstat(f.fileno()).st_ino for f in files} - own

    def traces(self, numbers):
        """What is still to be seen of it on this machine, once it is down: numbers are those of the namespaces its processes
        were in."""
        found = [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if str(self.dir) in line]
        found += [f"{top}/{d}" for top, dirs, _ in os.walk("/sys/fs/cgroup") for d in dirs if d.startswith(f"sarang-{self.tag}-")]
        found += [f"process {p.name}" for p in pathlib.Path("/proc").glob("[0-9]*") if _is_in(p, numbers)]
        return found + [str(self.dir)] * self.dir.exists()

    def exec(self, where, *argv, seconds=30, text_in=None):
        return command(HERE / "exec", where, *argv, seconds=seconds, text_in=text_in, env=self.env)

    def address(self, host):
        """A host's address, where its consoles listen."""
        return f"{self.env.get('LAB_NET', '10.77.0')}.{10 + int(host.removeprefix('host'))}"

    def init_pid(self, host):
        return int((self.dir / "hosts" / host / "init.pid").read_text().split()[0])

    def inside(self, host, path):
        """A path of a host as seen from here."""
        return pathlib.Path(f"/proc/{self.init_pid(host)}/root") / path.lstrip("/")

    def connect(self, address, port, seconds=5):
        """A TCP connection made from the controller's place: a socket stays in the network namespace it was made in."""
        ctl = int((self.dir / "ctl.pid").read_text().split()[0])
        with open("/proc/thread-self/ns/net") as home, open(f"/proc/{ctl}/ns/net") as there:
            require(_libc.setns(there.fileno(), CLONE_NEWNET) == 0, "cannot enter the controller's network namespace")
            try:
                return socket.create_connection((address, port), seconds)
            except OSError as e:
                raise Failure(f"no connection to {address}:{port}: {e}") from None
            finally:
                _libc.setns(home.fileno(), CLONE_NEWNET)

    @contextlib.contextmanager
    def process(self, name, *argv):
        """Runs a program in the controller's place for as long as the block lasts, its words in NAME.log. It dies with this
        process, and is on record for `down`."""
        (self.dir / "procs").mkdir(exist_ok=True)
        record = self.dir / "procs" / f"{name}.pid"
        with open(self.dir / f"{name}.log", "ab") as log:
            child = subprocess.Popen([str(a) for a in (HERE / "exec", "ctl", *argv)], stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, env=self.env, preexec_fn=_die_with_parent)
        record.write_text(f"{child.pid} {born(child.pid)} {pathlib.Path('/proc/sys/kernel/random/boot_id').read_text()}")
        try:
            yield child
        finally:
            child.kill()
            child.wait()
            record.unlink(missing_ok=True)

    # ── plain libvirt, to look at a host past the controller ──
    def uri(self, host):
        """A host's libvirt as reached from outside the lab, past all cables."""
        return f"qemu:///system?socket={self.dir}/sock/{host}"

    def virsh(self, host, *argv, seconds=30, uri=None):
        return command("virsh", "-q", "-c", uri or self.uri(host), *argv, seconds=seconds)

    def state(self, host, domain):
        return self.virsh(host, "domstate", domain)

    def serial(self, host, domain):
        """All that a guest has said on its serial console, of whichever start."""
        log = self.dir / "hosts" / host / "log-libvirt" / "qemu" / f"{domain}-serial.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def count(self, host, domain):
        """Where a micro guest's counter stands; 0 before its first."""
        counts = re.findall(r"^count (\d+)\r?$", self.serial(host, domain), re.M)
        return int(counts[-1]) if counts else 0

    def overlay(self, path, base, form):
        """A linked clone at path below the shared storage; base is relative to it."""
        (self.shared / path).parent.mkdir(parents=True, exist_ok=True)
        command("qemu-img", "create", "-q", "-f", "qcow2", "-b", os.path.relpath(base, pathlib.Path(path).parent), "-F", form,
                self.shared / path)

    def domain_xml(self, kind, name, **keys):
        """A file with the XML of a domain."""
        path = self.dir / f"{name}.xml"
        path.write_text(command(HERE / "dom-xml", kind, name, *[f"{k}={v}" for k, v in keys.items()]))
        return path


class Guest:
    """The inside of a Linux guest, asked through its agent by plain libvirt."""

    def __init__(self, lab, host, domain):
        self.lab, self.host, self.domain = lab, host, domain

    def ask(self, execute, seconds=5, **arguments):
        """What the agent returns; Failure while there is none."""
        question = json.dumps({"execute": execute, "arguments": arguments} if arguments else {"execute": execute})
        answer = self.lab.virsh(self.host, "qemu-agent-command", self.domain, question, "--timeout", seconds, seconds=seconds + 10)
        return json.loads(answer)["return"]

    def wait(self, seconds=180, boot=""):
        """Waits for that boot of the disk (any), at the serial console first: that costs the machine nothing."""
        until(lambda: re.search(f"^guest: ready \\S+ boot {boot}", self.lab.serial(self.host, self.domain), re.M),
              f'the guest "{self.domain}" is ready, boot {boot or "any"}', seconds)
        until(lambda: self.ask("guest-ping", seconds=1) == {}, f'the agent of "{self.domain}" answers')

    def status(self, *argv, text_in=None):
        """Runs a program, argv[0] being its path: (exit status, output)."""
        arguments = {"path": argv[0], "arg": list(argv[1:]), "capture-output": True}
        if text_in is not None:
            arguments["input-data"] = base64.b64encode(text_in.encode()).decode()
        pid = self.ask("guest-exec", **arguments)["pid"]
        state = {}

        def ended():
            state.update(self.ask("guest-exec-status", pid=pid))
            return state["exited"]
        until(ended, f"{shlex.join(argv)} ends in the guest")
        out = state.get("out-data", "") + state.get("err-data", "")
        return state.get("exitcode", 128 + state.get("signal", 0)), base64.b64decode(out).decode(errors="replace")

    def run(self, *argv, text_in=None):
        """The output of a program that must end well."""
        status, out = self.status(*argv, text_in=text_in)
        require(status == 0, f"{shlex.join(argv)} ended with {status} in the guest: {out.strip()}")
        return out.strip()

    def shell(self, text):
        return self.run("/bin/sh", "-c", text)

    def has(self, path):
        return self.status("/bin/ls", "-d", path)[0] == 0

    def boot_id(self):
        """Another one after each boot, the same after pause, save and restore."""
        return self.run("/bin/cat", "/proc/sys/kernel/random/boot_id")

    def boots(self):
        """How often this disk has been booted."""
        return int(self.run("/bin/cat", "/var/lib/boots"))

    def wait_reads_keys(self, program):
        """Waits until the program is in read(2) of its standard input: what is typed sooner it may throw away."""
        def reads():
            status, out = self.status("/bin/sh", "-c", f"cat /proc/$(pidof {program})/syscall")
            return status == 0 and out.startswith("0 0x0 ")
        until(reads, f"{program} waits for keys")

    def users(self):
        return {user["user"] for user in self.ask("guest-get-users")}


def guests():
    """The directory of the lab's guests, built if need be."""
    return pathlib.Path(command(HERE / "guest-build", seconds=600).splitlines()[-1])


def _end(number, _frame):
    sys.exit(128 + number)


def run(story):
    """Runs a story as a program: exit status 0 when nothing failed and something ran."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _end)  # an exit unwinds, and so removes the lab
    s = Story()
    try:
        story(s)
    except Stop:
        pass
    except Failure as e:
        s.failed += 1
        print(f"FAIL the story itself: {e}")
    for name, left in Lab.over:
        with s.check(f"nothing is left of {name}: no process, mount, namespace, cgroup or file"):
            equal(left, [], "what is left")
    print(f"{s.passed} passed, {s.failed} failed, {s.skipped} skipped")
    sys.exit(0 if s.passed + s.skipped and not s.failed else 1)
