#!/usr/bin/env python3
"""Durable grants from a warm pool over HTTP: session, desktop, ticket, task and event, against one-row commits on the same disk."""
from bench import Daemon, commits, figure, ratio_of_medians

ROUNDS, ALONE, STORM, CALLERS = 5, 250, 1600, 64
daemon = Daemon()
try:
    total = ROUNDS * (ALONE + STORM)
    daemon.furnish(hosts=4, desktops=total)
    daemon.post("/api/v1/users", '{"name":"u%d"}', 1, total, 16)
    first = iter(range(1, total + 1, 1))
    taken = 0

    def grants(n, callers):
        global taken
        answer = daemon.post("/api/v1/sessions", '{"pool":"warm","user":"u%d","ticket":true}', taken + 1, n, callers)
        taken += n
        return answer

    ratio, ours, floor = ratio_of_medians(lambda: grants(ALONE, 1)["p50_us"], lambda: commits(daemon.dir)["p50_us"], ROUNDS)
    figure("grant_p50_vs_commit", ratio, "ratio", f"one SQLite WAL+FULL commit ({ours:.0f} us / {floor:.0f} us)", 1.8)
    ratio, ours, floor = ratio_of_medians(lambda: grants(STORM, CALLERS)["per_s"], lambda: commits(daemon.dir)["per_s"], ROUNDS)
    figure("grant_rate_vs_commit", ratio, "ratio", f"single-row commits/s ({ours:.0f}/s / {floor:.0f}/s)", 5, at_most=False)
finally:
    daemon.close()
