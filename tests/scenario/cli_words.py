#!/usr/bin/env python3
"""What people read: help, refusals with the nearest word, tables, colours, Korean; and the exit statuses that programs read."""
import json
import pathlib
import unicodedata

from clilab import PROJECT, Place
from gatewaylab import main, test


def width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@test
def a_mistyped_word_is_told_what_was_meant():
    with Place() as sarang:
        for line, status, words in (
                ("desktop lst", 2, ['"sarang desktop list"', "sarang desktop --help"]),
                ("desktpo list", 2, ['"sarang desktop"']),
                ("frobnicate", 2, ['no command "sarang frobnicate"', "sarang --help lists"]),
                ("pool change p --spar 3", 2, ["does not know --spar", "did you mean --spare?"]),
                ("pool list -x", 2, ["does not know -x"]),
                ("template chek x.xml", 2, ['"sarang template check"']),
                ("pool change", 2, ["usage: sarang pool change NAME"]),
                ("plan replay none.csv x.csv", 1, ['cannot read "none.csv"']),
                ("plan replay /etc/passwd /etc/passwd", 2, ['line 1 is "sn"']),
                ("pool pause a b", 2, ['"b" is one word too many', "usage: sarang pool pause NAME"]),
                ("pool list --limit", 2, ["--limit needs a value: N"]),
                ("-o", 2, ["--output needs a value: FORM"]),
                ("pool list -o toml", 2, ["table, wide, json, yaml, csv, name"]),
                ("pool list --quiet=1", 2, ["left without a value"]),
                ("pool list -c name,stat", 2, ["--columns", '"stat"', "state"]),
                ("pool list --wait=0", 2, ["from 1 to 31536000"]),
                ("restore", 2, ["usage: sarang restore FILE"]),
                ("desktop list --state availabel", 2, ["must be one of defined, provisioning", "available"]),
                (f"backup {sarang.folder}/absent/b.db", 2, [f'"{sarang.folder}/absent/b.db"', "in a folder that is there"]),
                ("user show nobody", 3, ['no user "nobody"', "sarang user list"]),
                ("", 2, ["usage: sarang NOUN VERB"])):
            answer = sarang.type(line)
            assert answer.status == status, (line, answer)
            for word in words:
                assert word in answer.err, (line, word, answer.err)
            assert not answer.out or line == "", (line, answer.out)
        sarang.ok("user add minsu")
        assert 'did you mean "minsu"?' in sarang.type("user show minus").err


@test
def what_cannot_be_done_is_refused_in_whole_sentences():
    with Place() as sarang:
        sarang.furnish(spare=0)
        for line, english, korean in (
                ("host fence h1", 'there is no "fence" for a host that is up', '정상 상태의 호스트에는 "꺼짐 선언" 동작이 없습니다'),
                ("plan replay none.csv x.csv", 'cannot read "none.csv"', '"none.csv" 읽기 실패')):
            assert english in sarang.type(line).err, sarang.type(line)
            assert korean in sarang.type(line, LANG="ko_KR.UTF-8").err, sarang.type(line, LANG="ko_KR.UTF-8")
        (sarang.folder / "bad.xml").write_text("<domain foo='1'>")
        assert "what is wrong: 1" in sarang.type("template check bad.xml").err
        (sarang.folder / "bad.qcow2").write_bytes(b"not a disk" * 1000)
        failed = sarang.type("image import bad ./bad.qcow2 --format qcow2 --storages disk --wait=30")
        assert "not a qcow2 file" in failed.err and "convert it: qemu-img convert" in failed.err, failed


@test
def what_is_taken_with_a_doubt_says_so():
    with Place() as sarang:
        sarang.furnish(spare=0)
        answer = sarang.ok(f"template add other {PROJECT}/templates/linux-cli.xml")
        assert 'calls itself "linux-cli"' in answer.err and 'a version of "other"' in answer.err, answer
        if pathlib.Path("/usr/share/libvirt/schemas/domain.rng").exists():
            xml = (PROJECT / "templates/linux-cli.xml").read_text().replace("<vcpu>1</vcpu>", "<vcpu>1</vcpu><nonsense/>")
            (sarang.folder / "bad.xml").write_text(xml)
            assert sarang.type("template add linux-cli bad.xml").status == 1
            assert sarang.ok("template list -o name").out.split() == ["linux-cli@1", "other@1"]
        assert "--user NAME" in sarang.type("token create ci").err
        head, line = sarang.ok("host list").out.splitlines()
        assert head.split() == ["NAME", "URI", "STATE", "VIRT", "TYPE", "DESKTOPS", "VCPUS", "USED", "MEMORY", "USED", "MIB", "ERROR"], head
        assert line.split()[-4:] == ["0", "0/64", "0/58983", "-"], line


