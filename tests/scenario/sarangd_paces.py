#!/usr/bin/env python3
"""One person who has things changed in a loop is told to wait, in their language and in numbers, and costs the controller nothing from then on;
nobody else waits. What only ends something is taken at any pace."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sarangdlab import Connection, tell_all  # noqa: E402

PASSWORD = "a long enough password"


class Person:
    """Who came in by password, at the gateway's door."""
    def __init__(self, daemon, name, role="user"):
        self.door, self.name = os.path.join(daemon.folder, "g"), name
        status, answer, _ = daemon.ask("POST", "/users", {"name": name, "role": role, "password": PASSWORD})
        assert status == 201, answer
        self.token = None
        status, answer, _ = self.ask("POST", "/login", {"name": name, "password": PASSWORD})
        assert status == 201, answer
        self.token = answer["token"]

    def ask(self, method, path, body=None, **headers):
        connection = Connection(self.door)
        headers |= {"Content-Type": "application/json"} if body else {}
        headers |= {"Authorization": "Bearer " + self.token} if self.token else {}
        connection.request(method, "/api/v1" + path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None, answer.headers

    def loop(self, most):
        """Makes a token and revokes it, again and again: how many came of it, and the refusal that ended it."""
        for n in range(most):
            status, answer, headers = self.ask("POST", "/tokens", {"title": "a program"})
            if status == 429:
                return n, answer, headers
            assert status == 201, answer
            assert self.ask("DELETE", "/tokens/" + answer["name"])[0] == 200
        return most, None, None


def newest_event(daemon):
    return daemon.ask("GET", "/events?limit=1")[1]["items"][0]["number"]


def told(daemon):
    with open(os.path.join(daemon.folder, "log"), encoding="utf-8") as log:
        return [line for line in log if "too-fast" in line]


def a_loop_is_stopped(daemon):
    jihye, minsu = Person(daemon, "jihye"), Person(daemon, "minsu")
    began = time.monotonic()
    n, answer, headers = jihye.loop(1000)
    assert 60 <= n <= 61 + (time.monotonic() - began), n
    assert answer["code"] == "too-fast" and answer["status"] == 429 and headers["Retry-After"] == "1", (answer, headers)
    assert answer["detail"] == 'user "jihye" has things changed too fast: 60 at once and then 60 a minute are taken', answer
    assert "in 1 seconds" in answer["fix"] and "limits.changes_per_minute" in answer["fix"], answer
    assert minsu.loop(5)[0] == 5
    assert daemon.ask("POST", "/tokens", {"user": "jihye"})[0] == 201  # root, at the controller
    time.sleep(int(headers["Retry-After"]))
    assert jihye.loop(1)[0] == 1


def a_refusal_costs_nothing(daemon):
    jihye = Person(daemon, "jihye")
    while jihye.loop(1000)[0]:
        pass
    before, refused = newest_event(daemon), 0
    for _ in range(400):
        status, answer, headers = jihye.ask("POST", "/tokens", {"title": "a program"}, **{"Accept-Language": "ko"})
        refused += status == 429
    taken = 400 - refused
    assert refused > 300, refused
    assert newest_event(daemon) == before + taken, (before, taken, newest_event(daemon))
    assert headers["Content-Language"] == "ko" and "1분에 60건" in answer["detail"] and "초 뒤에" in answer["fix"], answer
    assert len(told(daemon)) == 1 and 'user="jihye"' in told(daemon)[0], told(daemon)
    assert jihye.ask("GET", "/me")[0] == 200 and jihye.ask("GET", "/pools")[0] == 200  # who only reads does not wait
    assert jihye.ask("POST", "/logout")[0] == 204


def the_same_again_is_no_change(daemon):
    """A request that comes again by its key is answered, also to one who has to wait."""
    jihye = Person(daemon, "jihye")
    key = {"Idempotency-Key": "once"}
    first = jihye.ask("POST", "/tokens", {"title": "a program"}, **key)
    assert first[0] == 201, first
    jihye.loop(1000)
    again = jihye.ask("POST", "/tokens", {"title": "a program"}, **key)
    assert again[0] == 201 and again[1]["name"] == first[1]["name"], again


def the_configuration_says_how_fast(daemon):
    for more, role, wanted in ((["limits.changes_burst=3", "limits.changes_per_minute=1"], "user", 3),
                               (["limits.staff_changes_burst=7", "limits.staff_changes_per_minute=1"], "operator", 7),
                               (["limits.changes_per_minute=0"], "viewer", 150)):
        daemon.stop()
        daemon.more = more
        daemon.start()
        n, answer, headers = Person(daemon, role + "1", role).loop(150)
        assert n == wanted, (more, n)
        assert wanted == 150 or 50 <= int(headers["Retry-After"]) <= 60, dict(headers)
        assert wanted == 150 or ("staff_" in answer["fix"]) == (role == "operator"), answer


if __name__ == "__main__":
    tell_all([a_loop_is_stopped, a_refusal_costs_nothing, the_same_again_is_no_change, the_configuration_says_how_fast])
