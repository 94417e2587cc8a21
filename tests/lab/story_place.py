#!/usr/bin/env python3
"""Two real hosts with capacities that are said, not measured: a pool fills them, the next one is refused with each host's numbers, and what is told to
help is done and helps."""
from lab import Lab, equal, refused, require, run
from product import Product, missing

PEOPLE = ("jihye", "mina", "minsu", "sora")


def told(plan, part="hosts_stopped"):
    """Rule → (how many hosts it stops, the text with the numbers)."""
    return {row["rule"]: (row["n"], row["reason"]["text"]) for row in plan.get(part, [])}


def places(plan):
    return {p["host"]: p["desktops"] for p in plan["places"]}


def on_hosts(desktops):
    return {h: sum(d["host"] == h for d in desktops) for h in ("host1", "host2")}


def prepare(s, sarang):
    with s.check("host1 hands out 2 vCPUs because it is said so; host2 one: all of its own but the rest, without overcommit", needed=True):
        sarang.enrol("host1")
        cpus = sarang.enrol("host2")["host_cpus"]
        sarang("host", "change", "host1", vcpus=2, labels="rack-a")
        sarang("host", "change", "host2", cpu_overcommit_pct=100, cpu_reserve=cpus - 1, labels="rack-a,rack-b")
        sarang.add_shared()
        sarang.add_guest("micro", ["shared"])
        for name in PEOPLE:
            sarang("user", "add", name, title=name)
        sarang("pool", "create", "p", template="micro", image="micro", personalise="none", vcpus=1, labels="rack-a", min=0, max=6)


def check_plan(s, sarang):
    """Before anything is made: where, and why no more."""
    with s.check("a plan for four finds three places and says what stops the fourth, host by host"):
        plan = sarang("plan", pool="p", count=4)
        equal((plan["placed"], places(plan)), (3, {"host1": 2, "host2": 1}), "the places")
        equal(told(plan)["vcpus"][0], 2, "hosts that vCPUs stop")
        require("0 of 2 vCPUs free, 1 wanted" in told(plan)["vcpus"][1] or "0 of 1 vCPUs free, 1 wanted" in told(plan)["vcpus"][1], told(plan)["vcpus"][1])
    with s.check("without host2 there are two, and that one is told as left out"):
        plan = sarang("plan", pool="p", count=4, without_host="host2")
        equal((plan["placed"], places(plan)), (2, {"host1": 2}), "the places")
        equal(told(plan), {"vcpus": (1, "host host1 has 0 of 2 vCPUs free, 1 wanted"), "host-state": (1, "host host2 is left out")}, "what stops the rest")
    with s.check("a plan has no effect"):
        equal((sarang.list("desktop"), [t for t in sarang("task", "list") if t["noun"] == "desktop"]), ([], []), "desktops and their tasks")


def check_full(s, sarang):
    with s.check("three desktops come to be where the plan said, on the real hosts", needed=True):
        sarang("pool", "change", "p", min=3)
        desktops = sarang.wait_count("desktop", 3, pool="p", state="available")
        equal(on_hosts(desktops), {"host1": 2, "host2": 1}, "desktops by host")
        for host in ("host1", "host2"):
            equal(sarang.domains(host), {sarang.domain(d["name"]) for d in desktops if d["host"] == host}, f"domains of {host}")
    sessions = []
    with s.check("three people get them", needed=True):
        sessions = [sarang("session", "request", "p", "--wait=60", user=name) for name in PEOPLE[:3]]
        equal(len({x["desktop"] for x in sessions}), 3, "desktops they have")
    with s.check("the fourth is refused, with the numbers of both hosts"):
        with refused("0 of 2 vCPUs free, 1 wanted|0 of 1 vCPUs free, 1 wanted", status=8):
            sarang("session", "request", "p", user=PEOPLE[3])
    return sessions


def check_label(s, sarang):
    with s.check("a label that host1 lacks is told as what stops it"):
        sarang("pool", "create", "q", template="micro", image="micro", personalise="none", vcpus=1, labels="rack-b", min=0, max=2)
        plan = sarang("plan", pool="q")
        equal(told(plan), {"label": (1, 'host host1 lacks the label "rack-b"'), "vcpus": (1, "host host2 has 0 of 1 vCPUs free, 1 wanted")},
              "what stops it")


def check_fixes(s, sarang, sessions):
    with s.check("ending the session of the desktop on host2 makes room there: the fourth person gets that desktop, anew"):
        there = next(x for x in sessions if x["host"] == "host2")
        sarang("session", "end", there["name"])
        sarang.wait("desktop", there["desktop"], state="available")
        got = sarang("session", "request", "p", "--wait=60", user=PEOPLE[3])
        equal((got["desktop"], got["host"]), (there["desktop"], "host2"), "desktop and host")
    with s.check("with a vCPU more on host1 a plan finds a place, and a request finds it"):
        with refused(status=8):
            sarang("session", "request", "p", user=there["user"])
        sarang("host", "change", "host1", vcpus=3)
        equal(places(sarang("plan", pool="p")), {"host1": 1}, "the place")
        got = sarang("session", "request", "p", "--wait=60", user=there["user"])
        equal(got["host"], "host1", "the host")
        equal(len(sarang.domains("host1")), 3, "domains on host1")


def check_moves(s, sarang):
    with s.check("what would free host2 is told: nobody else has room; with room on host1, one move"):
        plan = sarang("plan", "rebalance", host="host2")
        equal((plan["reached"], [row["kind"] for row in plan["stays"]]), (False, ["nowhere"]), "what stays")
        sarang("host", "change", "host1", vcpus=4)
        plan = sarang("plan", "rebalance", host="host2")
        equal((plan["reached"], [(m["from"], m["to"]) for m in plan["moves"]]), (True, [("host2", "host1")]), "the moves")


def story(s):
    if missing():
        s.skip("desktops are placed", f"not built yet: {', '.join(missing())}")
        return
    with Lab("place") as lab, Product(lab) as sarang:
        prepare(s, sarang)
        check_plan(s, sarang)
        sessions = check_full(s, sarang)
        check_label(s, sarang)
        check_fixes(s, sarang, sessions)
        check_moves(s, sarang)


run(story)
