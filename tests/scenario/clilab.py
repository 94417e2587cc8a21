"""What the command line's scenarios stand on: sarangd as it ships, on a fake host, and sarang as a person types it."""
import grp
import json
import os
import pathlib
import pty
import select
import shlex
import signal
import subprocess
import tempfile
import time

from gatewaylab import SLOW, eventually

BUILD = pathlib.Path(os.environ.get("B", "build/release")).resolve()
# GIO hands a TLS session from thread to thread by futexes inside libraries that ThreadSanitizer does not see into, and GnuTLS frees there
os.environ.setdefault("TSAN_OPTIONS", "ignore_noninstrumented_modules=1")
PROJECT = pathlib.Path(__file__).resolve().parents[2]


class Answer:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"status {self.status}\n{self.out}\n{self.err}"


class Place:
    """A controller of its own in a temporary folder; called, it is the command line."""

    def __init__(self, *sets, **env):
        self.sets, self.daemon = sets, None
        self.home = tempfile.TemporaryDirectory(prefix="sarang-cli-")
        self.folder = pathlib.Path(self.home.name)
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("SARANG_", "LC_", "LANG", "NO_COLOR"))}
        self.env = keep | {"SARANG_SOCKET": f"{self.folder}/api.sock", "XDG_CONFIG_HOME": f"{self.folder}/config", "HOME": str(self.folder),
                           "LANG": "C.UTF-8", "PATH": f"{BUILD}:{os.environ['PATH']}"} | env

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.home.cleanup()

    def start(self):
        group = grp.getgrgid(os.getgid()).gr_name
        sets = [f"state.directory={self.folder}/state", f"http.socket={self.folder}/api.sock", f"http.gateway_socket={self.folder}/gateway.sock",
                f"http.group={group}", f"http.gateway_group={group}", "log.level=error", *self.sets]
        words = [w for s in sets for w in ("--set", s)]
        self.daemon = subprocess.Popen([BUILD / "sarangd", *words], stderr=open(self.folder / "sarangd.log", "a", encoding="utf-8"))
        eventually(lambda: self.daemon.poll() is None and self("status").status == 0, 20, "sarangd answers")

    def stop(self):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait(60)

    def __call__(self, *words, text="", **env):
        done = subprocess.run([BUILD / "sarang", *words], input=text, capture_output=True, text=True, timeout=60 * SLOW, check=False,
                              env=self.env | env, cwd=self.folder)
        return Answer(done.returncode, done.stdout, done.stderr)

    def type(self, line, **more):
        """As typed: sarang.type("pool list")."""
        return self(*shlex.split(line), **more)

    def ok(self, line, **more):
        answer = self.type(line, **more)
        assert answer.status == 0, f"sarang {line}: {answer}"
        return answer

    def process(self, line, **env):
        """A command that goes on by itself."""
        return subprocess.Popen([BUILD / "sarang", *shlex.split(line)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self.env | env, cwd=self.folder)

    def on_terminal(self, line, until=None, typed=(), **env):
        """What a terminal shows of a command, and its status; Ctrl-C is pressed once `until` was shown. typed: (prompt, line) in their order."""
        typed, answered = list(typed), 0
        pid, fd = pty.fork()
        if not pid:
            os.chdir(self.folder)
            os.execve(BUILD / "sarang", ["sarang", *shlex.split(line)], self.env | {"TERM": "xterm"} | env)
        shown, end = b"", time.monotonic() + 30 * SLOW
        while time.monotonic() < end:
            if not select.select([fd], [], [], 0.2)[0]:
                continue
            try:
                part = os.read(fd, 4096)
            except OSError:  # its end
                break
            shown += part
            if not part:
                break
            if typed and typed[0][0].encode() in shown[answered:]:
                answered = len(shown)
                os.write(fd, typed.pop(0)[1].encode() + b"\n")
            if until and until.encode() in shown:
                os.kill(pid, signal.SIGINT)
                until = None
        else:
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(fd)
        return Answer(status, shown.decode(), "")

    def command_host(self, line, host="h1"):
        """A command to the fake host; see drivers/hypervisor/fake.h."""
        with open(self.folder / f"{host}.control", "a", encoding="utf-8") as f:
            f.write(line + "\n")

    def enrol(self, boot_ms=0, name="h1", uri=""):
        (self.folder / f"{name}.control").touch()
        self.ok(f"host add {name} --uri 'fake:{name}?boot_ms={boot_ms}&control={self.folder}/{name}.control{uri}' --wait=20")

    def furnish(self, boot_ms=0, spare=1, most=3, uri=""):
        """A host, a storage, an image, a template, a person and a pool: what a first desktop needs."""
        self.enrol(boot_ms, uri=uri)
        (self.folder / "disk").mkdir()
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.folder / "linux.qcow2", "16M"], check=True)
        self.ok(f"storage add disk --path {self.folder}/disk --controller-path {self.folder}/disk --hosts h1")
        self.ok("image import linux ./linux.qcow2 --format qcow2 --storages disk --wait=30")
        self.ok(f"template add linux-cli {PROJECT}/templates/linux-cli.xml")
        self.ok("user add jihye --title 김지혜 --password", text="correct horse battery\n")
        self.ok(f"pool create cad --template linux-cli --image linux --spare {spare} --max {most}")

    def wait_for(self, noun, name, seconds=20, **wanted):
        def there():
            answer = self("--quiet", noun, "show", name, "-o", "json")
            return answer.status == 0 and all(answer.json().get(k) == v for k, v in wanted.items())
        eventually(there, seconds, f"{noun} {name} is {wanted}")
