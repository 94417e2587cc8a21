#!/usr/bin/env python3
"""A host with graphics cards under the controller: cards found, a pool of GPU desktops, the limit told in numbers, a part freed and given
to the next, what others made left alone, what a guest draws on its part seen, and a reboot of the host. The host is the one that `build` made (make
lab-gpu does)."""
import json
import pathlib
import struct
import sys
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import product  # noqa: E402
import rfb  # noqa: E402
from gpuhost import MBOCHS, MDPY, GpuHost, free_port  # noqa: E402
from kills import get  # noqa: E402
from lab import Failure, equal, require, run, until  # noqa: E402
from product import LOCAL, Product, missing, page  # noqa: E402

LARGE, SCREEN = "vgpu_mbochs-large", "vgpu_mdpy-vga"
FOREIGN = ["f1f1f1f1-0000-4000-8000-00000000000%d" % n for n in range(4)]
KEPT = "f2f2f2f2-0000-4000-8000-000000000001"  # others' too, and defined to come back with the host
# what the guest draws on its part, from left to right
BARS = [bytes.fromhex(c) for c in ("ffffff", "ffff00", "00ffff", "00ff00", "ff00ff", "ff0000", "0000ff", "202020")]


def refused(sarang, why, *words):
    try:
        sarang(*words)
    except Failure as e:
        require(why in str(e), f"\"{why}\" is not in {e}")
        return
    raise Failure(f"{words} was not refused")


def claims(sarang, **wanted):
    return sarang.list("vgpu", **wanted)


def enrol(s, host, sarang):
    with s.check("the host is enrolled, and its three cards are found with their types", needed=True):
        sarang("host", "add", "gpu0", uri=host.uri("gpu0"), console_address=host.consoles)
        sarang.wait("host", "gpu0", state="up", seconds=120)
        cards = sarang.wait_count("gpu", 3, host="gpu0", seconds=90)
        equal(sorted(c["address"] for c in cards), sorted([*MDPY, MBOCHS]), "the cards")
        equal({(c["backend"], c["state"], c["used"]) for c in cards}, {("mdev", "ready", 0)}, "back end, state and parts in use")
        large = next(t for c in cards for t in sarang.show("gpu", c["name"])["types"] if t["id"] == LARGE)
        require(large["free"] > 0, f"{LARGE} is {large}")
    return large["free"]


def prepare(s, host, sarang):
    with s.check("an image, a template that names a class, and the class", needed=True):
        disk = host.dir / "tiny.img"
        disk.write_bytes(bytes(1 << 20))  # the guest boots by its kernel and never reads it
        sarang("storage", "add", "local", path=LOCAL, hosts=["gpu0"])
        sarang("image", "import", "tiny", disk, "--wait=120", format="raw", storages=["local"], kernel=f"{LOCAL}/tiny.elf")
        sarang("gpu-class", "add", "large", accepts=[LARGE])
        sarang("gpu-class", "add", "screen", accepts=[SCREEN], display="on")
        sarang("template", "add", "tiny", HERE / "tiny.xml")


def one_card(sarang, address=MBOCHS):
    return next(sarang.show("gpu", c["name"]) for c in sarang("gpu", "list") if c["address"] == address)


def two_desktops(s, host, sarang):
    # available = the guest said on its serial line that it has found the part and drawn on it
    with s.check("a pool of two GPU desktops: each runs with a part of its own, and its guest has found it", needed=True):
        sarang("pool", "create", "cad", template="tiny", image="tiny", storages=["local"], personalise="none", min=2, max=2)
        sarang.wait_count("desktop", 2, pool="cad", state="available", seconds=240)
        held = claims(sarang, state="attached")
        equal(sorted(v["desktop"] for v in held), sorted(d["name"] for d in sarang.list("desktop", pool="cad")), "whose the claims are")
        equal({v["uuid"] for v in held}, host.mdevs(), "what the host has")
        for v in held:
            xml = host.on(f"virsh -q dumpxml sarang-{v['desktop']}")
            require(v["uuid"] in xml, f"{v['desktop']} runs without {v['uuid']}")
        equal((one_card(sarang)["used"], one_card(sarang)["foreign_parts"]), (2, 0), "parts in use, and foreign ones")


def limit(s, host, sarang, most):
    others = FOREIGN[:most - 2]
    with s.check("others make parts behind our back: they are counted"):
        for uuid in others:
            host.mdev_made(MBOCHS, LARGE, uuid)
        until(lambda: one_card(sarang)["foreign_parts"] == len(others), "the card shows them", 40)
    with s.check("the card is full: a third desktop is refused, card by card, in numbers"):
        sarang("pool", "create", "late", template="tiny", image="tiny", storages=["local"], personalise="none", min=1, max=1)
        why = until(lambda: (sarang.show("pool", "late").get("error") or {}).get("code") and sarang.show("pool", "late")["error"],
                    "the pool says why", 60)
        said = json.dumps(why)
        for words in (f"2 claimed by us, {len(others)} foreign", MBOCHS, *MDPY, " offers ", " accepts "):
            require(words in said, f"\"{words}\" is not in {said}")
        equal(sarang.list("desktop", pool="late"), [], "desktops made all the same")
    return others