@test
def a_name_that_begins_with_a_hyphen_is_none():
    with Place() as sarang:
        typed = sarang.type("pool create -rf --template linux --image base --max 1")
        assert typed.status == 2 and "does not know -rf" in typed.err and "a name begins with a letter or a digit" in typed.err, typed
        for words in ("pool create --template linux --image base --max 1 -- -rf", "user add -- -rf", "host add --uri fake:h1 -- -rf"):
            typed = sarang.type(words)
            assert typed.status != 0 and '"-rf" is not a name' in typed.err, typed
        assert sarang.ok("user list -o name").out == "", "one was made"


@test
def a_task_that_ended_is_in_the_history():
    with Place() as sarang:
        sarang.furnish(spare=0)
        kinds = sarang.ok("task history -o csv -c kind,state --no-headers").out.split()
        assert '"import","done"' in kinds, kinds


@test
def a_wrong_value_is_told_its_limit():
    with Place() as sarang:
        sarang.furnish(spare=0)
        for line, limit, korean in (
                ("pool change cad --spare 999999", "from 0 to 100000", "0부터 100000까지의 정수"),
                ("pool change cad --spare many", 'spare is "many", but must be a whole number', "정수"),
                ("pool change cad --clipboard maybe", "one of both, to-guest, from-guest, none", "중 하나"),
                ("user change jihye --disabled=perhaps", 'disabled is "perhaps", but must be true or false', "true 또는 false")):
            assert limit in sarang.type(line).err, (line, sarang.type(line).err)
            answer = sarang.type(line, LANG="ko_KR.UTF-8")
            assert answer.status == 2 and korean in answer.err, (line, answer.err)
        sarang.ok("user change jihye --disabled")
        assert sarang.ok("user show jihye -o json").json()["disabled"] is True
        sarang.ok("user change jihye --disabled no")
        assert sarang.ok("user show jihye -o json").json()["disabled"] is False


@test
def help_is_there_in_both_languages_and_without_a_daemon():
    sarang = Place()
    for line, english, korean in (
            ("--help", ["Exit status", "6  the time was over", "session", "--dry-run"], ["종료 상태", "접속 위치"]),
            ("help", ["Nouns and their verbs"], ["명사와 동사"]),
            ("pool --help", ["pool create NAME", "Make a pool"], ["풀 만들기"]),
            ("pool", ["pool create NAME"], ["풀 만들기"]),
            ("pool create --help", ["--clipboard WORD", "--max N", "needed"], ["필수", "최대 데스크톱 수"]),
            ("help pool create", ["--max N"], ["필수"]),
            ("template check --help", ["--storage DIR"], ["정책 규칙"]),
            ("connect --help", ["--vv FILE"], ["remote-viewer"])):
        for lang, words in (("C.UTF-8", english), ("ko_KR.UTF-8", korean)):
            answer = sarang.ok(line, LANG=lang, SARANG_SOCKET=f"{sarang.folder}/absent")
            for word in words:
                assert word in answer.out, (line, word, answer.out)
            assert not answer.err
    assert sarang.ok("--version").out.startswith("sarang 0.")
    assert sarang.type("pool list", SARANG_SOCKET=f"{sarang.folder}/absent").status == 7
    assert "sarangd가 실행 중입니까?" in sarang.type("--lang ko pool list", SARANG_SOCKET=f"{sarang.folder}/absent").err
    sarang.home.cleanup()


@test
def columns_stand_under_each_other_in_korean_and_nothing_is_coloured_for_programs():
    with Place() as sarang:
        sarang.ok("user add jihye --title '김지혜 (설계)'")
        sarang.ok("user add a --title x --role operator")
        english, korean = ("NAME TITLE ROLE DISABLED", "operator", "user"), ("이름 제목 역할 사용 중지", "운영자", "사용자")
        for env, (head, *roles) in (({}, english), ({"LC_ALL": "C"}, english), ({"LANG": "ko_KR.UTF-8"}, korean)):
            lines = sarang.ok("user list", **env).out.splitlines()
            assert lines[0].split() == head.split(), lines
            assert "김지혜 (설계)" in lines[2], lines
            role = [width(line[:line.index(word)]) for line, word in zip(lines, (head.split()[2], *roles))]
            assert len(set(role)) == 1, (role, lines)
        assert sarang.ok("user list --no-headers -c role,name").out.split() == ["operator", "a", "user", "jihye"]
        sarang.enrol()
        assert "\x1b" not in sarang.ok("host list").out
        assert "\x1b[32m" in sarang.ok("host list --color always").out
        assert "\x1b[32m" in sarang.on_terminal("host list").out
        assert "\x1b[32m" not in sarang.on_terminal("host list", NO_COLOR="1").out
        assert "\x1b[32m" not in sarang.on_terminal("host list --color never").out
        assert "\x1b" not in sarang.on_terminal("host list -o json").out


