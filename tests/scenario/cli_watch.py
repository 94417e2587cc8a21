#!/usr/bin/env python3
"""--watch and --wait as people and programs see them: streams that go on over a restart, waits that end in good order."""
import json
import os
import signal
import stat
import time

from clilab import Place
from gatewaylab import eventually, main, test


def interrupted(process):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@test
def a_watched_list_tells_what_becomes_of_each():
    with Place() as sarang:
        sarang.furnish(spare=0)
        watch = sarang.process("desktop list --watch --pool cad -o json")
        sarang.ok("pool change cad --spare 1")
        name = sarang.ok("desktop list -o name").out.strip()
        sarang.wait_for("desktop", name, state="available")
        sarang.ok("pool change cad --spare 0")
        sarang.ok(f"desktop retire {name}")
        eventually(lambda: sarang.type("desktop list -o name").out == "", 20, "the desktop is gone")
        status, out, err = interrupted(watch)
        changes = [json.loads(line) for line in out.splitlines()]
        states = [c["state"] for c in changes]
        assert status == 0 and not err, (status, err)
        assert states[0] == "provisioning" and "wait-ready" in states and "available" in states, states
        assert changes[-1].get("gone") is True and all("gone" not in c for c in changes[:-1])
        assert states.index("wait-ready") < states.index("available")


@test
def a_watched_table_keeps_its_columns_and_its_filter():
    with Place() as sarang:
        sarang.ok("user add a --role viewer")
        watch = sarang.process("user list --watch --role viewer")
        first = [watch.stdout.readline() for _ in range(2)]
        sarang.ok("user add b --role operator")
        sarang.ok("user add c --role viewer")
        line = watch.stdout.readline()
        assert interrupted(watch)[0] == 0
        assert first[0].split() == ["NAME", "TITLE", "ROLE", "DISABLED"] and first[1].split()[0] == "a"
        assert line.split()[0] == "c", "b is no viewer"
        assert first[0].index("ROLE") == line.index("viewer") == first[1].index("viewer")


@test
def a_watched_host_tells_how_much_of_it_is_taken_as_a_list_does():
    taken = ("desktops", "vcpus_used", "vcpus_total", "memory_used_mib", "memory_total_mib")
    with Place() as sarang:
        sarang.furnish(spare=1)
        eventually(lambda: "available" in sarang.ok("desktop list").out, 20, "a desktop stands")
        watch, table = sarang.process("host list --watch -o json"), sarang.process("host list --watch")
        first, head, line = json.loads(watch.stdout.readline()), table.stdout.readline(), table.stdout.readline()
        sarang.ok("host change h1 --ssh-user else")
        changed, row = json.loads(watch.stdout.readline()), table.stdout.readline()
        listed = sarang.ok("host list -o json").json()[0]
        assert first["ssh_user"] is None and changed["ssh_user"] == "else", (first, changed)
        assert [changed.get(t) for t in taken] == [first[t] for t in taken] == [listed[t] for t in taken], (first, changed)
        assert changed["desktops"] == 1 and changed["vcpus_used"] > 0, changed
        assert head.split() == sarang.ok("host list").out.splitlines()[0].split(), head
        assert row.split()[-4:] == line.split()[-4:] and "/" in row.split()[-3], (head, line, row)
        assert interrupted(watch)[0] == interrupted(table)[0] == 0


@test
def a_watch_goes_on_when_the_controller_comes_back():
    with Place() as sarang:
        sarang.ok("user add a")
        watch = sarang.process("user show a --watch -o json")
        assert json.loads(watch.stdout.readline())["title"] is None
        sarang.stop()
        sarang.start()
        sarang.ok("user change a --title back")
        assert json.loads(watch.stdout.readline())["title"] == "back"
        sarang.ok("user remove a")
        assert json.loads(watch.stdout.readline())["gone"] is True
        assert watch.wait(20) == 0, "what is gone is watched no longer"
        watch.communicate()
        assert sarang.type("user show a --watch").status == 3
        assert sarang.type("user list --watch", SARANG_SOCKET=f"{sarang.folder}/absent").status == 7


@test
def events_come_newest_last():
    with Place() as sarang:
        sarang.ok("user add a")
        sarang.ok("user add b")
        watch = sarang.process("event list --watch --kind user.added -o csv -c kind,object --no-headers")
        first = [watch.stdout.readline() for _ in range(2)]
        sarang.ok("user add c")
        last = watch.stdout.readline()
        assert interrupted(watch)[0] == 0
        assert first + [last] == [f'"user.added","{u}"\n' for u in "abc"], (first, last)


