#!/usr/bin/env python3
"""The volume contract, through a real libvirtd: what the fake promises in `make check`, a host's storage pool keeps."""
import re

from lab import BUILD, Lab, command, equal, require, run

PLACE = "/var/lib/libvirt/images/contract"


def story(s):
    with Lab("volume", hosts=1) as lab:
        with s.check("the contract suite passes on a storage pool of type dir"):
            said = command(BUILD / "tests/volume/contract_libvirt", lab.uri("host1"), PLACE, seconds=120)
            passed, failed = len(re.findall(r"^\[ +OK ]", said, re.M)), len(re.findall(r"^\[ +FAILED ]", said, re.M))
            require(passed >= 20 and not failed, f"{passed} passed, {failed} failed")
        with s.check("it left nothing but its own empty pool"):
            equal(lab.exec("host1", "ls", "-A", PLACE), "", "what is in its directory")
            pools = lab.virsh("host1", "pool-list", "--all", "--name").split()
            equal([p for p in pools if p.startswith("sarang-lab-")], pools, "the pools of the host")
        with s.check("after libvirtd was killed the same pool is used"):
            lab.script("libvirtd", "host1", "kill")
            lab.script("libvirtd", "host1", "start")
            command(BUILD / "tests/volume/contract_libvirt", lab.uri("host1"), PLACE, seconds=120)
            equal(len(lab.virsh("host1", "pool-list", "--all", "--name").split()), 1, "the number of pools")


run(story)
