#!/usr/bin/env python3
"""Graphics cards from the first look to the last claim, as a person sees it: the shipped daemon, a fake host with the vendors' rules."""
import json
import signal

from clilab import Place
from gatewaylab import eventually, main, test
from gpulab import CARD, cards, claims, furnish, made


@test
def a_tree_shows_whose_each_part_is():
    with Place() as sarang:
        furnish(sarang)
        lines = sarang.ok("gpu tree").out.splitlines()
        assert lines[0].split() == ["NAME", "STATE", "TYPE", "DESKTOP"] and len(lines) == 6, lines
        assert lines[1].split() == ["h1", "up"], lines
        assert CARD in lines[2] and "ready" in lines[2] and "3 in use" in lines[2], lines
        for v in claims(sarang):
            assert [w in line for line in lines for w in (v["name"],)].count(True) == 1, (v, lines)
            line = next(line for line in lines if v["name"] in line)
            assert v["uuid"] in line and "attached" in line and line.endswith(v["desktop"]), (v, line)
        assert "foreign" in lines[5] and "v-" not in lines[5].split("foreign")[0], lines
        korean = sarang.ok("gpu tree", LANG="ko_KR.UTF-8").out
        assert "남의 것" in korean and "3개 사용" in korean and "사용 중" in korean and "foreign" not in korean, korean
        refused = sarang.type("gpu tree -o json")
        assert refused.status == 2 and "table or wide" in refused.err, refused


@test
def a_watched_tree_is_shown_again_when_something_in_it_changes():
    with Place() as sarang:
        furnish(sarang)
        watch = sarang.process("gpu watch")
        first = [watch.stdout.readline() for _ in range(6)]
        assert first == sarang.ok("gpu tree").out.splitlines(keepends=True), first
        card = cards(sarang)[0]["name"]
        sarang.ok(f"gpu quarantine {card}")
        assert watch.stdout.readline() == "\n"
        again = [watch.stdout.readline() for _ in range(6)]
        assert "quarantined" in again[2], again
        assert [line.split() for line in first[3:]] == [line.split() for line in again[3:]], "columns may be wider, what is in them is the same"
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=30)
        assert (watch.returncode, out, err) == (0, "", ""), (out, err)


@test
def what_is_full_is_refused_in_numbers_and_what_is_foreign_stays():
    with Place() as sarang:
        furnish(sarang)
        theirs = set(made(sarang)) - {v["uuid"] for v in claims(sarang)}
        assert len(theirs) == 1, made(sarang)
        foreign, = theirs
        card = sarang.ok("gpu list -o name").out.split()[0]
        for lang in "en", "ko":
            shown = sarang.ok(f"gpu show {card} --lang {lang}").out
            assert "free=" in shown and "max=" in shown and foreign in shown, shown
        sarang.ok("pool change gpu --min 4")
        eventually(lambda: len(claims(sarang)) == 3, 40, "a third one fits")
        said = "3 claimed by us, 1 foreign"
        eventually(lambda: said in sarang.ok("pool show gpu").out, 20, "the pool says why there is no fourth")
        sarang.ok("pool delete gpu")
        eventually(lambda: not sarang.ok("vgpu list -o json").json(), 40, "every claim is let go of")
        assert set(made(sarang)) == theirs, made(sarang)


@test
def who_waits_gets_what_another_pool_lets_go_of():
    with Place() as sarang:
        furnish(sarang)
        sarang.ok("pool create late --template linux-cli --image linux --gpu-class hd --min 2 --max 2")
        eventually(lambda: len(claims(sarang)) == 3, 40, "one more fits")
        sarang.ok("pool change gpu --min 0 --max 1")
        late = [d["name"] for d in sarang.ok("desktop list -o json --pool late").json()]
        eventually(lambda: len(sarang.ok("desktop list -o json --pool late --state available").json()) == 2, 20, f"another one than {late} comes")
        assert sarang.ok("pool show late -o json").json()["error"] is None


