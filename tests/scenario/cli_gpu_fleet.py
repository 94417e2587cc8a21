#!/usr/bin/env python3
"""One class across back ends and hosts, best first; and cards that become others under their claims: a driver's upgrade, another card in that place."""
import os
import subprocess

from clilab import PROJECT, Place
from gatewaylab import eventually, main, test
from gpulab import CARD, cards, claims

BEST_FIRST = ["nvidia-234", "nvidia-561", "whole:1002:73a3"]


def enrol(sarang, *names):
    for name in names:
        sarang.enrol(name=name, uri=f"&gpus={sarang.folder}/cards-{name}")
    (sarang.folder / "disk").mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", sarang.folder / "linux.qcow2", "16M"], check=True)
    sarang.ok(f"storage add disk --path {sarang.folder}/disk --controller-path {sarang.folder}/disk --hosts {','.join(names)}")
    sarang.ok("image import linux ./linux.qcow2 --format qcow2 --storages disk --wait=30")
    sarang.ok(f"template add linux-cli {PROJECT}/templates/linux-cli.xml")
    sarang.ok("user add jihye")


def put_in(sarang, *rows):
    for host, address, model in rows:
        sarang.command_host(f"card {address} {model}", host=host)
    eventually(lambda: [c["state"] for c in cards(sarang)] == ["ready"] * len(rows), 40, "the cards are found")


def pool(sarang, accepts, least):
    sarang.ok(f"gpu-class add any --accepts {accepts}")
    sarang.ok(f"pool create gpu --template linux-cli --image linux --gpu-class any --min {least} --max 9")
    eventually(lambda: len(claims(sarang)) == least, 40, f"{least} desktops run with a part each")


def looked_at(sarang):
    """A card that nobody may have is put in, or taken out again: the host announces it and is looked at."""
    spare = "0000:90:00.0"
    there = {c["address"]: c["state"] for c in cards(sarang)}.get(spare, "gone") == "gone"
    sarang.command_host(f"card {spare} console" if there else f"nocard {spare}")
    eventually(lambda: {c["address"]: c["state"] == "gone" for c in cards(sarang)}.get(spare) == (not there), 40, "the host is looked at")


def the_card(sarang):
    return next(c for c in cards(sarang) if c["address"] == CARD)


def held_by_jihye(sarang):
    session = sarang.ok("session request gpu --user jihye --wait=40 -o json").json()
    return session["name"], session["desktop"]


@test
def one_class_takes_the_best_that_any_host_has():
    with Place() as sarang:
        enrol(sarang, "h1", "h2")
        put_in(sarang, ("h1", CARD, "w6800"), ("h1", "0000:41:00.0", "t4"), ("h2", CARD, "a40"))
        pool(sarang, ",".join(BEST_FIRST), 1)
        for n in range(1, 4):
            sarang.ok(f"pool change gpu --min {n}")
            eventually(lambda n=n: len(claims(sarang)) == n, 40, f"{n} desktops run with a part each")
            assert sorted(v["type"] for v in claims(sarang)) == BEST_FIRST[:n], claims(sarang)
        assert [v["host"] for v in sorted(claims(sarang), key=lambda v: v["type"])] == ["h1", "h2", "h1"], claims(sarang)
        sarang.ok("pool change gpu --min 4")
        for line in ("the 2 cards of host h1 have room for 0 of 1 such vGPUs", "the 1 cards of host h2 have room for 0 of 1 such vGPUs",
                     *(f"{c['name']} ({c['model']}, {c['address']}): 1 claimed by us, 0 foreign; a card of host {c['host']} has 0 of 1000 parts free"
                       for c in cards(sarang))):
            eventually(lambda line=line: line in sarang.ok("pool show gpu").out, 20, f"the refusal tells: {line}")
        # what is let go of is the best that the next one can have
        best = next(v for v in claims(sarang) if v["type"] == BEST_FIRST[0])
        sarang.ok("pool change gpu --min 3")
        sarang.ok(f"desktop retire {best['desktop']}")
        eventually(lambda: [v for v in claims(sarang) if v["type"] == BEST_FIRST[0] and v["name"] != best["name"]], 40, "the best is given again")
        assert sorted(v["type"] for v in claims(sarang)) == BEST_FIRST, claims(sarang)


def driver_upgraded(folder):
    """In place: what were mediated devices on functions are functions with types from now on, and the devices are gone with the driver before. They go
    last: a look may come at any time, and a card of the old kind without them would be one that lost what it gave."""
    devices = folder / "sys/bus/pci/devices"
    for name in os.listdir(devices):
        if (devices / name / "physfn").is_symlink():
            (devices / name / "nvidia").mkdir()
            for file, text in (("current_vgpu_type", "0"), ("gpu_instance_id", "4294967295"),
                               ("creatable_vgpu_types", "ID    : vGPU Name\n558   : NVIDIA A40-8Q\n559   : NVIDIA A40-12Q")):
                (devices / name / "nvidia" / file).write_text(text + "\n", encoding="utf-8")
    (devices / CARD / "model").write_text("a40\n", encoding="utf-8")
    for uuid in os.listdir(folder / "mdev"):
        (folder / "mdev" / uuid).unlink()


