#!/usr/bin/env python3
"""Reservations: desktops that are kept for some people for a time, through the shipped daemon and command line, and a restart."""
import time

from clilab import Place, eventually
from gatewaylab import main, test


@test
def what_is_kept_is_given_to_its_people_alone():
    with Place() as sarang:
        sarang.furnish(spare=0, most=2)
        sarang.ok("user add mina")
        sarang.ok("user add yuna")
        made = sarang.ok("reservation add class --pool cad --count 2 --until 2h --users jihye,yuna -o json").json()
        assert made["count"] == 2 and made["users"] == ["jihye", "yuna"] and made["until"], made
        eventually(lambda: sarang.ok("reservation show class -o json").json()["ready"] == 2, 30, "both desktops are ready")
        assert sarang.ok("reservation show class -o json").json()["state"] == "held"
        refused = sarang.type("session request cad --user mina")
        assert refused.status == 8 and "2 ready desktops" in refused.err and "kept for a reservation until" in refused.err, refused
        korean = sarang.type("session request cad --user mina --lang ko")
        assert "예약용입니다" in korean.err, korean
        session = sarang.ok("session request cad --user jihye --wait=30 -o json").json()
        held = sarang.ok("reservation list -o json").json()[0]
        assert session["state"] == "assigned" and (held["state"], held["held"], held["used"]) == ("held", 2, 1), (session, held)
        told = sarang.ok("explain reservation class").out
        assert "2 desktops of pool cad are held, 1 of them in use" in told, told
        assert "예약 class: 확보됨" in sarang.ok("explain reservation class --lang ko").out
        sarang.ok("reservation remove class")
        sarang.ok("session request cad --user mina --wait=30")
        kinds = [e["kind"] for e in sarang.ok("event list -o json").json()]
        assert "reservation.added" in kinds and "reservation.begun" in kinds and "reservation.removed" in kinds, kinds


@test
def no_more_is_kept_than_there_are_people_for():
    with Place() as sarang:
        sarang.furnish(spare=0, most=2)
        sarang.ok("user add mina")
        sarang.ok("user add yuna")
        sarang.ok("reservation add class --pool cad --count 2 --until 2h --users jihye,yuna")
        eventually(lambda: sarang.ok("reservation show class -o json").json()["ready"] == 2, 30, "both desktops are ready")
        sarang.ok("user remove yuna")
        left = sarang.ok("reservation show class -o json").json()
        assert (left["state"], left["held"], left["users"]) == ("short", 1, ["jihye"]), left
        assert left["error"]["code"] == "reservation-people", left
        told, korean = sarang.ok("reservation show class").out, sarang.ok("reservation show class --lang ko").out
        assert "names 1 may have a desktop of pool" in told and "받을 수 있는 사람은 1명" in korean, (told, korean)
        sarang.ok("session request cad --user mina --wait=30")
        sarang.ok("reservation change class --count 1")
        kept = sarang.ok("reservation show class -o json").json()
        assert (kept["state"], kept["held"]) == ("held", 1), kept
        begun = [e for e in sarang.ok("event list -o json").json() if e["kind"] == "reservation.begun"]
        assert len(begun) == 1, begun


@test
def a_time_needs_no_seconds():
    with Place() as sarang:
        sarang.furnish(spare=0, most=1)
        until = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + 7200))
        made = sarang.ok(f"reservation add class --pool cad --count 1 --until {until} -o json").json()
        assert made["until"].startswith(until + ":00"), made


@test
def what_there_is_no_room_for_is_told_at_once_and_it_ends_in_time():
    with Place() as sarang:
        sarang.furnish(spare=0, most=3)
        later = sarang.ok("reservation add later --pool cad --count 3 --from 2h --until 3h -o json").json()
        assert (later["state"], later["fits"], later["error"]) == ("planned", 3, None), later
        sarang.ok("pool pause cad")
        sarang.ok("reservation add now --pool cad --count 1 --until 4s")
        short = sarang.ok("reservation show now -o json").json()
        assert short["state"] == "short" and short["error"]["code"] == "pool-closed", short
        eventually(lambda: sarang.ok("reservation list -o name").out.split() == ["later"], 20, "the short one is over")
        assert "reservation.over" in [e["kind"] for e in sarang.ok("event list -o json").json()]
        wrong = sarang.type("reservation add bad --pool cad --count 9 --until 2h")
        assert wrong.status == 2 and "count" in wrong.err and "which is 3" in wrong.err, wrong


if __name__ == "__main__":
    main()