@test
def a_desktop_whose_card_is_gone_is_not_shown_as_well():
    with Place() as sarang:
        furnish(sarang)
        sarang.command_host(f"nocard {CARD}")
        eventually(lambda: cards(sarang)[0]["state"] == "gone", 40, "the card is missed")
        eventually(lambda: not [d for d in sarang.ok("desktop list -o json").json() if d["pool"] == "gpu" and d["state"] == "available"], 40,
                   "no desktop without its GPU is available")
        status = sarang.ok("status").out
        assert cards(sarang)[0]["name"] in status and "gone" in status, status


@test
def a_card_that_nvidia_smi_does_not_tell_of_stops_no_other():
    """One that fell off the bus is not judged and gets nothing new; what is off on the others starts, and new ones are found."""
    dead, whole = "0000:41:00.0", "0000:61:00.0"
    words = f"failed status 15: Unable to determine the device handle for GPU {dead}: GPU is lost."
    with Place() as sarang:
        sarang.furnish(spare=0, uri=f"&gpus={sarang.folder}/cards")
        sarang.command_host(f"card {dead} a40")
        sarang.command_host(f"card {whole} w6800")
        eventually(lambda: [c["state"] for c in cards(sarang)] == ["ready", "ready"], 40, "the cards are found")
        for name, accepts in (("vf", "nvidia-558"), ("wh", "whole:1002:73a3")):
            sarang.ok(f"gpu-class add {name} --accepts {accepts}")
            sarang.ok(f"pool create {name} --template linux-cli --image linux --gpu-class {name} --min 1 --max 1")
        eventually(lambda: len(claims(sarang)) == 2, 40, "two desktops run with a part each")
        (sarang.folder / "cards/smi-silent").write_text(words + "\n", encoding="utf-8")
        sarang.command_host(f"card {CARD} mdpy")
        eventually(lambda: {c["address"]: c["state"] for c in cards(sarang)} == {dead: "unseen", whole: "ready", CARD: "ready"}, 40, "it alone is unseen")
        card = [c for c in cards(sarang) if c["state"] == "unseen"][0]
        assert "GPU is lost" in json.dumps(card["error"]) and "GPU is lost" in sarang.ok(f"gpu show {card['name']}").out, card
        assert sarang.ok("host show h1 -o json").json()["cards_error"] is None
        sarang.ok("pool change vf --min 2 --max 2")
        for claim in claims(sarang):  # neither needs nvidia-smi: what a function's type is its file says
            sarang.ok(f"desktop maintain {claim['desktop']}")
            sarang.ok(f"desktop destroy {claim['desktop']} --wait=40")
            sarang.ok(f"desktop start {claim['desktop']} --wait=40")
        assert len(claims(sarang)) == 2 and len([v for v in sarang.ok("vgpu list -o json").json() if v["gpu"] == card["name"]]) == 1
        (sarang.folder / "cards/smi-silent").unlink()
        sarang.command_host("card 0000:82:00.0 mdpy")
        eventually(lambda: len(claims(sarang)) == 4 and not [c for c in cards(sarang) if c["state"] != "ready" or c["error"]], 40, "it is used again")