@test
def programs_read_the_same_in_every_language():
    with Place() as sarang:
        sarang.furnish(spare=0)
        for form in ("json", "yaml", "csv", "name"):
            assert sarang.ok(f"pool list -o {form}").out == sarang.ok(f"pool list -o {form}", LANG="ko_KR.UTF-8").out
        (sarang.folder / "bad.qcow2").write_bytes(b"not a disk" * 1000)
        sarang.type("image import bad ./bad.qcow2 --format qcow2 --storages disk --wait=30")
        for line in ("image show bad@1 -o json", "image list -o csv", "explain image bad@1 -o json", "host list -o json"):
            told = sarang.ok(line, LANG="ko_KR.UTF-8").out
            assert not any("가" <= c <= "힣" for c in told), (line, told)
        assert "qcow2 파일이 아닙니다" in sarang.ok("image show bad@1", LANG="ko_KR.UTF-8").out
        assert sarang.ok("pool list -o name").out == "cad\n"
        assert sarang.ok("user list -o csv -c name,title").out == '"name","title"\n"jihye","김지혜"\n'
        assert json.loads(sarang.ok("template show linux-cli@1 -o json").out)["xml"].startswith("<?xml")
        assert "bytes; -o json shows it" in sarang.ok("template show linux-cli@1").out
        assert "xml: |" in sarang.ok("template show linux-cli@1 -o yaml").out


@test
def people_read_korean_throughout():
    with Place() as sarang:
        sarang.furnish(spare=1)
        name = sarang.ok("desktop list -o name").out.strip()
        sarang.wait_for("desktop", name, state="available")
        ko = {"LANG": "ko_KR.UTF-8"}
        for line, words in (
                ("desktop list", ["이름", "상태", "전원", "사용 가능", "켜짐"]),
                ("host list", ["가상 CPU 사용", "메모리 사용(MiB)", "정상"]),
                ("task history", ["종류", "단계", "만들기", "완료", "준비 대기"]),
                ("task history -o wide", ["대상 종류", "데스크톱"]),
                ("event list", ["만든 때", "대상"]),
                (f"desktop show {name}", ["MAC 주소", "사용 흔적            아니요"]),
                (f"explain {name}", [f"데스크톱 {name}: 사용 가능", "호스트 h1: 정상", "초"]),
                ("explain pool cad", ["풀 cad: 정상", "데스크톱 사용 가능 1"]),
                ("explain pool.kind", ["단어", "만들 때 정함"]),
                ("status", ["째 실행 중", "호스트     정상 1", "저장소     변경을 받습니다"])):
            told = sarang.ok(line, **ko).out
            for word in words:
                assert word in told, (line, word, told)
        lines = sarang.ok("desktop list", **ko).out.splitlines()
        assert width(lines[0][:lines[0].index("전원")]) == width(lines[1][:lines[1].index("켜짐")]), lines
        watched = sarang.on_terminal("desktop list --watch", until=name, NO_COLOR="1", **ko).out.splitlines()
        assert width(watched[0][:watched[0].index("전원")]) == width(watched[1][:watched[1].index("켜짐")]), watched
        refused = sarang.type(f"desktop release {name} --reason x", **ko).err
        assert '사용 가능 상태의 데스크톱에는' in refused, refused
        assert '풀 "nope"이(가) 없습니다' in sarang.type("pool show nope", **ko).err


@test
def numbers_that_contradict_each_other_are_refused():
    with Place() as sarang:
        sarang.furnish(spare=0)
        new = "pool create tight --template linux-cli --image linux"
        for line, english, korean in (
                (f"{new} --spare 5 --max 2", 'spare is "5", but must be at most max, which is 2', 'spare 값 "5"은(는) 허용되지 않습니다: max(2) 이하'),
                (f"{new} --min 3 --max 2", 'min is "3", but must be at most max, which is 2', 'min 값 "3"은(는) 허용되지 않습니다: max(2) 이하'),
                ("pool change cad --spare 4", 'spare is "4", but must be at most max, which is 3', "max(3) 이하")):
            answer = sarang.type(line)
            assert answer.status == 2 and english in answer.err, answer
            assert korean in sarang.type(line, LANG="ko_KR.UTF-8").err, sarang.type(line, LANG="ko_KR.UTF-8")
        assert sarang.ok("pool list -o name").out == "cad\n" and sarang.ok("pool show cad -o json").json()["spare"] == 0
        sarang.ok("pool change cad --spare 4 --max 4")