@test
def waiting_tells_steps_on_a_terminal_and_nothing_elsewhere():
    with Place() as sarang:
        sarang.furnish(boot_ms=1500, spare=0)
        shown = sarang.on_terminal("session request cad --user jihye --wait=60 -o name")
        assert shown.status == 0, shown
        assert "provision: wait-ready, step 6 of 6" in shown.out and "s so far" in shown.out, shown.out
        name = shown.out.split("\x1b[K")[-1].strip()
        assert name.startswith("s-")
        sarang.ok(f"session end {name}")
        quiet = sarang.ok("session request cad --user jihye --wait=60 -o name")
        assert not quiet.err and quiet.out.startswith("s-")
        sarang.ok(f"session end {quiet.out.strip()}")
        korean = sarang.on_terminal("session request cad --user jihye --wait=60 -o name", LANG="ko_KR.UTF-8")
        assert "초 경과" in korean.out, korean.out


@test
def what_was_asked_for_goes_on_without_the_one_who_waits():
    with Place() as sarang:
        sarang.furnish(boot_ms=4000, spare=0)
        over = sarang.type("session request cad --user jihye --wait=1")
        assert over.status == 6 and "still" in over.err and "sarang session show s-" in over.err, over
        left = sarang.on_terminal("session request cad --user jihye --wait", until="wait-ready")
        assert left.status == 6 and "no longer waiting" in left.out and "--watch" in left.out, left
        name = sarang.ok("session list -o name").out.strip()
        sarang.wait_for("session", name, 30, ready=True)


@test
def a_wait_that_comes_to_a_bad_end_says_why():
    with Place() as sarang:
        sarang.furnish(spare=0)
        answer = sarang.type("image import broken ./linux.qcow2 --format raw --storages nowhere --wait")
        assert answer.status == 3 and "nowhere" in answer.err, answer
        (sarang.folder / "bad.qcow2").write_bytes(b"not a disk" * 1000)
        answer = sarang.type("image import bad ./bad.qcow2 --format qcow2 --storages disk --wait=30")
        assert answer.status == 1 and "bad@1 is failed" in answer.err and "not a qcow2 file" in answer.err, answer


@test
def what_is_to_go_may_be_waited_for():
    with Place() as sarang:
        sarang.furnish(spare=0)
        sarang.ok("image import gone ./linux.qcow2 --format qcow2 --storages disk --wait=30")
        sarang.ok("image remove gone@1 --wait=30")
        assert sarang.type("image show gone@1").status == 3


@test
def contexts_are_kept_for_their_owner_alone():
    with Place() as sarang:
        del sarang.env["SARANG_SOCKET"]
        file = sarang.folder / "config/sarang/contexts"
        file.parent.mkdir(parents=True)
        file.write_text("[sarang]\ncurrent=desk.example\n\n[context desk.example]\nserver=https://desk.example\nuser=jihye\ntoken=t-secret\n\n"
                        "[context lab]\nserver=https://lab.example\nuser=root\ntoken=t-other\n")
        answer = sarang.type("context list")
        assert answer.status == 4 and "open to others" in answer.err and "chmod 600" in answer.err, answer
        file.chmod(0o600)
        assert "* desk.example" in sarang.ok("context list").out and "secret" not in sarang.ok("context list -o json").out
        assert "desk.example" in sarang.type("pool list").err, "the current one is asked"
        assert "lab.example" in sarang.type("pool list --context lab").err
        assert "lab.example" in sarang.type("pool list", SARANG_CONTEXT="lab").err
        assert sarang.type("pool list --context nope").status == 3
        sarang.ok("context use lab")
        assert [c["name"] for c in sarang.ok("context list -o json").json() if c["current"]] == ["lab"]
        sarang.ok("context remove lab")
        assert "* local" in sarang.ok("context list").out and "lab" not in file.read_text()
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
        assert sarang.type("context use lab").status == 3 and sarang.type("logout").status == 4


@test
def a_wait_for_a_host_that_cannot_come_up_ends():
    with Place("hosts.poll_s=1") as sarang:
        began = time.monotonic()
        answer = sarang.type(f"host add h9 --uri 'qemu+unix:///system?socket={sarang.folder}/none' --wait")
        assert time.monotonic() - began < 30 and answer.status == 7, answer
        assert 'host "h9" cannot be reached' in answer.err and "look at libvirtd" in answer.err, answer
        told = sarang.ok("explain host h9").out
        assert told.count("look at") == 1 and "has not answered yet" in told and "sarang host remove h9" in told and "fence" not in told, told
        host = sarang.ok("host show h9 -o json").json()
        assert host["state"] == "unreachable" and host["seen"] is None, "it was enrolled, and is tried again"


@test
def a_wait_for_a_host_that_was_up_goes_on():
    with Place("hosts.poll_s=1") as sarang:
        sarang.enrol()
        sarang.command_host("die")
        sarang.wait_for("host", "h1", state="unreachable")
        waiting = sarang.process("host change h1 --labels rack1 --wait")
        time.sleep(2)
        assert waiting.poll() is None, waiting.communicate()
        sarang.command_host("live")
        assert waiting.communicate(timeout=30) and waiting.returncode == 0


if __name__ == "__main__":
    main()
