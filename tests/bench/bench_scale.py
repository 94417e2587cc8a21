#!/usr/bin/env python3
"""What ten thousand desktops cost a daemon that starts anew: the time to its first durable grant, and memory for each, on fake hosts that
outlive it. The desktops are made by the product itself."""
import json, math, os, statistics, subprocess, time

from bench import BUILD, Daemon, figure

SIZES = [int(n) for n in os.environ.get("SIZES", "1000,10000,40000").split(",")]
ROUNDS, TIMED = 5, 10000
FLEET_HOSTS, FLEET_DESKTOPS = 2500, 40000
SETTLED_S = 8


def first_grant_s(daemon, user):
    """From the start of the program until the answer to a request for a desktop has come."""
    command = [os.path.join(BUILD, "tests/bench/grant_load"), "first", daemon.socket, "/api/v1/sessions",
               json.dumps({"pool": "warm", "user": user, "ticket": True})]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
        began = time.monotonic()
        daemon.start()
        answer = json.loads(caller.communicate(timeout=120)[0])
    if answer["failed"]:
        raise SystemExit("the first grant after a start was refused")
    return answer["at_us"] / 1e6 - began


def settled_rss_kib(daemon):
    """Once it has looked at all its hosts and given back what that took: within 1 % for so many seconds."""
    seen = []
    for _ in range(120):
        seen = seen[1 - SETTLED_S:] + [daemon.rss_kib()]
        if len(seen) == SETTLED_S and max(seen) - min(seen) <= max(seen) / 100:
            break
        time.sleep(1)
    return seen[-1]


def furnish(daemon, n, hosts):
    """The desktops, once the tasks that made them are history: what stands then is what a daemon holds on an ordinary day."""
    daemon.furnish(hosts=hosts, desktops=n, kept=True)
    daemon.post("/api/v1/users", '{"name":"u%d"}', 1, ROUNDS, 1)
    end = time.monotonic() + 300
    while daemon.ask("task", "list", "--limit", "1"):
        if time.monotonic() > end:
            raise SystemExit("tasks that ended stay")
        time.sleep(1)


def measure(n, hosts=0, rounds=ROUNDS):
    """(seconds to the first grant, KiB once settled): medians over starts; n = 0: a daemon that knows nothing; hosts = 0: one for 1,000."""
    daemon = Daemon()
    try:
        if n:
            furnish(daemon, n, hosts or max(4, n // 1000))
        took, rss = [], []
        for i in range(1, rounds + 1):
            daemon.stop()
            if n:
                took.append(first_grant_s(daemon, f"u{i}"))
            else:
                daemon.start()
            if n <= TIMED or i == rounds:
                rss.append(settled_rss_kib(daemon))
        return statistics.median(took or [0]), statistics.median(rss)
    finally:
        daemon.close()


def slope(xs, ys):
    x, y = statistics.mean(xs), statistics.mean(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys)) / sum((a - x) ** 2 for a in xs)


def main():
    base = measure(0)[1]
    got = {n: measure(n) for n in SIZES}
    for n in SIZES:
        if n == TIMED:
            figure("restart_10k_s", got[n][0], "s", "start of sarangd to its first grant, 10,000 desktops in the store", 1)
    grown = {n: (got[n][1] - base) * 1024 for n in SIZES}
    each = max(grown[n] / n for n in SIZES if n >= TIMED) if SIZES[-1] >= TIMED else grown[SIZES[-1]] / SIZES[-1]
    said = ", ".join(f"{grown[n] / n:.0f} at {n}" for n in SIZES)
    figure("rss_per_desktop_bytes", each, "bytes", f"memory above that of a daemon without any ({base / 1024:.1f} MiB): {said}", 1200)
    if len(SIZES) > 1:
        exponent = slope([math.log(n) for n in SIZES], [math.log(grown[n]) for n in SIZES])
        figure("rss_growth", exponent, "exponent", "over " + ", ".join(map(str, SIZES)), 1.05)
    figure("rss_40k_mib", measure(FLEET_DESKTOPS, FLEET_HOSTS, 1)[1] / 1024, "MiB", f"{FLEET_HOSTS} hosts, {FLEET_DESKTOPS} desktops, all of the daemon", 80)


if __name__ == "__main__":
    main()
