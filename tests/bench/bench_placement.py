#!/usr/bin/env python3
"""Durable placements a second with one vGPU each, against OpenStack Placement on the same inventory, in turn. Ours: sessions asked for over HTTP, whose
answer comes when desktop and claim are on the disk; each round is of pools that have no desktop to spare. Theirs: GET /allocation_candidates and PUT
/allocations, as nova does. Our hosts are fake, with the delays of real ones, and make the desktops while more are asked for, which Placement has not to do;
they are heard when something changes and asked every ten minutes, for the fakes work within the daemon, and it stands still in Placement's turns.
In the end the daemon is killed, and each claim that was answered has to be in its database. HOSTS=1000 for one of the two."""
import contextlib, os, shutil, signal, sqlite3, statistics, time

from bench import Daemon, figure, skipped
from placement_peer import PROCESSES, Placement, missing

REACH = {1000: 500, 5000: 3000}
HOSTS = [int(n) for n in os.environ.get("HOSTS", "1000,5000").split(",")]
ROUNDS, STORM, CALLERS = 5, 500, 64
THEIR_SECONDS, THEIR_CLIENTS = 4, 8   # what is under way then counts in full; of 1, 2, 3, 4 and 8 clients it answered eight fastest
INVENTORY = {"cards": 2, "vgpus": 8, "vcpus": 64, "memory_mib": 524288}
MODEL, TYPE = "t4", "nvidia-231"   # eight of them a card
RESOURCES = "VCPU:2,MEMORY_MB:4096,VGPU:1"
CALL_MS = 300                      # what define or start takes with libvirt


def until(holds, what, pause_s=0.2, seconds=180):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"after {seconds} s it is still awaited that {what}")
        time.sleep(pause_s)


class Ours(Daemon):
    """A controller with so many fake hosts; the cards of each are a directory, copied from the first host's."""

    def furnish_hosts(self, hosts):
        self.cards_of_first()
        for h in range(1, hosts):
            shutil.copytree(f"{self.dir}/cards0", f"{self.dir}/cards{h}", symlinks=True, copy_function=os.link)
        self.post("/api/v1/hosts", '{"name":"h%d","uri":"fake:h%d?latency_ms=' + f"{CALL_MS}&cpus={INVENTORY['vcpus']}&memory_mib="
                  f'{INVENTORY["memory_mib"]}&ready=count&gpus={self.dir}/cards%d"' + "}", 0, hosts, 16)
        until(lambda: len(self.ask("gpu", "list", "--state", "ready")) == INVENTORY["cards"] * hosts, "all cards are seen", hosts / 1000)
        self.furnish_image()
        self.ask("gpu-class", "add", "quarter", "--accepts", TYPE)
        self.ask("pool", "create", "cad", "--template", "micro", "--image", "micro", "--gpu-class", "quarter", "--vcpus", "2", "--memory-mib", "4096",
                 "--min", "0", "--max", "100000", "--personalise", "none")
        self.post("/api/v1/users", '{"name":"u%d"}', 1, ROUNDS * STORM, 16)

    def cards_of_first(self):
        self.ask("host", "add", "first", "--uri", f"fake:first?gpus={self.dir}/cards0&control={self.dir}/control", "--wait=30")
        with open(f"{self.dir}/control", "a", encoding="utf-8") as control:
            control.writelines(f"card 0000:{8 + c:02x}:00.0 {MODEL}\n" for c in range(INVENTORY["cards"]))
        until(lambda: len(self.ask("gpu", "list")) == INVENTORY["cards"], "the first host has its cards")
        self.ask("host", "remove", "first")

    def rate(self, first):
        return self.post("/api/v1/sessions", '{"pool":"cad","user":"u%d"}', first, STORM, CALLERS)["per_s"]

    def settle(self):
        self.wait_available(0, pool="cad")

    @contextlib.contextmanager
    def still(self):
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """Claims that are in the database of a daemon that was given no time to end."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        with sqlite3.connect(os.path.join(self.dir, "sarang.db")) as db:
            return db.execute("SELECT count(DISTINCT desktop) FROM vgpu").fetchone()[0]


def measure(hosts):
    ours, theirs = [], []
    daemon, peer = Ours("hosts.poll_s=600"), None
    try:
        daemon.furnish_hosts(hosts)
        peer = Placement()
        peer.furnish(hosts=hosts, **INVENTORY)
        peer.rate(RESOURCES, 0, PROCESSES)  # its first answers fill its caches
        for i in range(ROUNDS):
            daemon.settle()
            with daemon.still():
                theirs.append(peer.rate(RESOURCES, THEIR_SECONDS, THEIR_CLIENTS))
            ours.append(daemon.rate(1 + i * STORM))
        durable = daemon.kill()
        if durable != ROUNDS * STORM:
            raise SystemExit(f"{ROUNDS * STORM} placements were answered, {durable} are in the database")
    finally:
        daemon.close()
        if peer:
            peer.close()
    return statistics.median(ours), statistics.median(theirs)


def main():
    lacking = missing()
    for hosts in HOSTS:
        name = f"place_durable_vs_placement_{hosts // 1000}k"
        if lacking:
            skipped(name, f"OpenStack Placement is not there, {' '.join(lacking)}", REACH[hosts], at_most=False)
            continue
        ours, theirs = measure(hosts)
        figure(name, ours / theirs, "ratio", f"OpenStack Placement, {hosts} hosts ({ours:.0f}/s / {theirs:.2f}/s)", REACH[hosts], at_most=False)


if __name__ == "__main__":
    main()
