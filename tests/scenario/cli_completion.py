#!/usr/bin/env python3
"""What a shell offers behind the cursor."""
import shutil
import subprocess
import time

from clilab import Place
from gatewaylab import SLOW, main, test


def in_bash(sarang, *words):
    """COMPREPLY of bash for the command line as typed so far."""
    script = 'source <(sarang completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sarang; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", *words], env=sarang.env, capture_output=True, text=True, check=True)
    return done.stdout.split()


@test
def bash_completes_nouns_verbs_flags_values_and_names():
    with Place() as sarang:
        sarang.furnish(spare=0)
        for words, wanted in (
                (("sarang", "des"), ["desktop"]),
                (("sarang", "c"), ["controller", "connect", "context", "completion"]),
                (("sarang", "pool", "re"), ["resume"]),
                (("sarang", "template", "ch"), ["check"]),
                (("sarang", "pool", "change", "c"), ["cad"]),
                (("sarang", "pool", "create", "new", "--clip"), ["--clipboard"]),
                (("sarang", "pool", "create", "new", "--clipboard", "to"), ["to-guest"]),
                (("sarang", "pool", "create", "new", "--template", ""), ["linux-cli@1"]),
                (("sarang", "pool", "create", "new", "--hosts", ""), ["h1"]),
                (("sarang", "session", "request", ""), ["cad"]),
                (("sarang", "pool", "list", "-o", "y"), ["yaml"]),
                (("sarang", "connect", "--v"), ["--vv", "--viewer", "--version"]),
                (("sarang", "frobnicate", "x", "y"), [])):
            found = in_bash(sarang, *words)
            assert sorted(found) == sorted(wanted), (words, found)
        assert "__complete" not in in_bash(sarang, "sarang", "")


@test
def a_server_that_does_not_answer_is_not_waited_for():
    with Place() as sarang:
        sarang.furnish(spare=0)
        sarang.daemon.send_signal(19)
        try:
            began = time.monotonic()
            assert in_bash(sarang, "sarang", "pool", "show", "") == []
            assert time.monotonic() - began < 2 * SLOW
            assert in_bash(sarang, "sarang", "pool", "sh") == ["show"]
        finally:
            sarang.daemon.send_signal(18)


@test
def zsh_reads_its_script():
    sarang = Place()
    script = sarang.ok("completion zsh").out
    assert script.startswith("#compdef sarang\n") and "compdef _sarang sarang" in script
    if shutil.which("zsh"):
        subprocess.run(["zsh", "-n"], input=script, text=True, check=True)
    assert sarang.type("completion fish").status == 2
    sarang.home.cleanup()


if __name__ == "__main__":
    main()
