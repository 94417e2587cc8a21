#!/usr/bin/env python3
"""Two of what should be one: two controllers on one storage, and one machine enrolled under two names. Neither takes the other's away."""
import os
import subprocess

from clilab import Place, eventually
from gatewaylab import main, test


def files(place):
    return sorted(name for name in os.listdir(place.folder / "shared") if not name.startswith("."))


def imported(sarang, shared, byte):
    """Imports an image linux of its own into the storage that both have; its file."""
    (sarang.folder / "linux.img").write_bytes(bytes([byte]) * 8192)
    sarang.ok(f"storage add disk --path {shared} --controller-path {shared}")
    sarang.ok("image import linux ./linux.img --format raw --storages disk --wait=30")
    return sarang.ok("image show linux@1 -o json").json()["volume"]


@test
def two_controllers_share_a_storage():
    with Place() as first, Place() as second:
        shared = first.folder / "shared"
        shared.mkdir()
        try:
            ours = imported(first, shared, 1)
            theirs = imported(second, shared, 2)
            assert ours != theirs and files(first) == sorted([ours, theirs]), files(first)
            assert (shared / ours).read_bytes()[:1] == b"\1" and (shared / theirs).read_bytes()[:1] == b"\2"
            second.ok("image remove linux@1")
            eventually(lambda: files(first) == [ours], 20, "its own image is gone, and nothing else")
            first.ok("image remove linux@1")
            eventually(lambda: files(first) == [], 20, "nothing is left")
        finally:
            subprocess.run(["chattr", "-R", "-i", shared], stderr=subprocess.DEVNULL, check=False)  # images cannot be deleted else


@test
def one_machine_enrolled_twice():
    with Place("hosts.poll_s=1") as sarang:
        sarang.furnish(spare=0)
        sarang.ok("session request cad --user jihye --wait=30")
        session = sarang.ok("session list -o json").json()[0]
        control = f"{sarang.folder}/h1.control"
        again = sarang.type(f"host add twin --uri 'fake:h1?control={control}' --wait=5")
        assert again.status == 5 and "the same machine as host \"h1\"" in again.err, again
        eventually(lambda: "exists" in str(sarang.ok("host show twin -o json").json()["error"]), 10, "the host says whose machine it is")
        assert sarang.ok("host show twin -o json").json()["state"] != "up"
        desktop = sarang.ok(f"desktop show {session['desktop']} -o json").json()
        assert (desktop["host"], desktop["power"], desktop["session"]) == ("h1", "on", session["name"]), desktop
        kinds = [e["kind"] for e in sarang.ok("event list -o json").json()]
        assert "host.orphan-removed" not in kinds, kinds
        told = sarang.ok("explain host twin").out
        assert "help     sarang host remove twin\n" in told and "fence" not in told and "network" not in told, told
        status = sarang.ok("status").out
        assert "    sarang host remove twin\n" in status and "fence" not in status, status
        assert "sarang host remove twin" in sarang.ok("explain host twin", LANG="ko_KR.UTF-8").out
        sarang.ok("host remove twin")
        assert sarang.ok(f"session show {session['name']} -o json").json()["ready"]
        assert sarang.ok("host show h1 -o json").json()["state"] == "up"


if __name__ == "__main__":
    main()
