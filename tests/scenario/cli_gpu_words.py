#!/usr/bin/env python3
"""What a person is told of cards, claims and classes by the shipped programs: state, why, since when, what next; how many more there are."""
import re

from clilab import Place
from gatewaylab import eventually, main, test
from gpulab import CARD, TYPE, cards, claims, furnish


def explained(sarang, what, **more):
    """The lines of explain by their first word."""
    lines = {}
    for line in sarang.ok(f"explain {what}", **more).out.splitlines()[1:]:
        lines.setdefault(line[2:11].strip(), line[11:])
    return lines


@test
def a_card_and_a_claim_say_how_they_are_since_when_and_what_is_next():
    with Place() as sarang:
        furnish(sarang)
        card, claim = cards(sarang)[0]["name"], claims(sarang)[0]
        told = sarang.ok(f"explain {card}").out
        assert told.startswith(f"gpu {card}: ready\n") and "it gives parts to desktops" in told and "for      " in told, told
        assert "host h1: up" in told and all(f"vgpu {v['name']}: attached" in told for v in claims(sarang)), told
        told = explained(sarang, claim["name"])
        assert f"{claim['desktop']} was started with it" in told["now"] and "it stays until" in told["next"] and told["around"].startswith(f"gpu {card}: ready"), told
        since = cards(sarang)[0]["since"]
        sarang.ok(f"gpu quarantine {card}")
        told = explained(sarang, card)
        assert "an operator took it out" in told["now"] and told["help"] == f"use it again: sarang gpu activate {card}", told
        assert re.fullmatch(r"\d+ s", told["for"]) and cards(sarang)[0]["since"] > since, (told, since)
        korean = sarang.ok(f"explain gpu {card} --lang ko").out
        assert "운영자가 격리했습니다" in korean and "점유" in korean and " up" not in korean, korean
        sarang.ok(f"gpu activate {card}")
        sarang.command_host(f"nocard {CARD}")
        eventually(lambda: cards(sarang)[0]["state"] == "gone", 40, "the card is missed")
        told = explained(sarang, card)
        assert f"no longer has it at {CARD}" in told["now"] and "gpu remove" in told["help"] + sarang.ok(f"explain {card}").out, told


@test
def who_lost_a_part_is_told_of_the_card_and_not_of_the_host():
    with Place() as sarang:
        furnish(sarang)
        session = sarang.ok("session request gpu --user jihye --wait=40 -o json").json()["name"]
        desktop = sarang.ok(f"session show {session} -o json").json()["desktop"]
        claim = next(v for v in claims(sarang) if v["desktop"] == desktop)
        sarang.command_host(f"nocard {CARD}")
        eventually(lambda: sarang.ok(f"desktop show {desktop} -o json").json()["state"] == "lost", 40, "its desktop is lost")
        for what in (desktop, session):
            told = sarang.ok(f"explain {what}").out
            assert "does not answer" not in told and "part of a graphics card" in told and claim["gpu"] in told, told
            assert f"sarang desktop start {desktop}" in told, told
            korean = sarang.ok(f"explain {what} --lang ko").out
            assert "응답하지 않" not in korean and "그래픽 카드 조각" in korean and claim["gpu"] in korean, korean


@test
def a_class_tells_how_many_more_it_could_be_given_and_on_which_cards():
    with Place() as sarang:
        furnish(sarang)
        sarang.ok("gpu-class add none --accepts nvidia-99999")
        sarang.command_host("card 0000:41:00.0 a40")
        eventually(lambda: [c["state"] for c in cards(sarang)] == ["ready", "ready"], 40, "another card")
        sarang.ok(f"gpu-class add both --accepts {TYPE},nvidia-558")
        told = {row["name"]: row for row in sarang.ok("gpu classes -o json").json()}
        assert [told[name]["claimed"] for name in ("hd", "none", "both")] == [2, 0, 0], told
        card = {c["address"]: {t["id"]: t["free"] for t in c["types"]} for c in cards(sarang)}
        few, many = card[CARD][TYPE], card["0000:41:00.0"]["nvidia-558"]
        assert few == 1 and many > 1 and [told[name]["free"] for name in ("hd", "none", "both")] == [few, 0, few + many], (card, told)
        rows = {row["type"]: (row["cards"], row["free"], row["claimed"]) for row in told["both"]["types"]}
        assert rows == {TYPE: (1, few, 0), "nvidia-558": (1, many, 0)}, rows
        lines = sarang.ok("gpu classes").out.splitlines()
        hd = next(i for i, line in enumerate(lines) if line.startswith("hd "))
        assert lines[0].split()[-2:] == ["FREE", "CLAIMED"] and lines[hd].split()[1:] == ["1", "2"] and TYPE in lines[hd + 1], lines
        assert any("nvidia-99999" in line and "no known card has it" in line for line in lines), lines
        sarang.ok(f"gpu quarantine {cards(sarang)[0]['name']}")
        told = {row["name"]: row["free"] for row in sarang.ok("gpu classes -o json").json()}
        assert told == {"hd": 0, "none": 0, "both": many} or told == {"hd": few, "none": 0, "both": few}, told


