#!/usr/bin/env python3
"""Desktops are made on shared and on local storage, stand on their image without ever writing it, and leave nothing."""
from lab import Lab, equal, refused, require, run, until
from product import LOCAL, SHARED, Product, file_hash, missing

HOSTS = ("host1", "host2")
DESKTOPS = 4


def volumes(lab, host, directory):
    """Names in a directory of a host, as that host sees it."""
    return set(lab.exec(host, "ls", directory).split())


def backing(lab, host, path):
    lines = lab.exec(host, "qemu-img", "info", "-U", path).splitlines()
    return next((line.split(": ")[1].split(" (")[0] for line in lines if line.startswith("backing file:")), None)


def prepare(s, sarang):
    with s.check("two hosts, shared and local storage, an image on all of them", needed=True):
        for host in HOSTS:
            sarang.enrol(host)
            sarang.add_local(host)
        sarang.add_shared()
        sarang.add_guest("micro", ["shared", "host1-local", "host2-local"])


def check_pool(s, lab, sarang, pool, storages, directory):
    with s.check(f"{pool}: {DESKTOPS} desktops become available"):
        sarang("pool", "create", pool, template="micro", image="micro", storages=storages, personalise="none", min=DESKTOPS,
               max=DESKTOPS)
        desktops = sarang.wait_count("desktop", DESKTOPS, pool=pool, state="available")
    with s.check(f"{pool}: each runs once, on the host it is said to be on, as ours"):
        for d in desktops:
            domain = sarang.domain(d["name"])
            equal([h for h in HOSTS if domain in sarang.domains(h)], [d["host"]], f"the hosts of {domain}")
            equal(lab.state(d["host"], domain), "running", f"the state of {domain}")
            require(d["name"] in lab.virsh(d["host"], "dumpxml", domain, "--xpath", "//metadata"), f"{domain} has no mark of ours")
    with s.check(f"{pool}: each disk is an overlay of its own on the image"):
        for d in desktops:
            disk = f"{directory}/{volume(lab, d, directory, '.g1.qcow2')}"
            equal(backing(lab, d["host"], disk), f"{directory}/{image_volume(sarang)}", f"what {disk} stands on")
    return desktops


def image_volume(sarang):
    """The image's file: its name holds the controller's hash, too."""
    return sarang("image", "show", "micro@1")["volume"]


def volume(lab, desktop, directory, end):
    """The one volume of a desktop: its name holds the controller's hash."""
    found = [v for v in volumes(lab, desktop["host"], directory) if v.startswith(desktop["name"] + "-") and v.endswith(end)]
    equal(len(found), 1, f"the volumes {desktop['name']}-*{end}")
    return found[0]


def check_shared(s, lab, sarang):
    image = lab.shared / "sarang" / image_volume(sarang)
    before = file_hash(image)
    desktops = check_pool(s, lab, sarang, "on-shared", ["shared"], SHARED)
    with s.check("both hosts carry some"):
        equal({d["host"] for d in desktops}, set(HOSTS), "the hosts used")
    with s.check("the image is as it was, though all have written"):
        for d in desktops:
            domain = sarang.domain(d["name"])
            lab.virsh(d["host"], "reset", domain)  # micro writes its disk at each boot
        until(lambda: all((lab.shared / "sarang" / volume(lab, d, SHARED, ".g1.qcow2")).stat().st_size > 200 << 10 for d in desktops),
              "each overlay has grown")
        equal(file_hash(image), before, "the image's hash")
        require(image.stat().st_mode & 0o222 == 0, "the image can be written")
    with s.check("it cannot be removed while desktops stand on it"):
        with refused(status=5):
            sarang("image", "remove", "micro@1")


def check_local(s, lab, sarang):
    desktops = check_pool(s, lab, sarang, "on-local", ["host1-local", "host2-local"], LOCAL)
    with s.check("each has its disk on its own host alone"):
        for d in desktops:
            disk = volume(lab, d, LOCAL, ".g1.qcow2")
            equal([h for h in HOSTS if disk in volumes(lab, h, LOCAL)], [d["host"]], f"the hosts that have {disk}")


def check_copy(s, lab, sarang):
    with s.check("a full copy stands on nothing"):
        sarang("pool", "create", "copies", template="micro", image="micro", storages=["shared"], personalise="none", disk="copy",
               min=1, max=1)
        d = sarang.wait_count("desktop", 1, pool="copies", state="available")[0]
        equal(backing(lab, d["host"], f"{SHARED}/{volume(lab, d, SHARED, '.g1.raw')}"), None, "what it stands on")


def check_end(s, lab, sarang):
    with s.check("deleted pools leave no desktop, domain or disk"):
        for pool in ("on-shared", "on-local", "copies"):
            sarang("pool", "delete", pool)
        sarang.wait_count("desktop", 0)
        sarang.wait_count("pool", 0)
        for host in HOSTS:
            equal(sarang.domains(host), set(), f"domains left on {host}")
            equal(volumes(lab, host, LOCAL), {image_volume(sarang)}, f"files left on {host}")
        equal(volumes(lab, "host1", SHARED), {image_volume(sarang)}, "files left on shared storage")
    with s.check("then the image goes, everywhere"):
        sarang("image", "remove", "micro@1")
        sarang.wait_count("image", 0)
        for host in HOSTS:
            equal(volumes(lab, host, LOCAL), set(), f"files left on {host}")


def story(s):
    if missing():
        s.skip("desktops are made", f"not built yet: {', '.join(missing())}")
        return
    with Lab("provision") as lab, Product(lab) as sarang:
        prepare(s, sarang)
        check_shared(s, lab, sarang)
        check_local(s, lab, sarang)
        check_copy(s, lab, sarang)
        check_end(s, lab, sarang)


run(story)
