#!/usr/bin/env python3
"""kill -9 of sarangd, and of the host's libvirtd, at each step of claiming a part for a desktop and of releasing it. Whatever was killed: the desktop
gets one part and runs with it, or is gone and its part with it; what others made on the card stays as it was."""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from gpuhost import MBOCHS, GpuHost  # noqa: E402
from kills import kill_at, steps_of_tasks  # noqa: E402
from lab import Failure, equal, require, run, until  # noqa: E402
from product import LOCAL, Product, missing  # noqa: E402

LARGE = "vgpu_mbochs-large"
FOREIGN = "f1f1f1f1-0000-4000-8000-000000000001"
NO_GUEST_USE = ("seed",)  # the guest has none: the step is passed over
GONE_BY = {"provision": "made", "destroy": "gone"}


def prepare(s, host, sarang):
    with s.check("a host with cards, what others made on one, an empty pool", needed=True):
        sarang("host", "add", "gpu0", uri=host.uri("gpu0"), console_address=host.consoles)
        sarang.wait("host", "gpu0", state="up", seconds=120)
        sarang.wait_count("gpu", 3, host="gpu0", seconds=90)
        host.mdev_made(MBOCHS, LARGE, FOREIGN)
        disk = host.dir / "tiny.img"
        disk.write_bytes(bytes(1 << 20))
        sarang("storage", "add", "local", path=LOCAL, hosts=["gpu0"])
        sarang("image", "import", "tiny", disk, "--wait=120", format="raw", storages=["local"], kernel=f"{LOCAL}/tiny.elf")
        sarang("gpu-class", "add", "large", accepts=[LARGE])
        sarang("template", "add", "tiny", HERE / "tiny.xml")
        sarang("pool", "create", "cad", template="tiny", image="tiny", storages=["local"], personalise="none", min=0, max=1)


def made(host, sarang):
    """One desktop that runs with the one part it claimed, and nothing else of ours on the host."""
    def whole():
        desktops = sarang.list("desktop", state="available")
        held = sarang.list("vgpu")
        equal((len(desktops), len(sarang.list("desktop"))), (1, 1), "desktops available, and in all")
        equal([(v["state"], v["desktop"]) for v in held], [("attached", desktops[0]["name"])], "the claims")
        equal(host.mdevs(), {held[0]["uuid"], FOREIGN}, "what the host has")
        domains = host.on("virsh -q list --name").split()
        equal(domains, [sarang.domain(desktops[0]["name"])], "domains that run")
        require(held[0]["uuid"] in host.on(f"virsh -q dumpxml {domains[0]}"), "it runs without its part")
        return True
    until(whole, "one desktop with one part", 300)


def gone(host, sarang):
    def nothing():
        equal((sarang.list("desktop"), sarang.list("vgpu")), ([], []), "desktops and claims")
        equal(host.mdevs(), {FOREIGN}, "what the host has")
        equal(host.on("virsh -q list --all --name").split(), [], "domains")
        return True
    until(nothing, "nothing of ours", 200)


def round_trip(s, host, sarang, victim, points):
    """Making a desktop and taking it away again; points: (kind of task, step) at which the victim is killed. Returns those at which it was."""
    killed = set()
    acts = {"provision": lambda: sarang("pool", "change", "cad", min=1), "destroy": lambda: (sarang("pool", "change", "cad", min=0), retire(sarang))}
    settles = {"provision": made, "destroy": gone}
    for kind, act in acts.items():
        steps = [step for k, step in points if k == kind]
        with s.check(f"{victim} is killed at {', '.join(steps) or 'no step'} of {kind}: the part is {GONE_BY[kind]}, once"):
            before = host.libvirtd()
            killed |= {(kind, step) for step in kill_at(sarang, kind, steps, act, host.libvirtd_dies if victim == "libvirtd" else None)}
            if victim == "libvirtd" and killed:
                until(lambda: host.libvirtd() != before, "libvirtd was killed and is another one", 60)
            settles[kind](host, sarang)
    return killed


def retire(sarang):
    for d in sarang.list("desktop"):
        sarang("desktop", "retire", d["name"])


def story(s):
    if missing():
        raise Failure(f"not built yet: {', '.join(missing())}")
    steps_of = steps_of_tasks()
    points = [(kind, step) for kind in ("provision", "destroy") for step in steps_of[kind] if step not in NO_GUEST_USE]
    with GpuHost("kill") as host, Product(host) as sarang:
        try:
            prepare(s, host, sarang)
            for victim in ("sarangd", "libvirtd"):
                killed = round_trip(s, host, sarang, victim, points)
                for point in [p for p in points if p not in killed]:
                    killed |= round_trip(s, host, sarang, victim, [point])
                with s.check(f"{victim} was killed at each step of claim and release"):
                    equal([p for p in points if p not in killed], [], "steps that were over each time before the kill came")
        finally:
            if s.failed:
                print((host.dir / "sarangd.log").read_text(errors="replace")[-6000:])


run(story)
