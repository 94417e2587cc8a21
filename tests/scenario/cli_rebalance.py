#!/usr/bin/env python3
"""Desktops that move by their pools' policy: what is set, what is told, what comes of it."""
import subprocess

from clilab import PROJECT, Place, eventually
from gatewaylab import main, test


def fleet(sarang):
    """Two hosts of eight vCPUs with a desktop of three on each, and a pool that wants eight."""
    for name in ("h1", "h2"):
        sarang.ok(f"host add {name} --uri fake:{name} --vcpus 8 --memory-mib 16384 --wait=20")
    (sarang.folder / "disk").mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", sarang.folder / "linux.qcow2", "16M"], check=True)
    sarang.ok(f"storage add disk --path {sarang.folder}/disk --controller-path {sarang.folder}/disk")
    sarang.ok("image import linux ./linux.qcow2 --format qcow2 --storages disk --wait=30")
    sarang.ok(f"template add linux-cli {PROJECT}/templates/linux-cli.xml")
    sarang.ok("pool create small --template linux-cli --image linux --vcpus 3 --memory-mib 512 --min 2 --max 2 --policy spread")
    eventually(lambda: len(sarang.ok("desktop list --state available -o json").json()) == 2, 30, "both desktops are there")
    hosts = {d["host"] for d in sarang.ok("desktop list -o json").json()}
    assert hosts == {"h1", "h2"}, hosts


@test
def room_is_made_by_policy_and_told():
    with Place() as sarang:
        fleet(sarang)
        wrong = sarang.type("pool change small --rebalance window")
        assert wrong.status == 2 and "rebalance_window" in wrong.err and "22:00-06:00" in wrong.err, wrong
        wrong = sarang.type("pool change small --rebalance-window 22-6", LANG="ko_KR.UTF-8")
        assert wrong.status == 2 and "하루의 두 시각" in wrong.err, wrong
        sarang.ok("pool create large --template linux-cli --image linux --vcpus 8 --memory-mib 512 --min 1 --max 1")
        eventually(lambda: "error" in sarang.ok("pool show large -o json").json(), 20, "there is no room for it")
        assert not [d for d in sarang.ok("desktop list -o json").json() if d["pool"] == "large"]
        sarang.ok("pool change small --rebalance always --rebalance-per-hour 3")
        eventually(lambda: [d for d in sarang.ok("desktop list --state available -o json").json() if d["pool"] == "large"], 40, "room was made")
        small = sarang.ok("pool show small -o json").json()
        assert (small["rebalance"], small["rebalance_per_hour"], small["rebalance_moves"]) == ("always", 3, 1), small
        large = sarang.ok("pool show large -o json").json()
        assert not large.get("rebalance_error") and not large.get("error"), large
        on = {d["pool"]: d for d in sarang.ok("desktop list -o json").json() if d.get("moved") or d["pool"] == "large"}
        assert on["small"]["host"] != on["large"]["host"], on
        told = sarang.ok("explain pool large").out
        assert f"desktop {on['small']['name']} goes from host {on['large']['host']} to host {on['small']['host']}, to make room for 8 vCPU, 512 MiB" in told, told
        korean = sarang.ok(f"explain desktop {on['small']['name']} --lang ko").out
        assert "풀 large의 8 vCPU, 512 MiB 자리를 내기 위해" in korean, korean
        shown = sarang.ok("pool show small --lang ko").out
        assert "재배치" in shown and "항상" in shown, shown


@test
def what_stands_in_the_way_is_told():
    with Place() as sarang:
        fleet(sarang)
        sarang.ok("pool change small --rebalance always")
        sarang.ok("storage change disk --hosts h1")  # nothing can move
        sarang.ok("pool create large --template linux-cli --image linux --vcpus 8 --memory-mib 512 --min 1 --max 1")
        eventually(lambda: sarang.ok("pool show large -o json").json().get("rebalance_error"), 40, "it is told")
        error = sarang.ok("pool show large -o json").json()["rebalance_error"]
        assert error["code"] == "room-none", error
        told = sarang.ok("explain pool large").out
        assert "no desktops that may be moved by policy now make room for 8 vCPU, 512 MiB of pool large" in told, told
        assert "sarang plan rebalance --pool large" in told, told
        korean = sarang.ok("explain pool large --lang ko").out
        assert "지금 정책에 따라 옮길 수 있는 데스크톱으로는 풀 large의" in korean, korean


if __name__ == "__main__":
    main()
