#!/usr/bin/env python3
"""One story told of every back end: a pool grows to its card's limit, the next one is refused by the card's numbers, waits for a reset that is confirmed,
and is granted; and when the pool is gone the card is as it was found."""
import os

from clilab import Place
from gatewaylab import eventually, main, test
from gpulab import CARD, cards, claims
from metricslab import read, value

OTHER = "0000:41:00.0"
DEVICES = "cards/sys/bus/pci/devices"


class Story:
    """type: what the pool's class accepts, of which the cards give `most`; kind: as the card tells it. beside: parts of other types that lie on the card
    before it is filled, by pools of their own. numbers: how the refusal ends. given: how many parts the host's own files show. reset_fails: it is not confirmed at first.
    loose: the host's driver is kept off the functions, as docs/gpu.md asks."""

    def __init__(self, name, models, type, most, numbers, given, kind=None, beside=(), reset_fails=False, loose=False):
        self.name, self.models, self.type, self.most, self.numbers, self.given = name, models, type, most, numbers, given
        self.kind, self.beside, self.reset_fails, self.loose = kind or type, beside, reset_fails, loose

    @property
    def addresses(self):
        return [CARD, OTHER][:len(self.models)]


def typed(number):
    """Functions that have this vGPU type."""
    def count(sarang):
        names = sarang.folder / DEVICES
        return sum((names / name / "nvidia/current_vgpu_type").read_text().strip() == number
                   for name in os.listdir(names) if (names / name / "nvidia").exists())
    return count


def passed(first_function):
    """Functions that a driver for guests has; of a whole card its sound goes along."""
    def count(sarang):
        names = sarang.folder / DEVICES
        drivers = {name: os.path.basename(os.readlink(names / name / "driver")) for name in os.listdir(names)}
        return sum(driver == "vfio-pci" for name, driver in drivers.items() if name.endswith(".0") == first_function or not first_function)
    return count


def devices(sarang):
    return len(os.listdir(sarang.folder / "cards/mdev"))


def instances(profile):
    def count(sarang):
        return sum(line.split()[0] == profile for line in (sarang.folder / "cards/mig" / CARD).read_text().splitlines())
    return count


STORIES = [
    Story("vendor_vf_of_one_type", ["a40"], "nvidia-559", 4, "a card of host h1 has 0 of 1000 parts free, 250 wanted", typed("559"), reset_fails=True),
    Story("vendor_vf_of_mixed_sizes", ["l40s"], "nvidia-1150", 3, "a card of host h1 has 1 of 1000 parts free, 83 wanted", typed("1150"),
          beside=("nvidia-1155", "nvidia-1153")),
    Story("mig_of_one_profile", ["a100"], "2g.10gb", 3,
          "a card of host h1 has 250 of 1000 parts free, but not side by side where that vGPU may lie", instances("14"),
          reset_fails=True),
    Story("mig_of_mixed_profiles", ["a100"], "1g.5gb", 4, "a card of host h1 has 0 of 1000 parts free, 125 wanted", instances("19"), beside=("3g.20gb",)),
    Story("sr_iov", ["flex170"], "vf", 4, "a card of host h1 has 0 of 1000 parts free, 250 wanted", passed(False), reset_fails=True, loose=True),
    Story("whole", ["w6800", "w6800"], "whole:1002:73a3", 2, "a card of host h1 has 0 of 1000 parts free, 1000 wanted", passed(True), kind="whole",
          reset_fails=True),
    Story("mdev", ["t4"], "nvidia-233", 2, "a card of host h1 has 0 of 1000 parts free, 500 wanted", devices),
    Story("mdev_on_functions", ["a40mdev"], "nvidia-559", 4, "a card of host h1 has 124 of 1000 parts free, 125 wanted", devices),
]


def files(sarang):
    """All of the cards that a guest could have left something in."""
    found = {}
    for below in ("sys/bus/pci/devices", "mdev", "mig", "held"):
        for folder, folders, names in os.walk(sarang.folder / "cards" / below):
            for name in names + [f for f in folders if os.path.islink(os.path.join(folder, f))]:
                path = os.path.join(folder, name)
                text = os.readlink(path) if os.path.islink(path) else open(path, encoding="utf-8").read()
                if text or "/mig/" not in path:  # no GPU instance: nvidia-smi says so of either
                    found[path] = text
    return found


def ready(sarang, story):
    sarang.furnish(spare=0, uri=f"&gpus={sarang.folder}/cards")
    for address, model in zip(story.addresses, story.models):
        sarang.command_host(f"card {address} {model}")
    eventually(lambda: [c["state"] for c in cards(sarang)] == ["ready"] * len(story.models), 40, "the cards are found")
    for name in os.listdir(sarang.folder / DEVICES) if story.loose else ():
        if (sarang.folder / DEVICES / name / "physfn").is_symlink():
            (sarang.folder / DEVICES / name / "driver").unlink()
    for i in range(story.most + 2):
        sarang.ok(f"user add u{i}")
    sarang.ok("user add mina --role viewer")
    return sarang.ok("token create --user mina --title prometheus -o json").json()["token"]


def pool(sarang, name, least, most):
    sarang.ok(f"pool create {name} --template linux-cli --image linux --gpu-class {name} --min {least} --max {most}")
    eventually(lambda: [v for v in claims(sarang) if v["class"] == name], 40, f"pool {name} has a desktop with its part")


def ours(sarang):
    """Claims of the pool that the story is about."""
    return [v for v in sarang.ok("vgpu list -o json").json() if v["class"] == "gpu"]


