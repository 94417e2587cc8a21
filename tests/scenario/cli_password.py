#!/usr/bin/env python3
"""A password comes from the terminal, unseen, or from standard input; never from the command line, where everyone can read it."""
import signal

from clilab import Place
from gatewaylab import main, test

SECRET, OTHER, WRONG = "correct horse battery", "a second good one", "correct horse batterx"


def is_kept_as_a_hash(sarang):
    kept = b"".join(f.read_bytes() for f in (sarang.folder / "state").iterdir() if f.is_file())
    return b"$argon2id$" in kept and SECRET.encode() not in kept and OTHER.encode() not in kept


@test
def on_a_terminal_it_is_typed_twice_and_never_shown():
    with Place() as sarang:
        shown = sarang.on_terminal("user add jihye --password -o name", typed=(("Password: ", SECRET), ("The same again: ", SECRET)))
        assert shown.status == 0 and shown.out.split()[-1] == "jihye", shown
        assert SECRET not in shown.out and "horse" not in shown.out, shown.out
        assert is_kept_as_a_hash(sarang)
        shown = sarang.on_terminal("user password jihye", typed=(("Password: ", OTHER), ("The same again: ", OTHER)))
        assert shown.status == 0 and OTHER not in shown.out, shown
        korean = sarang.on_terminal("user add minsu --password", typed=(("비밀번호: ", SECRET), ("한 번 더: ", WRONG)), LANG="ko_KR.UTF-8")
        assert "Password" not in korean.out and "again" not in korean.out, korean
        korean_login = sarang.on_terminal("login https://127.0.0.1:1 minsu", typed=(("비밀번호: ", SECRET),), LANG="ko_KR.UTF-8")
        assert korean_login.status == 7 and "assword" not in korean_login.out and "horse" not in korean_login.out, korean_login
        assert korean.status == 2 and "두 비밀번호가 서로 다릅니다" in korean.out and "horse" not in korean.out, korean
        assert sarang.type("user show minsu").status == 3, "who was typed amiss is not there"


@test
def who_leaves_at_the_question_has_made_nobody():
    with Place() as sarang:
        left = sarang.on_terminal("user add jihye --password", until="Password: ")
        assert left.status == -signal.SIGINT, left
        assert sarang.type("user show jihye").status == 3


@test
def standard_input_gives_it_in_one_line():
    with Place() as sarang:
        answer = sarang.ok("user add jihye --password -o name", text=f"{SECRET}\nand what follows\n")
        assert answer.out == "jihye\n" and "assword" not in answer.err, "nothing is asked where nobody sits"
        assert is_kept_as_a_hash(sarang)
        sarang.ok("user password jihye", text=OTHER)
        nothing = sarang.type("user add minsu --password", text="")
        assert nothing.status == 2 and "password is missing" in nothing.err, nothing
        for bad, why in (("short", "8 to 128 bytes"), ("x" * 129, "8 to 128 bytes"), ("x" * 600, "8 to 128 bytes"), ("tab\there, and more", "control")):
            answer = sarang.type("user add minsu --password", text=bad + "\n")
            assert answer.status == 2 and why in answer.err and bad not in answer.err, answer
        assert sarang.type("user show minsu").status == 3
        sarang.ok("user add minsu")
        assert "password" not in sarang.ok("user show minsu -o json").out


@test
def a_dry_run_says_neither_of_two():
    with Place() as sarang:
        sarang.ok("user add jihye")
        answer = sarang.ok("user password jihye --old-password --dry-run", text=f"{SECRET}\n{OTHER}\n")
        assert answer.out.count("…") == 2 and SECRET not in answer.out and OTHER not in answer.out, answer
        assert '"old_password": "…"' in answer.out, answer


@test
def on_the_command_line_it_is_refused_and_not_repeated():
    with Place() as sarang:
        sarang.ok("user add jihye")
        for line in ("user add minsu --password=hunter2-hunter2", "user add minsu --password hunter2-hunter2", "user add minsu --password=",
                     "user password jihye hunter2-hunter2", "user password jihye --old-password=hunter2-hunter2",
                     "user password jihye --old-password hunter2-hunter2", "user add minsu --password=hunter2-hunter2 --dry-run"):
            answer = sarang.type(line, text=f"{SECRET}\n")
            assert answer.status == 2 and "is not taken from the command line" in answer.err, (line, answer)
            assert "hunter2" not in answer.err + answer.out and "standard input" in answer.err, (line, answer)
        answer = sarang.type("user add minsu --password=hunter2-hunter2", LANG="ko_KR.UTF-8")
        assert "명령줄에서는 비밀번호를 받지 않습니다" in answer.err and "hunter2" not in answer.err, answer
        assert sarang.type("user show minsu").status == 3, "nobody was made"
        for words, why in (("hunter2-hunter2", "is not taken from the command line"), ("hunter2-hunter2 b", "is not taken from the command line"),
                           ("--password=hunter2-hunter2", "does not know"), ("--password hunter2-hunter2", "does not know")):
            answer = sarang.type(f"login https://desk.example jihye {words}", text=f"{SECRET}\n")
            assert answer.status == 2 and why in answer.err and "hunter2" not in answer.err, (words, answer)
        assert '"b" is one word too many' in sarang.type("user add minsu b").err


if __name__ == "__main__":
    main()
