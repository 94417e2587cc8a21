#!/usr/bin/env python3
"""Licences and deadlines: seats that sessions hold, who waits for them and until when."""
from clilab import Place, eventually
from gatewaylab import main, test


def two_pools(sarang):
    """A pool cad of two desktops with one seat of a licence for both."""
    sarang.furnish(spare=2, most=2)
    eventually(lambda: len(sarang.ok("desktop list --state available -o json").json()) == 2, 30, "both desktops are there")
    sarang.ok("user add mina")
    added = sarang.ok("licence add solver --total 1 --vendor ACME -o json").json()
    assert (added["total"], added["held"], added["waiting"]) == (1, 0, 0), added
    sarang.ok("pool change cad --licences solver=1")


@test
def a_seat_is_waited_for_and_given_with_numbers():
    with Place() as sarang:
        two_pools(sarang)
        first = sarang.ok("session request cad --user jihye --wait=30 -o json").json()
        assert first["licences"] == ["solver=1"], first
        asked = sarang.ok("session request cad --user mina --by 1h")
        assert 'licence "solver": 1 of 1 seats are held, 1 wanted, 0 wait before; no end is set' in asked.err, (asked.out, asked.err)
        waiting = next(s for s in sarang.ok("session list -o json").json() if s["user"] == "mina")
        assert waiting["state"] == "queued" and waiting["error"]["code"] == "licence-full" and waiting["by"], waiting
        seats = sarang.ok("licence show solver -o json").json()
        assert (seats["held"], seats["waiting"]) == (1, 1), seats
        told = sarang.ok(f"explain session {waiting['name']}").out
        assert 'licence "solver": 0 of 1 free, 1 wanted' in told and "end a session that holds one" in told, told
        assert 'sarang licence change solver --total 2' in told, told
        korean = sarang.ok(f"explain session {waiting['name']} --lang ko").out
        assert '라이선스 "solver": 1석 중 1석 사용 중' in korean and "끝나는 때가 정해지지 않음" in korean, korean
        planned = sarang.ok("plan --pool cad --count 1 -o json").json()
        assert planned["placed"] == 0 and planned["licences"][0]["before"] == 1, planned
        sarang.ok("licence set solver --total 2")
        sarang.wait_for("session", waiting["name"], state="offered")
        assert sarang.ok("licence show solver -o json").json()["held"] == 2
        refused = sarang.type("licence remove solver")
        assert refused.status and "in use" in refused.err or "pool" in refused.err, refused.err


@test
def who_waits_past_the_deadline_is_denied():
    with Place() as sarang:
        two_pools(sarang)
        sarang.ok("session request cad --user jihye --wait=30")
        late = sarang.ok("session request cad --user mina --by 2s -o json").json()["name"]
        sarang.wait_for("session", late, state="ended")
        ended = sarang.ok(f"session show {late} -o json").json()
        assert ended["reason"] == "denied" and ended["error"]["code"] == "licence-full", ended
        rows = sarang.ok("demand list -o json").json()
        assert [(d["user"], d["outcome"], d["reason"], d["licences"]) for d in rows] == [("mina", "denied", "licence-full", ["solver=1"])], rows
        wrong = sarang.type("session request cad --user mina --by yesterday")
        assert wrong.status and "by" in wrong.err and "15m" in wrong.err, wrong.err


@test
def a_session_says_when_it_ends_and_does():
    with Place() as sarang:
        two_pools(sarang)
        sarang.ok("pool change cad --lasts-s 5")
        first = sarang.ok("session request cad --user jihye --wait=30 -o json").json()
        assert first["ends"], first
        asked = sarang.ok("session request cad --user mina -o json")
        sarang.wait_for("session", asked.json()["name"], state="offered")
        assert sarang.ok(f"session show {first['name']} -o json").json()["reason"] == "time-over"


@test
def what_is_not_taken_in_time_is_offered_to_the_next():
    with Place() as sarang:
        two_pools(sarang)
        sarang.ok("pool change cad --offer-s 4")
        first = sarang.ok("session request cad --user jihye --wait=30 -o json").json()
        assert first["state"] == "assigned" and first["take_by"], first
        sarang.ok("pool change cad --offer-s 600")
        waits = sarang.ok("session request cad --user mina -o json").json()
        assert waits["state"] == "queued" and not waits["take_by"], waits
        sarang.wait_for("session", waits["name"], state="offered")
        assert sarang.ok(f"session show {first['name']} -o json").json()["reason"] == "offer-expired"
        offered = sarang.ok("session request cad --user mina --wait=30 -o json").json()
        assert offered["name"] == waits["name"] and offered["state"] == "offered" and offered["ready"], offered
        told = sarang.ok(f"explain session {waits['name']}").out
        assert "is held for mina" in told and f"without a connect by {offered['take_by']}" in told, told
        korean = sarang.ok(f"explain session {waits['name']} --lang ko").out
        assert "mina을(를) 위해 데스크톱" in korean and "다음 사람에게 갑니다" in korean, korean
        events = [e["kind"] for e in sarang.ok("event list -o json").json()]
        assert "session.queued" in events and "session.offered" in events, events
        sarang.ok(f"session ticket {waits['name']}")
        assert sarang.ok(f"session show {waits['name']} -o json").json()["state"] == "assigned"


if __name__ == "__main__":
    main()
