#!/usr/bin/env python3
"""Files that say how things should be, and questions why they are as they are."""
import pathlib
import subprocess

from clilab import PROJECT, Place
from gatewaylab import eventually, main, test

POOL = """noun: pool
name: cad
title: 설계실
template: linux-cli
image: linux
spare: 0
max: 3
users: [jihye]
"""


def write(sarang, name, text):
    (sarang.folder / name).write_text(text, encoding="utf-8")


@test
def files_are_applied_once_and_then_hold():
    with Place() as sarang:
        (sarang.folder / "disk").mkdir()
        (sarang.folder / "linux-cli.xml").write_bytes((PROJECT / "templates/linux-cli.xml").read_bytes())
        write(sarang, "room.yaml", f"""# a whole room
{POOL}---
noun: template
family: linux-cli
xml: '@linux-cli.xml'
---
noun: host
name: h1
uri: fake:h1
---
noun: storage
name: disk
path: {sarang.folder}/disk
hosts: [h1]
---
noun: user
name: jihye
title: 김지혜
""")
        diff = sarang.type("diff -f room.yaml")
        assert diff.status == 1 and [l for l in diff.out.splitlines() if l[0] == "+"] == [
            "+ host h1", "+ storage disk", "+ template linux-cli", "+ user jihye", "+ pool cad"], diff
        assert not sarang.ok("host list -o name").out, "diff changes nothing"
        assert sarang.ok("apply -f room.yaml --dry-run").out == diff.out and not sarang.ok("host list -o name").out
        first = sarang.type("apply -f room.yaml")
        assert first.status == 3 and 'there is no image "linux"' in first.err and "+ user jihye" in first.out, first
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", sarang.folder / "linux.qcow2", "16M"], check=True)
        sarang.ok(f"storage change disk --controller-path {sarang.folder}/disk")
        sarang.ok("image import linux ./linux.qcow2 --format qcow2 --storages disk --wait=30")
        rest = sarang.ok("apply -f room.yaml")
        assert rest.out.startswith("+ pool cad\n") and "1 made, 0 changed, 4 as they were" in rest.err, "it goes on where it stopped"
        again = sarang.ok("apply -f room.yaml")
        assert not again.out and "0 made, 0 changed, 5 as they were" in again.err, again
        assert sarang.ok("diff -f room.yaml").out == ""
        write(sarang, "more.yaml", "noun: pool\nname: cad\nmax: 5\n")
        assert sarang.type("diff -f -", text="noun: pool\nname: cad\nmax: 5\n").out == "~ pool cad\n    max: 3 → 5\n"
        sarang.ok("apply -f more.yaml -q")
        pool = sarang.ok("pool show cad -o json").json()
        assert (pool["max"], pool["title"], pool["users"]) == (5, "설계실", ["jihye"]), "what is not named stays"
        xml = (sarang.folder / "linux-cli.xml").read_text(encoding="utf-8")
        write(sarang, "linux-cli.xml", xml.replace("<vcpu>1</vcpu>", "<vcpu>2</vcpu>"))
        assert "a new version" in sarang.ok("apply -f room.yaml --dry-run").out
        sarang.ok("apply -f room.yaml")
        assert sarang.ok("template list -o name").out.split() == ["linux-cli@1", "linux-cli@2"]


@test
def what_is_exported_is_taken_again():
    with Place() as sarang:
        sarang.furnish(spare=0)
        sarang.ok("licence add sim --total 5 --vendor ACME")
        sarang.ok("gpu-class add cad-4g --accepts nvidia-558 --heads 2")
        sarang.ok("pool change cad --title '설계실: \"2층\"' --users jihye --parameters '{\"memory\": 2048}' --licences sim=2")
        out = sarang.ok("export").out
        assert out.count("---\n") == 7 and "설계실" in out
        write(sarang, "all.yaml", out)
        assert sarang.ok("diff -f all.yaml").out == ""
        assert sarang.ok("export pool").out.count("---\n") == 1
        assert sarang.type("export desktops").status == 2
        sarang.ok("pool delete cad")
        eventually(lambda: sarang.type("pool show cad").status == 3, 20, "the pool is gone")
        sarang.ok("licence remove sim")
        sarang.ok("gpu-class remove cad-4g")
        made = [line for line in sarang.ok("apply -f all.yaml").out.splitlines() if line[0] == "+"]
        assert made == ["+ gpu-class cad-4g", "+ licence sim", "+ pool cad"], made
        licence, gpu_class = sarang.ok("licence show sim -o json").json(), sarang.ok("gpu-class show cad-4g -o json").json()
        assert (licence["total"], licence["vendor"]) == (5, "ACME") and (gpu_class["accepts"], gpu_class["heads"]) == (["nvidia-558"], 2)
        pool = sarang.ok("pool show cad -o json").json()
        assert pool["licences"] == ["sim=2"], pool
        assert pool["title"] == '설계실: "2층"' and pool["parameters"] == {"memory": 2048}


