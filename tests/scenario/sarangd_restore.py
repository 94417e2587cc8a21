#!/usr/bin/env python3
"""A backup put back brings back what was revoked since: the command says so, and ends it where it is told to."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sarangdlab import BUILD, tell_all  # noqa: E402


def restore(daemon, backup, *more):
    words = [os.path.join(BUILD, "sarang"), "restore", backup, "--state", os.path.join(daemon.folder, "disk"), *more]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=dict(os.environ, LC_ALL="C.UTF-8"))
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(daemon, plural):
    status, answer, _ = daemon.ask("GET", "/" + plural)
    assert status == 200, answer
    return [item["name"] for item in answer["items"]]


def a_revoked_token_comes_back_or_not(daemon):
    backup = os.path.join(daemon.folder, "backup")
    assert daemon.ask("POST", "/users", {"name": "jihye"})[0] == 201
    status, token, _ = daemon.ask("POST", "/tokens", {"user": "jihye", "title": "a program"})
    assert status == 201, token
    revoked = names(daemon, "tokens")
    assert len(revoked) == 1, revoked
    assert daemon.ask("POST", "/backup", {"path": backup})[0] == 201
    assert daemon.ask("DELETE", "/tokens/" + revoked[0])[0] in (200, 204)
    daemon.stop(signal.SIGTERM)

    said = restore(daemon, backup)
    assert "--revoke-tokens" in said, said
    daemon.start()
    assert names(daemon, "tokens") == revoked
    daemon.stop(signal.SIGTERM)

    said = restore(daemon, backup, "--revoke-tokens")
    assert "--revoke-tokens" not in said, said
    daemon.start()
    assert names(daemon, "tokens") == []
    assert names(daemon, "users") == ["jihye"]
    assert daemon.ask("POST", "/users", {"name": "minsu"})[0] == 201, "the store does not go on"


if __name__ == "__main__":
    tell_all([a_revoked_token_comes_back_or_not])