def freed(s, host, sarang, others):
    with s.check("one is freed: the desktop that waited gets it"):
        sarang("pool", "change", "cad", "--min=1", "--max=1")
        sarang.wait_count("desktop", 1, pool="late", state="available", seconds=240)
        equal(len(claims(sarang, state="attached")), 2, "claims in use")
    with s.check("what others made is there still, and nothing else"):
        until(lambda: host.mdevs() == {v["uuid"] for v in claims(sarang)} | set(others), "host and claims agree", 60)
    with s.check("others remove theirs: that is seen without waiting for the next poll"):
        host.mdev_removed(others[0])
        until(lambda: one_card(sarang)["foreign_parts"] == len(others) - 1, "the card shows it", 15)


def png_rows(data):
    """Rows of red, green, blue of a PNG as QEMU writes it: eight bits, nothing interlaced."""
    require(data.startswith(b"\x89PNG\r\n\x1a\n"), f"the picture is no PNG: {data[:20]}")
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            width, height, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", data[at + 8:at + 21])
        packed += data[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    require((depth, interlaced) == (8, 0) and colours in (2, 6), f"the PNG has depth {depth}, colours {colours}, interlaced {interlaced}")
    return _unfiltered(zlib.decompress(packed), width, height, 3 if colours == 2 else 4)


def _unfiltered(raw, width, height, size):
    """PNG's five filters (RFC 2083, 6) undone."""
    rows, above, line = [], bytearray(width * size), 1 + width * size
    for y in range(height):
        kind, row = raw[y * line], bytearray(raw[y * line + 1:(y + 1) * line])
        for i in range(len(row)):
            a, b, c = row[i - size] if i >= size else 0, above[i], above[i - size] if i >= size else 0
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            row[i] = row[i] + (0, a, b, (a + b) // 2, nearest)[kind] & 255
        rows.append(row)
        above = row
    return [b"".join(bytes(row[i:i + 3]) for i in range(0, len(row), size)) for row in rows]


def bars(rows):
    """The colours in the middle of each eighth, near the top."""
    width = len(rows[10]) // 3
    return [bytes(rows[10][3 * x:3 * x + 3]) for x in (width * (2 * i + 1) // 16 for i in range(8))]


def screens(s, host, sarang):
    with s.check("a desktop whose part is its screen starts, near others that compute"):
        sarang("pool", "create", "seat", template="tiny", image="tiny", storages=["local"], personalise="none", gpu_class="screen", min=1, max=1)
        desktop = sarang.wait_count("desktop", 1, pool="seat", state="available", seconds=240)[0]["name"]
        equal([v["type"] for v in claims(sarang, desktop=desktop)], [SCREEN], "what it has")
    with s.check("its screenshot shows what the guest drew on the part"):
        until(lambda: bars(png_rows(get(sarang, f"/api/v1/desktops/{desktop}/screenshot").read())) == BARS, "the guest's bars", 60)
    with s.check("a person sees the same through the gateway"):
        sarang("user", "add", "jihye", "--password", title="Kim Jihye", text_in="jihye-password\n")
        sarang.start_gateway()
        session = sarang("session", "request", "seat", "--wait=60", user="jihye")
        ticket = sarang("session", "ticket", session["name"], origin=sarang.origin())["ticket"]
        with page(sarang, ticket) as console:
            console.settimeout(60)
            width, height, _ = rfb.login(console)
            until(lambda: bars(rfb.picture(console, width, height)) == BARS, "the guest's bars", 60)
    with s.check("what is its screen cannot be taken out, and the refusal says why"):
        refused(sarang, "is its screen", "desktop", "detach-gpu", desktop)
    with s.check("the session ends: a guest that cannot prove its reset goes with its part, and another desktop gets one"):
        sarang("session", "end", session["name"])
        until(lambda: not sarang.list("desktop", name=desktop) and not claims(sarang, desktop=desktop), "it is gone, and its claim", 120)
        other = sarang.wait_count("desktop", 1, pool="seat", state="available", seconds=240)[0]["name"]
        equal([v["type"] for v in claims(sarang, state="attached", desktop=other)], [SCREEN], "what the other has")
        sarang("pool", "delete", "seat")
        until(lambda: not claims(sarang, desktop=other), "its claim ends", 120)


def unplugged(s, host, sarang):
    with s.check("a part is taken out of a desktop that runs: its guest lets go of it, and the card has it back"):
        desktop = sarang.list("desktop", pool="cad", state="available")[0]["name"]
        claim, domain = claims(sarang, desktop=desktop)[0], f"sarang-{desktop}"
        sarang("desktop", "maintain", desktop)
        sarang.wait_count("desktop", 1, pool="cad", state="available", seconds=240)  # another one in its place
        used = one_card(sarang)["used"]
        sarang("desktop", "detach-gpu", desktop, "--wait=120")
        equal(claims(sarang, desktop=desktop), [], "claims of the desktop")
        require(claim["uuid"] not in host.mdevs(), f"the host still has {claim['uuid']}")
        for which in ("", " --inactive"):
            require("hostdev" not in host.on(f"virsh -q dumpxml{which} {domain}"), f"the domain still has it ({which or 'running'})")
        until(lambda: one_card(sarang)["used"] == used - 1, "the card says so", 30)
        equal(sarang.show("desktop", desktop)["power"], "on", "its power")
    with s.check("another one is plugged in while it runs, and it starts with that one after it was off"):
        sarang("desktop", "attach-gpu", desktop, "--wait=120")
        second = claims(sarang, state="attached", desktop=desktop)[0]
        require(second["uuid"] != claim["uuid"] and second["uuid"] in host.mdevs(), f"{second} on {host.mdevs()}")
        for which in ("", " --inactive"):
            require(second["uuid"] in host.on(f"virsh -q dumpxml{which} {domain}"), f"the domain has none ({which or 'running'})")
        sarang("desktop", "destroy", desktop, "--wait=60")
        sarang("desktop", "start", desktop, "--wait=120")
        require(second["uuid"] in host.on(f"virsh -q dumpxml {domain}"), "it was started without")
    with s.check("once more, and libvirtd is killed while the guest is asked: it goes on, and nothing is left behind"):
        host.libvirtd_dies()
        sarang("desktop", "detach-gpu", desktop, "--wait=200")
        equal(claims(sarang, desktop=desktop), [], "claims of the desktop")
        until(lambda: second["uuid"] not in host.mdevs(), "the host has it no more", 60)
        sarang("desktop", "retire", desktop)
        until(lambda: not sarang.list("desktop", name=desktop), "it is gone", 120)
        sarang.wait_count("desktop", 1, pool="cad", state="available", seconds=240)


def killed(s, host, sarang):
    with s.check("sarangd is killed while a desktop is made: no part is lost, doubled or left behind"):
        sarang("pool", "change", "cad", "--min=2", "--max=2")
        until(lambda: len(claims(sarang)) == 3, "a third claim", 60)
        sarang.kill()
        sarang.start()
        sarang.wait_count("desktop", 2, pool="cad", state="available", seconds=300)
        until(lambda: len([u for u in host.mdevs() if u not in FOREIGN]) == 3, "three parts of ours", 30)
        equal({u for u in host.mdevs() if u not in FOREIGN}, {v["uuid"] for v in claims(sarang, state="attached")}, "what the host has of ours")


def rebooted(s, host, sarang):
    with s.check("others define a part that comes back with the host"):
        host.on(f"mdevctl define --auto --uuid {KEPT} --parent {MDPY[1]} --type {SCREEN} && mdevctl start --uuid {KEPT}")
        until(lambda: one_card(sarang, MDPY[1])["foreign_parts"] == 1, "its card shows it", 40)
    with s.check("the host loses power and comes back: parts are made again, desktops run with them"):
        host.on("sync")
        before = {v["name"] for v in claims(sarang)}
        host.stop()
        sarang.wait("host", "gpu0", state="unreachable", seconds=120)
        host.boot()
        sarang.wait("host", "gpu0", state="up", seconds=240)
        sarang.wait_count("desktop", 2, pool="cad", state="available", seconds=300)
        sarang.wait_count("desktop", 1, pool="late", state="available", seconds=300)
        held = claims(sarang, state="attached")
        equal(len(held), 3, "claims in use")
        equal({v["uuid"] for v in held} | {KEPT}, host.mdevs(), "what the host has")
        require(before, "nothing was claimed before")
    with s.check("what others defined is there again, counted, and was never ours"):
        until(lambda: one_card(sarang, MDPY[1])["foreign_parts"] == 1, "its card shows it", 60)
    with s.check("cards and claims agree"):
        until(lambda: not any(c.get("error") for c in sarang("gpu", "list")), "no card differs", 60)


def end(s, host, sarang):
    with s.check("deleted pools free every part"):
        for pool in ("cad", "late"):
            sarang("pool", "delete", pool)
        sarang.wait_count("desktop", 0, seconds=120)
        until(lambda: not claims(sarang), "no claim is left", 90)
        equal(host.mdevs(), {KEPT}, "what the host has")


def story(s):
    product.GATEWAY_PORT = free_port()
    require(not missing(), f"not built yet: {', '.join(missing())}")
    with GpuHost() as host, Product(host) as sarang:
        try:
            most = enrol(s, host, sarang)
            prepare(s, host, sarang)
            two_desktops(s, host, sarang)
            others = limit(s, host, sarang, most)
            freed(s, host, sarang, others)
            for uuid in others[1:]:
                host.mdev_removed(uuid)
            unplugged(s, host, sarang)
            screens(s, host, sarang)
            killed(s, host, sarang)
            rebooted(s, host, sarang)
            end(s, host, sarang)
        finally:
            if s.failed:
                print((host.dir / "sarangd.log").read_text(errors="replace")[-6000:])


run(story)
