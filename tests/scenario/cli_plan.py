#!/usr/bin/env python3
"""sarang plan: what if so many more, and what would make room; nothing changes by asking."""
from clilab import PROJECT, Place, eventually
from gatewaylab import main, test

import os
import subprocess


def fleet(sarang):
    """Three hosts of 8 virtual CPUs, one of them kept out of use, and six desktops of 2 on the others."""
    for name in ("h1", "h2", "h3"):
        sarang.ok(f"host add {name} --uri fake:{name} --vcpus 8 --memory-mib 16384 --wait=20")
    (sarang.folder / "disk").mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", sarang.folder / "linux.qcow2", "16M"], check=True)
    sarang.ok(f"storage add disk --path {sarang.folder}/disk --controller-path {sarang.folder}/disk --hosts h1,h2,h3")
    sarang.ok("image import linux ./linux.qcow2 --format qcow2 --storages disk --wait=30")
    sarang.ok(f"template add linux-cli {PROJECT}/templates/linux-cli.xml")
    sarang.ok("host drain h1 --wait=20")
    sarang.ok("pool create cad --template linux-cli --image linux --vcpus 2 --spare 6 --max 20")
    eventually(lambda: len(sarang.ok("desktop list --state available -o json").json()) == 6, 30, "six desktops are there")


@test
def what_has_a_place_and_what_stops_the_rest():
    with Place() as sarang:
        fleet(sarang)
        before = sarang.ok("event list --limit 1 -o json").json()
        told = sarang.ok("plan --pool cad --count 4").out
        assert told == ("2 of 4 more desktops have a place\n     1 × h2\n     1 × h3\n0 of 3 hosts have room for the next\n"
                        "     2 × host  vcpus          at best: host h3 has 0 of 8 vCPUs free, 2 wanted\n"
                        "     1 × host  host-state     host h1 is maintenance\n"), told
        korean = sarang.ok("plan --pool cad --count 4 --lang ko").out
        assert "2 × 호스트  vcpus          최선: 호스트 h3: vCPU 8 중 0 남음, 2 필요" in korean, korean
        answer = sarang.ok("plan --pool cad --count 4 -o json").json()
        assert (answer["placed"], answer["hosts_with_room"], answer["hosts_in_all"]) == (2, 0, 3), answer
        assert {row["rule"]: row["n"] for row in answer["hosts_stopped"]} == {"vcpus": 2, "host-state": 1}, answer
        assert sarang.ok("event list --limit 1 -o json").json() == before, "asking is not heard of"
        assert len(sarang.ok("desktop list -o json").json()) == 6


@test
def who_drains_a_host_is_told_where_it_is_wanted_back():
    with Place() as sarang:
        sarang.furnish(spare=1, most=1)
        sarang.ok("session request cad --user jihye --wait=20")
        drains = sarang.process("host drain h1 --wait=30")
        sarang.wait_for("host", "h1", state="draining")
        sarang.ok("host activate h1")
        out, err = drains.communicate(timeout=60)
        assert drains.returncode == 1 and err == "sarang: host h1 is up: it is not being drained any more\n", (drains.returncode, out, err)
        drains = sarang.process("host drain h1 --wait=30")
        sarang.wait_for("host", "h1", state="draining")
        sarang.ok(f"session end {sarang.ok('session list -o json').json()[0]['name']} --wait=20")
        out, err = drains.communicate(timeout=60)
        assert drains.returncode == 0 and "maintenance" in out, (drains.returncode, out, err)
        before = sarang.ok("event list --limit 1 -o json").json()
        assert "maintenance" in sarang.ok("host drain h1 --wait=30").out, "who drains twice finds it drained"
        assert sarang.ok("event list --limit 1 -o json").json() == before


