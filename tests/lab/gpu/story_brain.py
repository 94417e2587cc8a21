#!/usr/bin/env python3
"""A host with graphics cards under the controller: cards found, a pool of GPU desktops, the limit told in numbers, a part freed and given
to the next, what others made left alone, and a reboot of the host. The host is the one that `build` made (make lab-gpu does)."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from lab import BUILD, PROJECT, Failure, Story, Stop, _die_with_parent, _end, command, equal, require, until  # noqa: E402
from product import LOCAL, Product, missing  # noqa: E402

OUT = PROJECT / "build" / "gpuhost"
MBOCHS, MDPY = "0000:00:0a.0", ("0000:00:08.0", "0000:00:09.0")
LARGE = "vgpu_mbochs-large"
FOREIGN = ["f1f1f1f1-0000-4000-8000-00000000000%d" % n for n in range(4)]
BOOT_S = 300


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class GpuHost:
    """The emulated machine, and the place of a controller beside it: what Product asks of a lab."""

    def __init__(self):
        self.name = f"brain{os.getpid()}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sarang-gpu-"))
        self.run = OUT / "run" / self.name
        self.shared, self.env, self.up = self.dir / "shared", dict(os.environ), False
        self.ssh, self.tcp = free_port(), free_port()
        self.boot_env = os.environ | {"OUT": str(OUT), "NAME": self.name, "PORT": str(self.ssh), "FWD": f"{self.tcp}:16509", "WAIT": str(BOOT_S),
                                      "DISK": str(self.run / "kept.qcow2"), "FMT": "qcow2", "SNAPSHOT": "off"}

    def __enter__(self):
        self.shared.mkdir()
        self.run.mkdir(parents=True)
        command("qemu-img", "create", "-q", "-f", "qcow2", "-b", OUT / "root.img", "-F", "raw", self.run / "kept.qcow2")
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

    def boot(self):
        command(HERE / "boot", seconds=BOOT_S + 30, env=self.boot_env)

    def stop(self):
        command(HERE / "stop", seconds=60, env=self.boot_env)

    def on(self, words, seconds=60):
        return command("ssh", "-F", self.run / "ssh_config", "gpuhost", words, seconds=seconds)

    def address(self, _host):
        return "127.0.0.1"

    def uri(self, _host):
        return f"qemu+tcp://127.0.0.1:{self.tcp}/system"

    def mdevs(self):
        """UUIDs of the mediated devices that the host has."""
        return set(self.on("ls /sys/bus/mdev/devices").split())

    @contextlib.contextmanager
    def process(self, name, *argv):
        with open(self.dir / f"{name}.log", "ab") as log:
            child = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent)
        try:
            yield child
        finally:
            child.kill()
            child.wait()


def make_foreign(host, card, kind, uuids):
    for uuid in uuids:
        host.on(f"echo {uuid} > /sys/bus/pci/devices/{card}/mdev_supported_types/{kind}/create")


def remove_foreign(host, uuid):
    host.on(f"echo 1 > /sys/bus/mdev/devices/{uuid}/remove")


def claims(sarang, **wanted):
    return sarang.list("vgpu", **wanted)


def enrol(s, host, sarang):
    with s.check("the host is enrolled, and its three cards are found with their types", needed=True):
        sarang("host", "add", "gpu0", uri=host.uri("gpu0"), console_address="127.0.0.1")
        sarang.wait("host", "gpu0", state="up", seconds=120)
        cards = sarang.wait_count("gpu", 3, host="gpu0", seconds=90)
        equal(sorted(c["address"] for c in cards), sorted([*MDPY, MBOCHS]), "the cards")
        equal({(c["backend"], c["state"], c["used"]) for c in cards}, {("mdev", "ready", 0)}, "back end, state and parts in use")
        large = next(t for c in cards for t in sarang.show("gpu", c["name"])["types"] if t["id"] == LARGE)
        require(large["free"] > 0, f"{LARGE} is {large}")
    return large["free"]


def prepare(s, host, sarang):
    with s.check("an image, a template that names a class, and the class", needed=True):
        disk = host.dir / "tiny.img"
        disk.write_bytes(bytes(1 << 20))  # the guest boots by its kernel and never reads it
        sarang("storage", "add", "local", path=LOCAL, hosts=["gpu0"])
        sarang("image", "import", "tiny", disk, "--wait=120", format="raw", storages=["local"], kernel=f"{LOCAL}/tiny.elf")
        sarang("gpu-class", "add", "large", accepts=[LARGE])
        sarang("template", "add", "tiny", HERE / "tiny.xml")


def one_card(sarang):
    return next(sarang.show("gpu", c["name"]) for c in sarang("gpu", "list") if c["address"] == MBOCHS)


def two_desktops(s, host, sarang):
    # available = the guest said on its serial line that it has found the part and drawn on it
    with s.check("a pool of two GPU desktops: each runs with a part of its own, and its guest has found it", needed=True):
        sarang("pool", "create", "cad", template="tiny", image="tiny", storages=["local"], personalise="none", min=2, max=2)
        sarang.wait_count("desktop", 2, pool="cad", state="available", seconds=240)
        held = claims(sarang, state="attached")
        equal(sorted(v["desktop"] for v in held), sorted(d["name"] for d in sarang.list("desktop", pool="cad")), "whose the claims are")
        equal({v["uuid"] for v in held}, host.mdevs(), "what the host has")
        for v in held:
            xml = host.on(f"virsh -q dumpxml sarang-{v['desktop']}")
            require(v["uuid"] in xml, f"{v['desktop']} runs without {v['uuid']}")
        equal((one_card(sarang)["used"], one_card(sarang)["foreign_parts"]), (2, 0), "parts in use, and foreign ones")


def limit(s, host, sarang, most):
    others = FOREIGN[:most - 2]
    with s.check("others make parts behind our back: they are counted"):
        make_foreign(host, MBOCHS, LARGE, others)
        until(lambda: one_card(sarang)["foreign_parts"] == len(others), "the card shows them", 40)
    with s.check("the card is full: a third desktop is refused, card by card, in numbers"):
        sarang("pool", "create", "late", template="tiny", image="tiny", storages=["local"], personalise="none", min=1, max=1)
        why = until(lambda: (sarang.show("pool", "late").get("error") or {}).get("code") and sarang.show("pool", "late")["error"],
                    "the pool says why", 60)
        said = json.dumps(why)
        for words in (f"{LARGE}: 0 free now, 2 claimed by us, {len(others)} foreign", MBOCHS, *MDPY, "no type of the class"):
            require(words in said, f"\"{words}\" is not in {said}")
        equal(sarang.list("desktop", pool="late"), [], "desktops made all the same")
    return others


def freed(s, host, sarang, others):
    with s.check("one is freed: the desktop that waited gets it"):
        sarang("pool", "change", "cad", "--min=1", "--max=1")
        sarang.wait_count("desktop", 1, pool="late", state="available", seconds=240)
        equal(len(claims(sarang, state="attached")), 2, "claims in use")
    with s.check("what others made is there still, and nothing else"):
        until(lambda: host.mdevs() == {v["uuid"] for v in claims(sarang)} | set(others), "host and claims agree", 60)
    with s.check("others remove theirs: that is seen without waiting for the next poll"):
        remove_foreign(host, others[0])
        until(lambda: one_card(sarang)["foreign_parts"] == len(others) - 1, "the card shows it", 15)


def killed(s, host, sarang):
    with s.check("sarangd is killed while a desktop is made: no part is lost, doubled or left behind"):
        sarang("pool", "change", "cad", "--min=2", "--max=2")
        until(lambda: len(claims(sarang)) == 3, "a third claim", 60)
        sarang.kill()
        sarang.start()
        sarang.wait_count("desktop", 2, pool="cad", state="available", seconds=300)
        until(lambda: len([u for u in host.mdevs() if u not in FOREIGN]) == 3, "three parts of ours", 30)
        equal({u for u in host.mdevs() if u not in FOREIGN}, {v["uuid"] for v in claims(sarang, state="attached")}, "what the host has of ours")


def rebooted(s, host, sarang):
    with s.check("the host loses power and comes back: parts are made again, desktops run with them"):
        host.on("sync")
        before = {v["name"] for v in claims(sarang)}
        host.stop()
        sarang.wait("host", "gpu0", state="unreachable", seconds=120)
        host.boot()
        sarang.wait("host", "gpu0", state="up", seconds=240)
        sarang.wait_count("desktop", 2, pool="cad", state="available", seconds=300)
        sarang.wait_count("desktop", 1, pool="late", state="available", seconds=300)
        held = claims(sarang, state="attached")
        equal(len(held), 3, "claims in use")
        equal({v["uuid"] for v in held}, host.mdevs(), "what the host has")
        require(before, "nothing was claimed before")
    with s.check("cards and claims agree"):
        until(lambda: not any(c.get("error") for c in sarang("gpu", "list")), "no card differs", 60)


def end(s, host, sarang):
    with s.check("deleted pools free every part"):
        for pool in ("cad", "late"):
            sarang("pool", "delete", pool)
        sarang.wait_count("desktop", 0, seconds=120)
        until(lambda: not claims(sarang), "no claim is left", 90)
        equal(host.mdevs(), set(), "what the host has")


def story(s):
    with GpuHost() as host, Product(host) as sarang:
        try:
            most = enrol(s, host, sarang)
            prepare(s, host, sarang)
            two_desktops(s, host, sarang)
            others = limit(s, host, sarang, most)
            freed(s, host, sarang, others)
            for uuid in others[1:]:
                remove_foreign(host, uuid)
            killed(s, host, sarang)
            rebooted(s, host, sarang)
            end(s, host, sarang)
        finally:
            if s.failed:
                print((host.dir / "sarangd.log").read_text(errors="replace")[-6000:])


def main():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _end)  # an exit unwinds, and so ends the machine
    s = Story()
    require(not missing(), f"not built yet: {', '.join(missing())}")
    try:
        story(s)
    except Stop:
        pass
    except Failure as e:
        s.failed += 1
        print(f"FAIL the story itself: {e}")
    print(f"{s.passed} passed, {s.failed} failed, {s.skipped} skipped")
    sys.exit(0 if s.passed and not s.failed else 1)


main()
