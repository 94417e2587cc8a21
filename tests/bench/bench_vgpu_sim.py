#!/usr/bin/env python3
"""A million operations on vGPUs in the simulator: the real core under virtual time, with seeded faults. An operation is a claim that became durable, a
claim that ended, the controller killed, or a host that lost power. A violation is a seed whose story breaks what must hold: no vGPU lost, doubled, or
taken from others, no release that frees another's, nothing foreign touched. OPERATIONS=N for fewer; one process a CPU that this one may use."""
import os, re, resource, subprocess

from bench import BUILD, ROOT, figure

OPERATIONS = int(os.environ.get("OPERATIONS", "1000000"))
SEEDS_AT_ONCE = 20
TOLD = re.compile(r"(\d+) (crashes|claims|releases|reboots)\b")


def seeds(first):
    """Twenty stories in a process of their own."""
    return subprocess.Popen(["nice", os.path.join(BUILD, "tests/sim/sim"), str(SEEDS_AT_ONCE), str(first), "0"], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, env=os.environ | {"SIM_GPU": "storm"})


def main():
    done, broken, first, told = 0, [], 1, {}
    while done < OPERATIONS:
        running = [seeds(first + i * SEEDS_AT_ONCE) for i in range(len(os.sched_getaffinity(0)))]
        first += SEEDS_AT_ONCE * len(running)
        for process in running:
            text = process.communicate()[0]
            found = {what: int(n) for n, what in TOLD.findall(text)}
            if len(found) != 4:
                raise SystemExit(f"the simulator told no figures: {text[-300:]}")
            broken += re.findall(r"^seed \d+ breaks: .*", text, re.M)
            done += sum(found.values())
            told = {what: told.get(what, 0) + n for what, n in found.items()}
    said = ", ".join(f"{n} {what}" for what, n in told.items())
    took = resource.getrusage(resource.RUSAGE_CHILDREN)
    said += f", {(took.ru_utime + took.ru_stime) / 60:.1f} CPU minutes"
    figure("vgpu_sim_violations", len(broken), "", f"{done} operations in {first - 1} stories: {said}{''.join('; ' + b for b in broken[:3])}", 0)


if __name__ == "__main__":
    main()
