#!/usr/bin/env python3
"""Hosts are enrolled by every way to a libvirt; what was there before stays untouched; what cannot be is refused with a reason."""
import shutil

from lab import Lab, equal, guests, refused, require, run
from product import Product, missing

WAYS = ("tcp", "tls", "unix")


def check_ways(s, lab, sarang):
    for way in WAYS:
        with s.check(f"a host is enrolled by {way}, and tells what it is"):
            host = sarang.enrol("host1", way)
            wanted = {"uuid": (lab.dir / "hosts" / "host1" / "uuid").read_text().strip(), "hostname": "host1", "virt_type": "qemu"}
            equal({k: host.get(k) for k in wanted}, wanted, "the host")
            require(host["host_cpus"] > 0 and host["host_memory_mib"] > 0, "it does not tell its CPUs and memory")
            sarang("host", "remove", "host1")
        with s.check(f"it is forgotten ({way})"):
            equal(sarang.list("host"), [], "the hosts")
            with refused(status=3):
                sarang.show("host", "host1")


def check_foreign(s, lab, sarang):
    """A domain and a file of somebody else."""
    shutil.copy(guests() / "micro.img", lab.shared)
    lab.overlay("theirs/a.qcow2", "micro.img", "raw")
    lab.virsh("host2", "define", lab.domain_xml("micro", "theirs", disk="/srv/shared/theirs/a.qcow2"))
    lab.virsh("host2", "start", "theirs")
    with s.check("two hosts stand side by side"):
        for host, way in (("host1", "tls"), ("host2", "tcp")):
            sarang.enrol(host, way)
        equal({h["name"] for h in sarang.list("host", state="up")}, {"host1", "host2"}, "hosts that are up")
    with s.check("a domain that is not ours runs on, and is nobody's desktop"):
        equal(lab.state("host2", "theirs"), "running", "its state")
        equal(sarang.list("desktop"), [], "the desktops")


def check_refusals(s, lab, sarang):
    with s.check("a name that is taken is a conflict"):
        with refused("exists", status=5):
            sarang("host", "add", "host1", uri=sarang.uri("host1"))
    for name, uri, words in (("bad-uri", "no-uri-at-all", ""), ("../x", "qemu:///system", "name")):
        with s.check(f"{name} with {uri} is refused"):
            with refused(words, status=2):
                sarang("host", "add", name, uri=uri)
    with s.check("a host by its name, whose screens nobody knows the way to, is refused"):
        with refused("console-address", status=2):
            sarang("host", "add", "host3", uri=sarang.uri("host2"))
    with s.check("a host that does not answer is added, and says why it is not up"):
        lab.script("host-off", "host2")
        sarang("host", "remove", "host2")
        sarang("host", "add", "host2", uri=sarang.uri("host2"), console_address=lab.address("host2"))
        host = sarang.wait("host", "host2", state="unreachable")
        require(host.get("error"), "it gives no reason")
    with s.check("it is up once it is powered on"):
        lab.script("host-up", "host2")
        sarang.wait("host", "host2", state="up", seconds=60)


def story(s):
    if missing():
        s.skip("hosts are enrolled", f"not built yet: {', '.join(missing())}")
        return
    with Lab("enrol") as lab, Product(lab) as sarang:
        check_ways(s, lab, sarang)
        check_foreign(s, lab, sarang)
        check_refusals(s, lab, sarang)


run(story)