@test
def a_part_is_taken_out_of_a_running_desktop_and_plugged_in_again():
    with Place() as sarang:
        furnish(sarang)
        first = claims(sarang)[0]
        desktop = first["desktop"]
        refused = sarang.type(f"desktop detach-gpu {desktop}")
        assert refused.status != 0 and "nobody holds it" in refused.err, refused
        sarang.ok(f"desktop maintain {desktop}")
        for slot in ("x", "1.5", "-1", "8"):  # nothing but a number means a slot, least of all the first
            for verb in ("detach-gpu", "attach-gpu"):
                odd = sarang.type(f"desktop {verb} {desktop} --slot={slot}")
                assert odd.status == 2 and "must be a whole number" in odd.err, odd
        sarang.command_host(f"sticky sarang-{desktop} on")
        stays = sarang.type(f"desktop detach-gpu {desktop} --wait=60")
        assert stays.status != 0 and "has not let go" in stays.err, stays
        assert [v["name"] for v in claims(sarang) if v["desktop"] == desktop] == [first["name"]], claims(sarang)
        sarang.command_host(f"sticky sarang-{desktop} off")
        sarang.ok(f"desktop detach-gpu {desktop} --wait=60")
        assert not [v for v in sarang.ok("vgpu list -o json").json() if v["desktop"] == desktop], "its claim is freed"
        assert first["uuid"] not in made(sarang), made(sarang)
        shown = sarang.ok(f"desktop show {desktop} -o json").json()
        assert (shown["power"], shown["unplugged"]) == ("on", 1), shown
        lines = [line.strip() for lang in ("en", "ko") for line in sarang.ok(f"desktop show {desktop} --lang {lang}").out.splitlines()]
        shown = [" ".join(line.split()) for line in lines if line.startswith(("unplugged", "뺀 GPU"))]
        assert shown == ["unplugged slot 0", "뺀 GPU 슬롯 0"], shown
        told = sarang.ok(f"explain {desktop}").out
        assert "an operator took parts of its graphics card out as it ran: slot 0\n" in told, told
        assert f"help     while it is on: sarang desktop attach-gpu {desktop}\n" in told, told
        assert "운영자가 실행 중에 GPU를 뺐습니다: 슬롯 0\n" in sarang.ok(f"explain {desktop} --lang ko").out
        (task,) = [t for t in sarang.ok("task list -o json").json() if t["kind"] == "gpu-detach" and t["state"] == "done"]
        assert task["verb"] == "none" and " start\n" not in sarang.ok(f"task show {task['name']}").out, task
        again = sarang.type(f"desktop detach-gpu {desktop}")
        assert again.status != 0 and "to take out" in again.err, again
        sarang.ok(f"desktop attach-gpu {desktop} --wait=60")
        second = next(v for v in claims(sarang) if v["desktop"] == desktop)
        assert second["name"] != first["name"] and second["uuid"] in made(sarang), (first, second)
        again = sarang.ok(f"desktop show {desktop}").out.splitlines()
        assert [line.split()[1] for line in again if line.startswith("unplugged")] == ["-"], again
        assert "taken out" not in sarang.ok(f"explain {desktop}").out and "attach-gpu" not in sarang.ok(f"explain {desktop}").out
        assert "unplugged" not in sarang.ok(f"explain {desktop} -o json").json()
        # the definition follows: it starts with the part that it has now
        sarang.ok(f"desktop destroy {desktop} --wait=60")
        sarang.ok(f"desktop start {desktop} --wait=60")
        assert [v["uuid"] for v in claims(sarang) if v["desktop"] == desktop] == [second["uuid"]], claims(sarang)
        sarang.ok(f"desktop maintain {desktop}")
        eventually(lambda: [v["clone"] for v in claims(sarang) if v["desktop"] == desktop] == [2], 40, "the next generation has a part of its own")


@test
def who_waits_takes_what_was_taken_out_and_a_screen_stays_in():
    with Place() as sarang:
        furnish(sarang)
        sarang.ok("pool change gpu --min 3 --max 3")
        eventually(lambda: len(claims(sarang)) == 3, 40, "the card is full")
        desktop = claims(sarang)[0]["desktop"]
        sarang.ok(f"desktop maintain {desktop}")
        sarang.ok("pool change gpu --min 2 --max 2")
        sarang.ok("pool create late --template linux-cli --image linux --gpu-class hd --min 1 --max 1")
        sarang.ok(f"desktop detach-gpu {desktop} --wait=60")
        eventually(lambda: len(claims(sarang)) == 3, 40, "another one has it now")
        full = sarang.type(f"desktop attach-gpu {desktop}")
        assert full.status != 0 and "no graphics card" in full.err, full
        assert sarang.ok(f"desktop show {desktop} -o json").json()["unplugged"] == 1
        sarang.ok("pool delete late")
        eventually(lambda: len(sarang.ok("vgpu list -o json").json()) == 2, 40, "it is free again")
        sarang.ok("gpu-class change hd --display on")
        sarang.ok(f"desktop attach-gpu {desktop} --wait=60")
        refused = sarang.type(f"desktop detach-gpu {desktop}")
        assert refused.status != 0 and "is its screen" in refused.err, refused
        korean = sarang.type(f"desktop detach-gpu {desktop}", LANG="ko_KR.UTF-8")
        assert "화면으로 쓰이고 있어" in korean.err, korean


main()