@test
def a_drivers_upgrade_takes_nobodys_desktop_and_its_next_start_takes_a_new_part():
    with Place() as sarang:
        enrol(sarang, "h1")
        put_in(sarang, ("h1", CARD, "a40mdev"))
        pool(sarang, "nvidia-559", 2)
        session, desktop = held_by_jihye(sarang)
        eventually(lambda: len(claims(sarang)) == 2, 40, "two desktops have a part each")
        was = next(v for v in claims(sarang) if v["desktop"] == desktop)
        assert was["uuid"] and the_card(sarang)["backend"] == "mdev"
        driver_upgraded(sarang.folder / "cards-h1")
        looked_at(sarang)
        card = the_card(sarang)
        assert card["state"] == "unseen" and "was mdev 10de:2235" in card["error"]["text"] and "is vendor-vf 10de:2235" in card["error"]["text"], card
        shown = sarang.ok(f"session show {session} -o json").json()
        assert (shown["state"], shown["ready"]) == ("assigned", True), shown
        assert sarang.ok(f"desktop show {desktop} -o json").json()["power"] == "on"
        assert len(sarang.ok("vgpu list -o json").json()) == 2, "its claims stay"
        sarang.ok("pool change gpu --min 3")
        eventually(lambda: "(unseen)" in sarang.ok("pool show gpu").out, 20, "nothing new is claimed there, and that is why")
        sarang.ok("pool change gpu --min 0 --max 1")
        sarang.ok(f"desktop destroy {desktop} --wait=40")
        eventually(lambda: len(sarang.ok("desktop list -o json --pool gpu").json()) == 1, 40, "the other one goes")
        looked_at(sarang)
        eventually(lambda: not sarang.ok("vgpu list -o json").json(), 40, "the claims of what is off are let go of")
        eventually(lambda: (the_card(sarang)["state"], the_card(sarang)["backend"]) == ("ready", "vendor-vf"), 40, "the card is what it is now")
        clone = sarang.ok(f"desktop show {desktop} -o json").json()["clone"]
        sarang.ok(f"desktop start {desktop} --wait=40")
        now, = claims(sarang)
        assert now["address"] and not now["uuid"] and now["desktop"] == desktop and now["name"] != was["name"], now
        typed = sarang.folder / "cards-h1/sys/bus/pci/devices" / now["address"] / "nvidia/current_vgpu_type"
        assert typed.read_text().strip() == "559"
        assert sarang.ok(f"desktop show {desktop} -o json").json()["clone"] == clone, "with the disk that it has"


@test
def another_card_in_that_place_is_told_and_takes_nothing_of_the_one_before():
    with Place() as sarang:
        enrol(sarang, "h1")
        put_in(sarang, ("h1", CARD, "w6800"))
        pool(sarang, "whole:1002:73a3", 1)
        session, desktop = held_by_jihye(sarang)
        was, = claims(sarang)
        slot = sarang.folder / "cards-h1/sys/bus/pci/devices" / CARD
        device = slot / "device"
        device.write_text("0x744c\n", encoding="utf-8")
        looked_at(sarang)
        card = the_card(sarang)
        assert card["state"] == "unseen" and "744c" in card["error"]["text"] and "73a3" in card["error"]["text"], card
        claim = sarang.ok(f"vgpu show {was['name']} -o json").json()
        assert claim["error"]["code"] == "gpu-changed", claim
        assert sarang.ok(f"desktop show {desktop} -o json").json()["state"] == "lost"
        assert [e["object"] for e in sarang.ok("event list -o json").json() if e["kind"] == "gpu.changed"] == [card["name"]]
        device.write_text("0x73a3\n", encoding="utf-8")
        looked_at(sarang)
        assert the_card(sarang)["state"] == "ready" and claims(sarang) == [v for v in claims(sarang) if v["name"] == was["name"]] != [], claims(sarang)
        shown = sarang.ok(f"session show {session} -o json").json()
        assert sarang.ok(f"desktop show {desktop} -o json").json()["state"] != "lost" and shown["ready"], "all is as before"
        # and where it is meant
        sarang.ok(f"desktop destroy {desktop} --wait=40")
        device.write_text("0x744c\n", encoding="utf-8")
        for function in slot, slot.with_name(CARD[:-1] + "1"):  # its sound, too, comes with the host's driver
            (function / "driver_override").write_text("(null)\n", encoding="utf-8")
            (function / "driver").unlink()
            (function / "driver").symlink_to("../../drivers/amdgpu")
        looked_at(sarang)
        eventually(lambda: not sarang.ok("vgpu list -o json").json(), 40, "the claim is let go of")
        card = the_card(sarang)
        assert (card["state"], card["pci_id"]) == ("ready", "1002:744c"), card
        refused = sarang.type(f"desktop start {desktop} --wait=60")
        said = f"card {card['name']} offers whole:1002:744c, and class any accepts whole:1002:73a3"
        assert refused.status == 1 and 'no graphics card of host "h1" has room for class "any"' in refused.err and said in refused.err, refused
        sarang.ok("gpu-class change any --accepts whole:1002:744c")
        sarang.ok(f"desktop start {desktop} --wait=40")
        assert [v["type"] for v in claims(sarang)] == ["whole:1002:744c"], claims(sarang)


main()