@test
def hostile_and_wrong_files_change_nothing_and_say_where():
    with Place() as sarang:
        good = "noun: user\nname: good\n---\n"
        bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{c}: &{c} [*{p},*{p},*{p},*{p},*{p}]\n" for p, c in zip("abcdefgh", "bcdefghi"))
        for text, status, words in (
                (bomb, 2, ["line 4", "anchors (&)"]),
                ("noun: user\nname: x\nname: y\n", 2, ["line 6", '"name" comes twice']),
                ("noun: user\nname: x\nrole: !!str user\n", 2, ["line 6", "tags (!)"]),
                ("x: " + "[" * 5000, 2, ["line 4", "deeper than 32"]),
                ("noun: [\n", 2, ["line 5"]),
                ("noun: desktop\nname: d\n", 2, ["document 2", 'noun is "desktop"', "one of host, storage"]),
                ("noun: user\nrole: user\n", 2, ["document 2", "name"]),
                ("noun: user\nname: x\nroll: user\n", 2, ["document 2 (user x)", '"roll" is not known', "role"]),
                ("noun: user\nname: x\nrole: boss\n", 2, ["document 2 (user x)", "one of user, viewer"]),
                ("noun: user\nname: x\ndisabled: yes\n", 2, ["true or false"]),
                ("noun: pool\nname: x\nmax: 3\n", 2, ["document 2 (pool x)", "template is missing"]),
                ("noun: user\nname: good\n", 2, ["document 2", '"good" exists already']),
                ("- a\n- b\n", 2, ["document 2", "keys with values"])):
            write(sarang, "bad.yaml", good + text)
            answer = sarang.type("apply -f bad.yaml")
            assert answer.status == status and "bad.yaml" in answer.err, (text[:60], answer)
            for word in words:
                assert word in answer.err, (text[:60], word, answer.err)
            assert len(answer.err) < 1000
        assert not sarang.ok("user list -o name").out, "a file that is wrong anywhere changes nothing"
        write(sarang, "large.yaml", "# " + "x" * (5 << 20))
        assert "4 MiB" in sarang.type("apply -f large.yaml").err
        assert sarang.type("apply").status == 2 and sarang.type("apply -f nowhere.yaml").status == 1


@test
def a_template_that_libvirt_would_refuse_is_said_before_anything_is_sent():
    if not pathlib.Path("/usr/share/libvirt/schemas/domain.rng").exists():
        return
    with Place() as sarang:
        xml = (PROJECT / "templates/linux-cli.xml").read_text(encoding="utf-8")
        write(sarang, "bad.xml", xml.replace("<vcpu>1</vcpu>", "<vcpu>1</vcpu><nonsense/>"))
        write(sarang, "room.yaml", "noun: host\nname: h1\nuri: fake:h1\n---\nnoun: template\nfamily: linux-cli\nxml: '@bad.xml'\n")
        answer = sarang.type("apply -f room.yaml")
        assert answer.status == 2 and "room.yaml, document 2 (template linux-cli): what is wrong: 1" in answer.err, answer
        assert "nonsense" in answer.err, answer
        assert not sarang.ok("host list -o name").out + sarang.ok("template list -o name").out, "nothing was sent"
        assert sarang.type("diff -f room.yaml").status == 2
        write(sarang, "bad.xml", xml)
        sarang.ok("apply -f room.yaml")


@test
def what_cannot_be_changed_is_said_before_anything_is():
    with Place() as sarang:
        sarang.furnish(spare=0)
        write(sarang, "fixed.yaml", "noun: user\nname: new\n---\nnoun: host\nname: h1\nuri: qemu:///system\n")
        answer = sarang.type("apply -f fixed.yaml")
        assert answer.status == 2 and 'uri of host "h1"' in answer.err and "stays so" in answer.err, answer
        assert sarang.type("user show new").status == 3


@test
def an_object_explains_itself():
    with Place() as sarang:
        sarang.furnish(boot_ms=200, spare=0)
        session = sarang.ok("session request cad --user jihye --wait=30 -o name").out.strip()
        desktop = sarang.ok(f"session show {session} -o json").json()["desktop"]
        answer = sarang.ok(f"explain session {session}").out
        for words in (f"session {session}: offered", f"desktop {desktop} is held for jihye, who waited for it", f"sarang connect {session} --viewer",
                      f"desktop {desktop}: assigned", "pool cad: ready", "session.ready", "ago"):
            assert words in answer, (words, answer)
        assert sarang.ok(f"explain {session}").out.splitlines()[0] == answer.splitlines()[0], "a number tells its kind"
        korean = sarang.ok(f"explain {desktop}", LANG="ko_KR.UTF-8").out
        assert "배정되었고" in korean and "호스트 h1: 정상" in korean, korean
        assert "1 assigned" in sarang.ok("explain pool cad").out
        told = sarang.ok(f"explain {session} -o json", LANG="ko_KR.UTF-8").json()
        assert told["state"] == "offered" and told["means"].isascii() and told["events"] and told["around"]
        sarang.command_host("die")
        sarang.wait_for("host", "h1", 60, state="unreachable")
        host = sarang.ok("explain host h1").out
        assert "why      host \"h1\" cannot be reached" in host and "sarang host fence h1" in host, host
        assert host.count("look at libvirtd") == 1, host
        sarang.wait_for("desktop", desktop, 60, state="lost")
        lost = sarang.ok(f"explain {desktop}").out
        assert "its host h1 does not answer" in lost and "sarang explain host h1" in lost, lost
        assert "max  integer" in sarang.ok("explain pool").out and sarang.ok("explain pool.spare").out.count("\n") == 1
        assert sarang.type("explain user.password_hash").status == 3 and sarang.type("explain user x").status == 2
        assert sarang.type("explain session s-999").status == 3


if __name__ == "__main__":
    main()