def fill(sarang, story):
    """The first person gets the desktop that is there, every other one makes the pool grow."""
    return [sarang.ok(f"session request gpu --user u{i} --wait=40 -o json").json()["name"] for i in range(story.most)]


def card_tells(sarang, story):
    """What the API says of the cards is what the host's files say."""
    held = ours(sarang)
    assert len(held) == story.most == story.given(sarang) and {v["state"] for v in held} == {"attached"}, (held, story.given(sarang))
    places = [(v["gpu"], v["uuid"] or v["address"]) for v in held]
    assert len(set(places)) == story.most, f"a place of its own each: {places}"
    for card in cards(sarang):
        on = [v for v in sarang.ok("vgpu list -o json").json() if v["gpu"] == card["name"]]
        kind = next(t for t in card["types"] if t["id"] == story.kind)
        assert (card["used"], card["foreign_parts"], kind["free"]) == (len(on), 0, 0), card
        parts = {p.get("uuid") or p["address"] for p in card["parts"] if p.get("type")}
        assert parts == {v["uuid"] or v["address"] for v in on}, (card["parts"], on)


def refused(sarang, story, user):
    """By the card's own numbers, to who asks as to who runs the pool."""
    answer = sarang.type(f"session request gpu --user {user} --wait=40")
    each = [f"{c['name']} ({c['model']}, {c['address']}): {c['used']} claimed by us, 0 foreign" for c in cards(sarang)]
    assert answer.status == 8, answer
    assert f"the {len(each)} cards of host h1 have room for 0 of 1 such vGPUs" in answer.err and story.numbers in answer.err, answer
    assert any(line in answer.err for line in each), (answer, each)
    sarang.ok(f"pool change gpu --min {story.most + 1}")
    eventually(lambda: story.numbers in sarang.ok("pool show gpu").out, 20, "the pool says the same of the desktop that it lacks")
    assert len(ours(sarang)) == story.most and sarang.ok("pool show gpu -o json").json()["errors"] == 0, "nothing was tried in vain"
    sarang.ok("pool change gpu --min 1")


def ended_and_granted(sarang, story, session, user, token):
    """One leaves; who waits has the part as soon as its reset is confirmed, and not before."""
    desktop = sarang.ok(f"session show {session} -o json").json()["desktop"]
    old = next(v for v in ours(sarang) if v["desktop"] == desktop)
    fails = sarang.folder / DEVICES / (old["address"] or CARD) / "fail"
    if story.reset_fails:
        fails.write_text("reset 25\n", encoding="utf-8")
    sarang.ok(f"session end {session}")
    waits = sarang.ok(f"session request gpu --user {user} -o json").json()["name"]
    if story.reset_fails:
        eventually(lambda: "is not reset since its last use" in sarang.ok(f"vgpu show {old['name']}").out, 20, "its claim says what is wrong")
        assert "1 cannot be freed" in sarang.ok("gpu tree").out
        samples = read(sarang, token)
        assert value(samples, "sarang_vgpu_differs", vgpu=old["name"]) == 1 and value(samples, "sarang_gpu_differs", gpu=old["gpu"]) == 1
        assert not sarang.ok(f"session show {waits} -o json").json()["desktop"], "nobody gets what is not reset"
        fails.unlink()
    eventually(lambda: sarang.ok(f"session show {waits} -o json").json()["ready"], 60, "who waited has a desktop")
    new = next(v for v in ours(sarang) if v["desktop"] == sarang.ok(f"session show {waits} -o json").json()["desktop"])
    assert new["name"] != old["name"] and not [v for v in ours(sarang) if v["name"] == old["name"]], (old, new)
    card_tells(sarang, story)


def nothing_left(sarang, story, before, token, samples):
    for name in ["gpu"] + [f"beside{i}" for i in range(len(story.beside))]:
        sarang.ok(f"pool delete {name} --force")
    eventually(lambda: not sarang.ok("vgpu list -o json").json(), 60, "every claim is let go of")
    after = files(sarang)
    assert after == before, {path: (before.get(path), after.get(path)) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    eventually(lambda: not [c for c in cards(sarang) if c["used"] or c["error"]], 20, "the cards are seen empty")
    now = read(sarang, token)
    assert not [s for s in now if s[0].startswith("sarang_vgpu")], now
    assert not [s for s in now if s[0] == "sarang_desktops" and s[2]], now
    for card in cards(sarang):
        assert all(value(now, f"sarang_gpu_{what}", gpu=card["name"]) == 0 for what in ("parts", "foreign_parts", "differs")), now
        for kind in card["types"]:
            labels = {"gpu": card["name"], "type": kind["id"]}
            assert value(now, "sarang_gpu_type_free", **labels) == value(samples, "sarang_gpu_type_free", **labels) > 0, kind


def tell(story):
    with Place() as sarang:
        token = ready(sarang, story)
        before, samples = files(sarang), read(sarang, token)
        classes = {"gpu": story.type} | {f"beside{i}": accepts for i, accepts in enumerate(story.beside)}
        for name, accepts in classes.items():
            sarang.ok(f"gpu-class add {name} --accepts {accepts}")
        for name in classes:
            pool(sarang, name, 1, 16 if name == "gpu" else 1)
        sessions = fill(sarang, story)
        card_tells(sarang, story)
        refused(sarang, story, f"u{story.most}")
        ended_and_granted(sarang, story, sessions[0], f"u{story.most + 1}", token)
        nothing_left(sarang, story, before, token, samples)


def told(story):
    def story_told():
        tell(story)
    story_told.__name__ = story.name
    return test(story_told)


for each in STORIES:
    told(each)
main()