@test
def moves_are_told_and_not_made():
    with Place() as sarang:
        fleet(sarang)
        sarang.ok("host activate h1 --wait=20")
        before = sarang.ok("event list --limit 1 -o json").json()
        told = sarang.ok("plan rebalance --host h2").out
        lines = told.splitlines()
        assert lines[0].startswith("host h2 is free after 3 moves, ") and lines[0].endswith(" MiB of memory over the network"), told
        assert len(lines) == 4 and all(" h2 → h1 " in line or " h2 → h3 " in line for line in lines[1:]), told
        answer = sarang.ok("plan rebalance --host h2 -o json").json()
        assert answer["reached"] and answer["moves_in_all"] == 3 and answer["stays"] == [], answer
        assert sarang.ok("plan rebalance --pool cad").out == "cad has a place as it is\n"
        sarang.ok("storage change disk --hosts h2")
        told = sarang.ok("plan rebalance --host h2").out
        assert "host h2 does not become free: 3 of its desktops cannot be moved by live migration\nWhat stays where it is:\n     3 × d-" in told, told
        assert "its disk is on storage disk, which hosts do not share" in told, told
        korean = sarang.ok("plan rebalance --host h2 --lang ko").out
        assert "디스크가 호스트끼리 공유하지 않는 스토리지 disk에 있습니다" in korean and "옮길 수 없는 것:" in korean, korean
        assert sarang.type("plan rebalance --host nosuch").status == 3
        assert sarang.type("plan rebalance --host h2 --pool cad").status == 2
        events = [e for e in sarang.ok("event list --limit 20 -o json").json() if e["number"] > before[0]["number"]]
        assert all(e["noun"] == "storage" for e in events), events


@test
def staff_sees_why_a_person_was_refused():
    with Place() as sarang:
        fleet(sarang)
        assert "denied" not in sarang.ok("explain pool cad").out
        sarang.ok("pool create big --template linux-cli --image linux --vcpus 6 --max 2")
        sarang.type("user add jihye --password", text="correct horse battery\n")
        assert sarang.type("session request big --user jihye").status == 8
        told = sarang.ok("explain pool big").out
        line = next(x for x in told.splitlines() if x.split()[:1] == ["denied"])
        assert "s ago: jihye, 6 vCPUs, " in line and " MiB · no host takes one more desktop" in line and "has 2 of 8 vCPUs free, 6 wanted" in line, told
        assert "0 of 1 more desktops have a place\n" in told and "     2 × host  vcpus          at best: " in told, told
        assert "session.denied" not in told, told
        answer = sarang.ok("explain pool big -o json").json()
        assert [(d["user"], d["detail"]["vcpus"]) for d in answer["denials"]] == [("jihye", 6)] and answer["placement"]["placed"] == 0, answer
        korean = sarang.ok("explain pool big --lang ko").out
        assert "거부" in korean, korean
        sarang.ok("host activate h1 --wait=20")
        assert "1 of 1 more desktops have a place\n     1 × h1\n" in sarang.ok("explain pool big").out


@test
def a_pool_that_is_full_is_not_told_to_have_a_place():
    with Place() as sarang:
        sarang.furnish(spare=1, most=1)
        sarang.ok("session request cad --user jihye --wait=20")
        sarang.type("user add mina --password", text="correct horse battery\n")
        assert sarang.type("session request cad --user mina").status == 8
        told = sarang.ok("explain pool cad").out
        assert "have a place" not in told and "have room for the next" not in told, told
        assert "pool cad gets no more: it has the 1 desktops that its max allows; sarang pool change cad --max N\n" in told, told
        assert "with a higher max the hosts would have room for 1 of 1 more\n" in told, told
        assert "최대(max) 1대가 이미 있습니다" in sarang.ok("explain pool cad --lang ko").out
        assert sarang.ok("explain pool cad -o json").json()["at_max"] is True
        planned = sarang.ok("plan --pool cad --count 2").out
        assert "2 of 2 more desktops have a place\n" in planned, planned
        assert '→ pool "cad" takes 0 of them: it has 1 of at most 1 desktops; sarang pool change cad --max 3 lets it have' in planned, planned
        sarang.ok("pool change cad --spare 0 --max 2")
        assert "1 of 1 more desktops have a place" in sarang.ok("explain pool cad").out
        assert "takes" not in sarang.ok("plan --pool cad").out


@test
def more_hosts_or_fewer():
    with Place() as sarang:
        fleet(sarang)
        (sarang.folder / "more.csv").write_text("h9,h2\n", encoding="utf-8")
        assert sarang.ok("plan --pool cad --count 6 --add-hosts more.csv -o json").json()["placed"] == 6
        assert sarang.ok("plan --pool cad --count 4 --without-host h2 -o json").json()["placed"] == 1
        for words, status, what in (("--count 0", 2, 'count is "0", but must be a whole number from 1 to 10000'),
                                    ("--without-host h7", 3, 'there is no host "h7"'), ("--profile nvidia-558", 2, "for a pool with a GPU class"),
                                    ("--add-hosts /nosuch", 1, "/nosuch")):
            refused = sarang.type(f"plan --pool cad {words}")
            assert refused.status == status and what in refused.err, refused
        assert sarang.type("plan --pool nosuch").status == 3