def classes_free(sarang, name):
    return next(row["free"] for row in sarang.ok("gpu classes -o json").json() if row["name"] == name)


@test
def what_waits_for_its_reset_is_not_told_as_free():
    with Place() as sarang:
        furnish(sarang)
        sarang.command_host("card 0000:41:00.0 a40")
        eventually(lambda: len(cards(sarang)) == 2, 40, "another card")
        sarang.ok("gpu-class add vf --accepts nvidia-558")
        before = classes_free(sarang, "vf")
        sarang.ok("pool create vf --template linux-cli --image linux --gpu-class vf --min 1 --max 1")
        eventually(lambda: [v for v in claims(sarang) if v["class"] == "vf" and v["state"] == "attached"], 40, "a desktop with a function")
        claim = next(v for v in claims(sarang) if v["class"] == "vf")
        assert classes_free(sarang, "vf") == before - 1
        fails = sarang.folder / "cards/sys/bus/pci/devices" / claim["address"] / "fail"
        fails.write_text("reset 25\n", encoding="utf-8")
        sarang.ok("pool delete vf --force")
        eventually(lambda: "is not reset" in sarang.ok(f"vgpu show {claim['name']}").out, 40, "its reset is not confirmed")
        assert classes_free(sarang, "vf") == before - 1, "nobody can be given it"
        forced = lambda: sarang.type(f"gpu release {claim['gpu']} {claim['address']} --force").status == 0
        eventually(forced, 40, "an operator frees it between two tries of the desktop's end")
        eventually(lambda: classes_free(sarang, "vf") == before, 40, "it is free")


@test
def a_class_of_types_that_no_card_has_is_made_and_warned_of():
    with Place() as sarang:
        furnish(sarang)
        right = sarang.ok(f"gpu-class add right --accepts {TYPE},mib:1")
        assert not right.err or "mib:1" in right.err, right
        slip = sarang.ok("gpu-class add slip --accepts vgpu_mdpy-hq")
        assert slip.err.startswith("warning: no card that is known has vgpu_mdpy-hq; the nearest that cards have: ") and TYPE in slip.err, slip
        assert "sarang gpu-class change slip --accepts" in slip.err and "warning" not in slip.out, slip
        korean = sarang.ok("gpu-class add slip2 --accepts vgpu_mdpy-hq --lang ko")
        assert korean.err.startswith("주의: 알려진 카드 중 vgpu_mdpy-hq"), korean
        far = sarang.ok("gpu-class add far --accepts whole:1002:73a3 -o json").json()["warning"]
        assert far["code"] == "gpu-type-unknown" and far["args"]["types"] == "whole:1002:73a3" and far["args"]["near"], far
        mended = sarang.ok(f"gpu-class change slip --accepts {TYPE} -o json").json()
        assert "warning" not in mended and mended["accepts"] == [TYPE], mended
        assert "vgpu_mdpy-hq" in sarang.ok("gpu-class change slip --accepts vgpu_mdpy-hq").err


@test
def a_claim_is_released_by_its_place_as_by_its_name():
    with Place() as sarang:
        furnish(sarang)
        first, second = claims(sarang)
        held = sarang.type(f"gpu release {first['name']}")
        assert held.status == 5 and f"vGPU {first['name']} is that of desktop" in held.err, held
        by_part = sarang.type(f"gpu release {first['gpu']} {first['uuid']}")
        assert by_part.err == held.err, (by_part, held)
        forced = sarang.type(f"gpu release {first['gpu']} {first['uuid']} --force")
        assert forced.err == held.err, (forced, held)
        several = sarang.type(f"gpu release {first['gpu']}")
        assert several.status == 2 and first["name"] in several.err and second["name"] in several.err, several
        none = sarang.type(f"gpu release {first['gpu']} 0000:99:00.0")
        assert none.status == 3 and "there is no vgpu" in none.err, none
        late = sarang.type(f"gpu release {first['name']} --clone 7")
        assert late.status == 5 and "is at generation 1, not 7" in late.err, late
        desktop = first["desktop"]
        sarang.ok(f"desktop maintain {desktop}")
        sarang.ok(f"desktop destroy {desktop} --wait=40")
        sarang.command_host(f"nocard {CARD}")
        eventually(lambda: cards(sarang)[0]["state"] == "gone", 40, "the card is missed")
        left = [v["name"] for v in sarang.ok("vgpu list -o json").json()]
        if first["name"] in left:
            sarang.ok(f"gpu release {first['name']}")
        eventually(lambda: first["name"] not in [v["name"] for v in sarang.ok("vgpu list -o json").json()], 40, "it is freed")


