#!/usr/bin/env python3
"""A million operations on vGPUs in the simulator: the real core under virtual time, with seeded faults. An operation is a claim that became durable, a
claim that ended, the controller killed, or a host that lost power. A violation is a seed whose story breaks what must hold: no vGPU lost, doubled, or
taken from others, no release that frees another's, nothing foreign touched. OPERATIONS=N for fewer, FIRST_SEED=N to go
on where another run ended; as many processes as CPUs that this one may use."""
import concurrent.futures, os, re, resource, subprocess, time

from bench import BUILD, ROOT, figure

OPERATIONS = int(os.environ.get("OPERATIONS", "1000000"))
FIRST_SEED = int(os.environ.get("FIRST_SEED", "1"))
SEEDS_AT_ONCE = 5
TOLD = re.compile(r"(\d+) (crashes|claims|releases|reboots)\b")


def stories(first):
    """Some stories in a process of their own; what they told."""
    told = subprocess.run(["nice", os.path.join(BUILD, "tests/sim/sim"), str(SEEDS_AT_ONCE), str(first), "0"], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, env=os.environ | {"SIM_GPU": "storm"}).stdout
    found = {what: int(n) for n, what in TOLD.findall(told)}
    if len(found) != 4:
        raise SystemExit(f"the simulator told no figures: {told[-300:]}")
    return found, re.findall(r"^seed \d+ breaks: .*", told, re.M)


def main():
    began, first, told, broken = time.monotonic(), FIRST_SEED, {}, []
    cpus = len(os.sched_getaffinity(0))
    with concurrent.futures.ThreadPoolExecutor(cpus) as pool:
        running = set()
        while running or sum(told.values()) < OPERATIONS:
            while len(running) < cpus and sum(told.values()) < OPERATIONS:
                running.add(pool.submit(stories, first))
                first += SEEDS_AT_ONCE
            over, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for one in over:
                found, breaks = one.result()
                broken += breaks
                told = {what: told.get(what, 0) + n for what, n in found.items()}
    said = ", ".join(f"{n} {what}" for what, n in told.items())
    took = resource.getrusage(resource.RUSAGE_CHILDREN)
    said += f", {(time.monotonic() - began) / 60:.1f} minutes, {(took.ru_utime + took.ru_stime) / 60:.1f} of a CPU"
    figure("vgpu_sim_violations", len(broken), "",
           f"{sum(told.values())} operations in {first - FIRST_SEED} stories from {FIRST_SEED}: {said}{''.join('; ' + b for b in broken[:3])}", 0)


if __name__ == "__main__":
    main()
