"""The GPU host under emulation as stories and the demonstration see it: booted from the image that `build` made, its hardware looked at by SSH, its
consoles reached on an address of this machine's loopback that is also one of its own."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from lab import PROJECT, Failure, _die_with_parent, command, until  # noqa: E402

OUT = PROJECT / "build" / "gpuhost"
MBOCHS, MDPY = "0000:00:0a.0", ("0000:00:08.0", "0000:00:09.0")
BOOT_S, CONSOLES = 300, 6


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class GpuHost:
    """The emulated machine, and the place of a controller beside it: what Product asks of a lab."""
    scripts, out, alias, scheme = HERE, OUT, "gpuhost", "qemu"

    def __init__(self, name="brain"):
        number = os.getpid()
        self.name = f"{name}{number}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sarang-gpu-"))
        self.run = self.out / "run" / self.name
        self.shared, self.env, self.up = self.dir / "shared", os.environ | {"LAB_NET": "127.0.0"}, False
        self.ssh, self.tcp = free_port(), free_port()
        self.consoles = f"127.{64 + number // 65536 % 64}.{number // 256 % 256}.{number % 254 + 1}"
        self.boot_env = os.environ | {"OUT": str(self.out), "NAME": self.name, "PORT": str(self.ssh), "FWD": f"{self.tcp}:16509", "WAIT": str(BOOT_S),
                                      "DISK": str(self.run / "kept.qcow2"), "FMT": "qcow2", "SNAPSHOT": "off"}
        self.children = contextlib.ExitStack()

    def __enter__(self):
        self.shared.mkdir()
        self.run.mkdir(parents=True)
        command("qemu-img", "create", "-q", "-f", "qcow2", "-b", self.out / "root.img", "-F", "raw", self.run / "kept.qcow2")
        try:
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    # ── power ──
    def boot(self):
        command(self.scripts / "boot", seconds=BOOT_S + 30, env=self.boot_env)
        self.shell = self.children.enter_context(self.child("sh", stdin=subprocess.PIPE))
        forwards = [word for port in range(5900, 5900 + CONSOLES) for word in ("-L", f"{self.consoles}:{port}:{self.consoles}:{port}")]
        self.children.enter_context(self.child("-N", "-o", "ExitOnForwardFailure=yes", *forwards, stdin=subprocess.DEVNULL))
        until(lambda: self.connect(self.consoles, 5900).close() is None, "consoles are forwarded", 60)

    def stop(self):
        self.children.close()
        command(self.scripts / "stop", seconds=60, env=self.boot_env)

    # ── the inside ──
    def on(self, words, seconds=60):
        return command("ssh", "-F", self.run / "ssh_config", self.alias, words, seconds=seconds)

    @contextlib.contextmanager
    def child(self, *words, stdin):
        """An ssh of its own to the host, ended with it."""
        head = [words[0], *words[1:], self.alias] if words[0].startswith("-") else [self.alias, *words]
        argv = ["ssh", "-F", str(self.run / "ssh_config"), "-S", "none", *head]
        child = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        try:
            yield child
        finally:
            child.kill()
            child.wait()

    def libvirtd_dies(self):
        """kill -9 at this moment, through a shell that waits for it; it is started again at once."""
        self.shell.stdin.write(b"kill -9 $(cat /run/libvirtd.pid); rm -f /run/libvirtd.pid; libvirtd -d --listen </dev/null >/dev/null 2>&1\n")
        self.shell.stdin.flush()

    def libvirtd(self):
        """The pid of the libvirtd that runs, as text."""
        return self.on("cat /run/libvirtd.pid")

    def mdevs(self):
        """UUIDs of the mediated devices that the host has."""
        return set(self.on("ls /sys/bus/mdev/devices").split())

    def mdev_made(self, card, kind, uuid):
        self.on(f"echo {uuid} > /sys/bus/pci/devices/{card}/mdev_supported_types/{kind}/create")

    def mdev_removed(self, uuid):
        self.on(f"echo 1 > /sys/bus/mdev/devices/{uuid}/remove")

    # ── what Product asks of a lab ──
    def address(self, _host):
        return "127.0.0.1"

    def uri(self, _host):
        return f"{self.scheme}+tcp://127.0.0.1:{self.tcp}/system"

    def connect(self, address, port, seconds=30):
        try:
            return socket.create_connection((address, port), timeout=seconds)
        except OSError as e:
            raise Failure(f"no connection to {address}:{port}: {e}") from None

    @contextlib.contextmanager
    def process(self, name, *argv):
        with open(self.dir / f"{name}.log", "ab") as log:
            child = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent)
        try:
            yield child
        finally:
            child.kill()
            child.wait()
