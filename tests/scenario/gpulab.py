"""What scenarios of graphics cards stand on: a place whose fake host has a card, two desktops with a part of it each, and a part that is somebody else's."""
import os

from gatewaylab import eventually

CARD, TYPE = "0000:08:00.0", "vgpu_mdpy-hd"


def cards(sarang):
    return sarang.ok("gpu list -o json").json()


def claims(sarang, state="attached"):
    return [v for v in sarang.ok("vgpu list -o json").json() if v["state"] == state]


def made(sarang):
    """What the host has, whoever made it."""
    return sorted(os.listdir(sarang.folder / "cards" / "mdev"))


def furnish(sarang):
    sarang.furnish(spare=0, uri=f"&gpus={sarang.folder}/cards")
    sarang.command_host(f"card {CARD} mdpy")
    eventually(lambda: [c["state"] for c in cards(sarang)] == ["ready"], 40, "the card is found")
    sarang.ok(f"gpu-class add hd --accepts {TYPE}")
    sarang.ok("pool create gpu --template linux-cli --image linux --gpu-class hd --min 2 --max 4")
    eventually(lambda: len(claims(sarang)) == 2, 40, "two desktops run with a part each")
    sarang.command_host(f"mdev {CARD} {TYPE}")
    eventually(lambda: cards(sarang)[0]["foreign_parts"] == 1, 40, "what somebody else made is counted")
