#!/usr/bin/env python3
"""A Xen host with a card under the controller: the card found, a desktop that has it, the next one refused in numbers until it is freed, sarangd
killed, dom0 rebooted in use, and the card dom0's again. The host is the one that `build` made (make lab-xen does)."""
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "gpu")]
from gpuhost import GpuHost  # noqa: E402
from lab import PROJECT, Failure, command, equal, require, run, until  # noqa: E402
from product import LOCAL, Product, missing  # noqa: E402

CARD, TYPE = "0000:01:00.0", "whole:1234:1111"


class XenHost(GpuHost):
    scripts, out, alias, scheme = HERE, PROJECT / "build" / "xenhost", "xenhost", "xen"

    def key(self):
        """The fingerprint of the host's own key."""
        return command("ssh-keygen", "-lf", self.run / "known_hosts").split()[1]

    def driver(self):
        """Who has the card in dom0."""
        return self.on(f"basename $(readlink /sys/bus/pci/devices/{CARD}/driver)").strip()


def card(sarang):
    return next(sarang.show("gpu", c["name"]) for c in sarang("gpu", "list") if c["address"] == CARD)


def enrol(s, host, sarang):
    with s.check("the host is enrolled, and its card is found whole, with dom0's driver on it", needed=True):
        sarang("host", "add", "xen0", uri=host.uri("xen0"), ssh_address="127.0.0.1", ssh_port=host.ssh, ssh_key=host.out / "id_ed25519",
               ssh_host_key=host.key())
        sarang.wait("host", "xen0", state="up", seconds=120)
        found = sarang.wait_count("gpu", 1, host="xen0", state="ready", seconds=90)[0]
        equal((found["address"], found["backend"], found["used"]), (CARD, "whole", 0), "the card")
        equal(host.driver(), "bochs-drm", "its driver")


def prepare(s, host, sarang):
    with s.check("an image with a kernel, a template of a PV guest, and the class", needed=True):
        disk = host.dir / "tiny.img"
        disk.write_bytes(bytes(1 << 20))  # the guest boots by its kernel and never reads it
        sarang("storage", "add", "local", path=LOCAL, hosts=["xen0"])
        sarang("image", "import", "tiny", disk, "--wait=120", format="raw", storages=["local"], kernel=f"{LOCAL}/vmlinux",
               initrd=f"{LOCAL}/domu.img")
        sarang("gpu-class", "add", "whole", accepts=[TYPE])
        sarang("template", "add", "tiny", HERE / "tiny.xml")


def pool(sarang, name):
    sarang("pool", "create", name, template="tiny", image="tiny", storages=["local"], personalise="none", min=1, max=1)


def has_it(host, sarang, name):
    """The desktop of that pool runs with the card: its guest said so."""
    desktop = sarang.wait_count("desktop", 1, pool=name, state="available", seconds=400)[0]["name"]
    held = sarang.list("vgpu", state="attached")
    equal([(v["desktop"], v["address"]) for v in held], [(desktop, CARD)], "claims")
    equal(host.driver(), "pciback", "who has the card in dom0")
    require(CARD in host.on(f"xl pci-list sarang-{desktop}"), "Xen does not know it")
    return desktop


def given(s, host, sarang):
    with s.check("a desktop runs with the card, and its guest has found it", needed=True):
        pool(sarang, "cad")
        has_it(host, sarang, "cad")
    with s.check("the next desktop is refused, in numbers"):
        pool(sarang, "late")
        why = json.dumps(until(lambda: (sarang.show("pool", "late").get("error") or {}).get("code") and sarang.show("pool", "late")["error"],
                               "the pool says why", 60))
        for words in ("1 claimed by us", CARD):
            require(words in why, f"\"{words}\" is not in {why}")


def killed(s, host, sarang):
    with s.check("sarangd killed: the desktop keeps its card"):
        sarang.kill()
        sarang.start()
        sarang.wait("host", "xen0", state="up", seconds=120)
        has_it(host, sarang, "cad")


def freed(s, host, sarang):
    with s.check("the pool is deleted: the desktop that waited gets the card"):
        sarang("pool", "delete", "cad")
        has_it(host, sarang, "late")


def rebooted(s, host, sarang):
    with s.check("dom0 boots again under a desktop with the card: it has it again"):
        host.on("sync")
        host.stop()
        host.boot()
        sarang.wait("host", "xen0", state="up", seconds=240)
        has_it(host, sarang, "late")


def end(s, host, sarang):
    with s.check("the last pool is deleted: dom0's driver has the card, and no claim is left"):
        sarang("pool", "delete", "late")
        sarang.wait_count("desktop", 0, seconds=180)
        until(lambda: not sarang("vgpu", "list"), "no claim is left", 90)
        equal(host.driver(), "bochs-drm", "its driver")
        equal((card(sarang)["used"], card(sarang)["foreign_parts"]), (0, 0), "parts in use, and foreign ones")


def story(s):
    require(not missing(), f"not built yet: {', '.join(missing())}")
    with XenHost() as host, Product(host) as sarang:
        try:
            for step in (enrol, prepare, given, killed, freed, rebooted, end):
                step(s, host, sarang)
        finally:
            if s.failed:
                print((host.dir / "sarangd.log").read_text(errors="replace")[-6000:])


run(story)
