#!/usr/bin/env python3
"""The contracts on real hosts: what the fakes promise in `make check`, libvirtd, QEMU and a host's storage pool keep."""
import re
import shutil

from lab import BUILD, Lab, equal, guests, require, run

PLACE = "/var/lib/libvirt/images/contract"
NO_LOCKS = ("second_writer_is_told",)  # a storage pool has none: one controller, and order kept per desktop


def suite(lab, name, *argv, least, without=()):
    """Runs a contract program in the controller's place: each test of it, at least so many, must hold, but those it cannot do."""
    said = lab.exec("ctl", BUILD / "tests" / name, *argv, seconds=180)
    passed, failed = (len(re.findall(rf"^\[ +{word} +]", said, re.M)) for word in ("OK", "FAILED"))
    require(passed >= least and not failed, f"{passed} passed, {failed} failed")
    equal(set(re.findall(r"^\[ +SKIPPED +] ([a-z]\w*)$", said, re.M)), set(without), "the tests that were skipped")


def check_hypervisor(s, lab):
    for name in ("micro.img", "linux.qcow2", "vmlinux", "initrd"):
        shutil.copy(guests() / name, lab.shared)
    where = f"--dir={lab.shared}=/srv/shared"
    with s.check("hypervisor: the suite passes on the host's socket, with a guest that has an agent"):
        suite(lab, "contract/contract_hypervisor", "--linux", where, lab.uri("host1"), least=20)
    with s.check("hypervisor: and over TCP, and over TLS"):
        suite(lab, "contract/contract_hypervisor", "--plain-tcp", where, "qemu+tcp://host1/system",
              f"qemu+tls://host1/system?pkipath={lab.dir}/pki", least=40)
    with s.check("hypervisor: no domain is left"):
        equal(lab.virsh("host1", "list", "--all", "--name"), "", "the domains of the host")


def check_volume(s, lab):
    with s.check("volume: the suite passes on a storage pool of type dir"):
        suite(lab, "volume/contract_libvirt", lab.uri("host1"), PLACE, least=25, without=NO_LOCKS)
    with s.check("volume: nothing is left but its own empty pool"):
        equal(lab.exec("host1", "ls", "-A", PLACE), "", "what is in its directory")
        pools = lab.virsh("host1", "pool-list", "--all", "--name").split()
        equal([p for p in pools if p.startswith("sarang-lab-")], pools, "the pools of the host")
    with s.check("volume: after libvirtd was killed the same pool is used"):
        lab.script("libvirtd", "host1", "kill")
        lab.script("libvirtd", "host1", "start")
        suite(lab, "volume/contract_libvirt", lab.uri("host1"), PLACE, least=25, without=NO_LOCKS)
        equal(len(lab.virsh("host1", "pool-list", "--all", "--name").split()), 1, "the number of pools")


def story(s):
    with Lab("contract", hosts=1) as lab:
        check_hypervisor(s, lab)
        check_volume(s, lab)


run(story)