@test
def an_empty_list_says_how_it_begins():
    with Place() as sarang:
        for line, words in (("pool list", "no pools yet: sarang pool create NAME --template NAME --image NAME --max N"),
                            ("host list", "no hosts yet: sarang host add NAME --uri TEXT"),
                            ("image list", "no images yet: sarang image import FAMILY FILE --format WORD --storages A,B,…"),
                            ("desktop list", "no desktops\n"),
                            ("pool list --state paused", "no pools are like that; all of them: sarang pool list")):
            answer = sarang.ok(line)
            assert not answer.out and words in answer.err, (line, answer)
            assert not sarang.ok(f"{line} -o json").err and not sarang.ok(f"{line} -q").err
        assert "풀이(가) 아직 없습니다: sarang pool create" in sarang.ok("pool list", LANG="ko_KR.UTF-8").err


@test
def status_names_trouble_first_and_counts_by_state():
    with Place() as sarang:
        sarang.furnish(spare=2)
        sarang.ok("host add h2 --uri fake:h2 --wait=20")
        names = sarang.ok("desktop list -o name").out.split()
        for name in names:
            sarang.wait_for("desktop", name, state="available")
        told = sarang.ok("status").out.splitlines()
        assert told[0].startswith("sarang 0."), told
        assert "hosts      2 up" in told and "desktops   2 available" in told and "store      takes changes" in told, told
        assert "gateways   none was heard of" in told
        head, *lines = sarang.ok("host list").out.splitlines()
        assert [line.split()[4] for line in lines] == ["2", "0"] and "2/64" in lines[0], (head, lines)
        host = sarang.ok("host show h1 -o json").json()
        assert (host["desktops"], host["vcpus_used"], host["vcpus_total"]) == (2, 2, 64), host
        head = sarang.ok("host list -o csv").out.splitlines()[0]
        assert '"vcpus_used","vcpus_total","memory_used_mib","memory_total_mib"' in head, head
        sarang.command_host("die")
        sarang.wait_for("host", "h1", 60, state="unreachable")
        told = sarang.ok("status").out.splitlines()
        assert told[0].startswith("! host h1: unreachable for ") and 'host "h1" cannot be reached' in told[0], told
        assert "sarang host fence h1" in told[1], told
        assert "hosts      1 up · 1 unreachable" in told, told
        told = sarang.ok("status -o json", LANG="ko_KR.UTF-8").json()
        assert told["states"]["hosts"] == {"up": 1, "unreachable": 1} and told["gateways"] == [], told
        trouble = told["trouble"][0]
        assert (trouble["kind"], trouble["name"], trouble["state"]) == ("host", "h1", "unreachable") and trouble["fixes"][0].isascii(), trouble
        assert sarang.ok("status", LANG="ko_KR.UTF-8").out.startswith("! 호스트 h1: 연결 안 됨 ")
        assert "unreachable" in sarang.ok("host list").out and "cannot be reached" in sarang.ok("host list -o wide").out


@test
def a_dry_run_checks_and_changes_nothing():
    with Place() as sarang:
        sarang.furnish(spare=0)
        answer = sarang.ok("pool change cad --spare 2 --dry-run")
        assert answer.out.startswith("PATCH /api/v1/pools/cad\n") and '"spare": 2' in answer.out
        assert sarang.ok("pool show cad -o json").json()["spare"] == 0
        assert sarang.type("pool change cda --spare 2 --dry-run").status == 3
        assert "from 0 to 100000" in sarang.type("pool change cad --spare 999999 --dry-run").err
        assert sarang.type("pool create p --image linux --max 1 --dry-run").status == 2, "a template is needed"
        secret = sarang.ok("user add minsu --password --dry-run", text="hunter2hunter2\n")
        assert "hunter2" not in secret.out + secret.err
        sarang.ok("pool delete cad --dry-run")
        assert sarang.ok("pool list -o name").out == "cad\n" and sarang.type("user show minsu").status == 3


if __name__ == "__main__":
    main()
