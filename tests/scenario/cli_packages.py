#!/usr/bin/env python3
"""Looking for the packages that are needed: a handful of processes however long their list is, and nothing else where all are there."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from clilab import PROJECT
from gatewaylab import main, test

TOOLS = ("dirname", "awk", "grep", "sed", "tr", "id", "dpkg-query")
LIST = (PROJECT / ".ci/packages.txt").read_text()


def look(missing=(), level="tests"):
    """What the look says on a machine that has all but these, and the processes it took; without root, sudo and apt-get."""
    with tempfile.TemporaryDirectory() as folder:
        runs = pathlib.Path(folder, "runs")
        runs.touch()
        for tool in TOOLS:
            does = {"id": "echo 1000", "dpkg-query": f"shift 3; for p; do case ' {' '.join(missing)} ' in *\" $p \"*) s=config-files;; *) s=installed;; "
                    "esac; echo \"$s $p\"; done"}.get(tool, f'exec {shutil.which(tool)} "$@"')
            pathlib.Path(folder, tool).write_text(f"#!/bin/sh\necho {tool} >>{runs}\n{does}\n")
            os.chmod(pathlib.Path(folder, tool), 0o755)
        done = subprocess.run(["/bin/sh", PROJECT / ".ci/install-packages", level], env={"PATH": folder}, capture_output=True, text=True, check=False)
        return done, runs.read_text().split()


@test
def all_there_is_one_question_to_dpkg():
    done, runs = look()
    assert done.returncode == 0 and not done.stdout + done.stderr, (done, runs)
    assert runs.count("dpkg-query") == 1 and len(runs) <= 12, f"{len(runs)} processes for {LIST.count(chr(10))} lines: {runs}"


@test
def what_is_missing_is_named_and_of_no_level_above():
    done, runs = look(("libyaml-dev", "haproxy"))
    assert done.returncode == 1 and done.stderr.endswith("at hand: libyaml-dev haproxy\n"), done
    done, runs = look(("libyaml-dev", "haproxy", "libxml2-utils"), "build")
    assert done.returncode == 1 and done.stderr.endswith("at hand: libyaml-dev\n") and runs.count("dpkg-query") == 1, (done, runs)
    done, _ = look(("haproxy",), "demo")
    assert done.returncode == 0, done


if __name__ == "__main__":
    main()
