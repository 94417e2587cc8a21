#!/usr/bin/env python3
"""Long lists and long words: paging beyond one page, what tables cut and what they must not, columns that people look for."""
import getpass

from clilab import Place
from gatewaylab import main, test

PEOPLE = 130


def users():
    return "".join(f"---\nnoun: user\nname: u{i:03}\n" for i in range(PEOPLE))


@test
def history_goes_on_beyond_one_page():
    with Place() as sarang:
        (sarang.folder / "people.yaml").write_text(users())
        sarang.ok("apply -f people.yaml")
        names = sarang.ok("event list -o name").out.split()
        assert len(names) >= PEOPLE and names == sorted(set(names), key=lambda n: -int(n[2:])), names
        page = sarang.ok(f"event list -o name --limit 7 --after {names[99]}").out.split()
        assert page == names[100:107], (page, names[95:110])
        assert sarang.ok("session history -o name").out == ""
        assert sarang.type("event list --before 5").status == 2


@test
def an_event_says_when_and_says_nothing_twice():
    with Place() as sarang:
        sarang.ok("user add a")
        head, line = [row.split() for row in sarang.ok("event list --kind user.added").out.splitlines()]
        assert head == ["NAME", "CREATED", "KIND", "OBJECT", "USER"], head
        assert line[1].startswith("20") and line[1].endswith("Z") and line[2:] == ["user.added", "a", getpass.getuser()], line
        assert "CREATED" in sarang.ok("event list -o wide").out.split("\n")[0]


@test
def what_is_shown_whole_is_not_cut():
    with Place() as sarang:
        sarang.furnish(spare=0)
        title = "설계 " * 25
        sarang.ok(f"user add long --title '{title}끝'")
        assert "끝" not in sarang.ok("user list").out and "끝" in sarang.ok("user list -o wide").out
        assert "끝" in sarang.ok("user list -o csv").out
        (sarang.folder / "bad.qcow2").write_bytes(b"not a disk" * 1000)
        assert sarang.type("image import bad ./bad.qcow2 --format qcow2 --storages disk --wait=30").status == 1
        why = sarang.ok("image show bad@1 -o json").json()["error"]["text"]
        assert len(why) > 20
        for line in ("image show bad@1", "image list -o wide"):
            assert why in sarang.ok(line).out, (line, why, sarang.ok(line).out)


@test
def a_reason_is_typed_where_one_is_wanted():
    with Place() as sarang:
        sarang.furnish(spare=1)
        name = sarang.ok("desktop list -o name").out.strip()
        sarang.wait_for("desktop", name, state="available")
        assert "reason is missing" in sarang.type(f"desktop release {name}").err
        refused = sarang.type(f"desktop release {name} --reason looked")
        assert refused.status == 5 and "is available" in refused.err, refused
        sarang.ok("pool change cad --spare 0")
        sarang.ok(f"desktop retire {name} --reason 42")


if __name__ == "__main__":
    main()