@test
def what_was_asked_for_is_played_on_other_fleets():
    with Place() as sarang:
        fleet(sarang)
        held = sarang.ok("session request cad -o json --wait=30").json()["name"]
        assert sarang.ok("demand list -o json").json() == []
        young = sarang.type("plan replay")
        assert young.status == 0 and "nothing is recorded yet: this plays the 1 sessions open now" in young.err, young
        none = sarang.type("plan replay --from 2100-01-01")
        assert none.status == 3 and "of 1 recorded rows 1 were asked for at another time" in none.err and "sarang demand list" in none.err, none
        sarang.ok(f"session end {held}")
        (row,) = sarang.ok("demand list -o json").json()
        assert (row["outcome"], row["vcpus"], row["pool"], row["session"]) == ("granted", 2, "cad", held), row
        (sarang.folder / "more.csv").write_text("h9,h2\n", encoding="utf-8")
        ours = sarang.ok("plan replay -o json --add-hosts more.csv").json()
        assert [(f["name"], f["hosts"], f["asked"], f["denied"]) for f in ours["fleets"]] == [("as-is", 2, 1, 0), ("would-be", 3, 1, 0)], ours
        lines = ["asked,pool,granted,ended,count", "2026-01-05T09:00:00Z,cad,2026-01-05T09:00:00Z,2026-01-05T17:00:00Z,6",
                 "2026-01-05T10:00:00Z,cad,2026-01-05T10:00:00Z,2026-01-05T18:00:00Z,6", "2026-01-05T18:00:00Z,cad,,,1"]
        (sarang.folder / "demand.csv").write_text("\n".join(lines), encoding="utf-8")
        eventually(lambda: not sarang.ok("task list --state running -o json").json() and
                   {d["state"] for d in sarang.ok("desktop list -o json").json()} == {"available"}, 30, "the desktop that was given back is ready")
        before = sarang.ok("event list --limit 1 -o json").json()
        told = sarang.ok("plan replay --csv demand.csv --add-hosts more.csv --svg use.svg").out
        assert "the fleet as it is" in told and "as it would be" in told and "h9" in told, told
        fleets = sarang.ok("plan replay --csv demand.csv --add-hosts more.csv -o json").json()["fleets"]
        assert [(f["asked"], f["granted"], f["denied"]) for f in fleets] == [(13, 9, 4), (13, 13, 0)], fleets
        fewer = sarang.ok("plan replay --csv demand.csv --without-host h3 -o json").json()["fleets"][1]
        assert (fewer["hosts"], fewer["denied"]) == (1, 8), fewer
        assert "호스트" in sarang.ok("plan replay --csv demand.csv --lang ko").out
        svg = (sarang.folder / "use.svg").read_text(encoding="utf-8")
        assert svg.startswith("<svg ") and svg.count("<polyline") == 4 and "h9" in svg
        os.mkfifo(sarang.folder / "pipe")
        drawn = subprocess.Popen(["cat", sarang.folder / "pipe"], stdout=subprocess.PIPE, text=True)
        sarang.ok("plan replay --csv demand.csv --add-hosts more.csv --svg pipe")
        assert drawn.communicate(timeout=20)[0] == svg and (sarang.folder / "pipe").is_fifo(), "what is no file is not replaced by one"
        (sarang.folder / "full").symlink_to("/dev/full")
        full = sarang.type("plan replay --csv demand.csv --svg full")
        assert full.status == 1 and "No space left" in full.err and (sarang.folder / "full").is_symlink(), full
        excel = "".join(";".join(f'"{field}"' for field in line.split(",")) + "\r\n" for line in lines)
        (sarang.folder / "excel.csv").write_text("\ufeff" + excel, encoding="utf-8")
        assert sarang.ok("plan replay --csv excel.csv --add-hosts more.csv -o json").json()["fleets"] == fleets
        (sarang.folder / "excel.csv").write_text(excel, encoding="utf-16")
        wide = sarang.type("plan replay --csv excel.csv")
        assert wide.status == 2 and "UTF-8" in wide.err, wide
        lines[2] = "yesterday,cad,,,6"
        (sarang.folder / "demand.csv").write_text("\n".join(lines), encoding="utf-8")
        refused = sarang.type("plan replay --csv demand.csv")
        assert refused.status == 2 and 'line 3, column asked is "yesterday"' in refused.err, refused
        assert sarang.ok("event list --limit 1 -o json").json() == before, "playing is not heard of"


if __name__ == "__main__":
    main()