@test
def a_tree_hides_nothing_and_a_card_s_idle_functions_are_counted():
    """A function that others gave another type in our claim's place is theirs; a card that is gone shows nothing that it had."""
    vf = "0000:41:00.0"
    with Place() as sarang:
        furnish(sarang)
        sarang.command_host(f"card {vf} a40")
        eventually(lambda: len(cards(sarang)) == 2 and all(c["state"] == "ready" for c in cards(sarang)), 40, "another card")
        sarang.ok("gpu-class add vf --accepts nvidia-558")
        sarang.ok("pool create vf --template linux-cli --image linux --gpu-class vf --min 1 --max 1")
        eventually(lambda: len(claims(sarang)) == 3, 40, "a desktop has a function")
        card = next(c for c in cards(sarang) if c["address"] == vf)
        claim = next(v for v in claims(sarang) if v["gpu"] == card["name"])
        for kind in card["types"]:
            assert kind["free"] <= kind.get("max", kind["free"]), kind
        idle = [p for p in card["parts"] if "type" not in p]
        lines = sarang.ok(f"gpu show {card['name']}").out.splitlines()
        assert idle and any(line.split() == ["idle", "functions", str(len(idle))] for line in lines), lines
        assert not any(p["address"] in line for p in idle for line in lines) and any(claim["address"] in line for line in lines), lines
        korean = sarang.ok(f"gpu show {card['name']} --lang ko").out
        assert "남은 가상 기능" in korean, korean
        tree = sarang.ok("gpu tree").out.splitlines()
        assert len([line for line in tree if claim["address"] in line]) == 1 and len([line for line in tree if "foreign" in line]) == 1, tree
        node = sarang.folder / "cards/sys/bus/pci/devices" / claim["address"] / "nvidia/current_vgpu_type"
        node.write_text("559\n", encoding="utf-8")
        sarang.command_host("card 0000:42:00.0 mdpy")  # the host announces a change, and is looked at
        eventually(lambda: len([line for line in sarang.ok("gpu tree").out.splitlines() if claim["address"] in line]) == 2, 40, "both are shown")
        theirs = next(line for line in sarang.ok("gpu tree").out.splitlines() if "nvidia-559" in line)
        assert "foreign" in theirs and claim["address"] in theirs, theirs
        sarang.command_host(f"nocard {CARD}")
        gone = cards(sarang)[0]["name"]
        eventually(lambda: cards(sarang)[0]["state"] == "gone", 40, "the card is missed")
        tree = sarang.ok("gpu tree").out
        assert TYPE not in tree or "v-" in tree and not [line for line in tree.splitlines() if TYPE in line and "v-" not in line], (gone, tree)


@test
def saved_memory_is_given_up_by_a_verb_of_ours():
    with Place() as sarang:
        furnish(sarang)
        desktop = claims(sarang)[0]["desktop"]
        sarang.ok(f"desktop maintain {desktop}")
        refused = sarang.type(f"desktop discard-saved {desktop}")
        assert refused.status == 5 and "has no saved state" in refused.err, refused
        sarang.ok(f"desktop save {desktop} --wait=40")
        eventually(lambda: sarang.ok(f"desktop show {desktop} -o json").json()["power"] == "saved", 40, "its memory is on disk")
        sarang.ok(f"desktop discard-saved {desktop} --wait=40")
        eventually(lambda: sarang.ok(f"desktop show {desktop} -o json").json()["power"] == "off", 40, "it is off")
        again = sarang.type(f"desktop restore {desktop} --wait=40")
        assert again.status != 0, again
        sarang.ok(f"desktop start {desktop} --wait=40")
        assert "저장된 메모리를 버립니다" in sarang.ok("help desktop discard-saved --lang ko").out


main()
