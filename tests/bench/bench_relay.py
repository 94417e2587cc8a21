#!/usr/bin/env python3
"""Consoles through the gateway against websockify, a splice-only TCP relay and haproxy's TLS, in turn, per CPU-second of the relay;
and the memory of consoles that do nothing. The relay has one CPU, guests and people the other."""
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/scenario"))
from bench import BUILD, figure, unmeasured  # noqa: E402
import gatewaylab  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = os.environ.get("SECONDS_EACH", "1.5")
CPUS = sorted(os.sched_getaffinity(0))
RELAY_CPU, LOAD_CPU = str(CPUS[0]), str(CPUS[-1])
IDLE_FIRST, IDLE_MORE = 50, 500


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Peer:
    """A relay of somebody else between a port and the guests' port."""

    def __init__(self, kind, command):
        self.kind, self.port, self.guest_port, self.tickets = kind, free_port(), free_port(), lambda n: ""
        self.process = subprocess.Popen(["taskset", "-c", RELAY_CPU, *command(self.port, self.guest_port)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        gatewaylab.eventually(self.listens, 20, kind)

    def listens(self):
        with socket.socket() as s:
            s.settimeout(1)
            return self.process.poll() is None and self.bound()

    def bound(self):
        with open("/proc/net/tcp", encoding="ascii") as table:
            return any(line.split()[1].endswith(f":{self.port:04X}") and line.split()[3] == "0A" for line in list(table)[1:])

    def close(self):
        self.process.terminate()
        self.process.wait()


class Ours(Peer):
    def __init__(self, folder, plain):
        self.kind = "gateway" if plain else "gateway-tls"
        self.guest_port = free_port()
        home = os.path.join(folder, self.kind)
        os.mkdir(home)
        self.controller = gatewaylab.Controller(home)
        more = [x for s in ("limits.relays=20000", "limits.relays-per-user=20000", "limits.connections=20000", "log.level=warning",
                            "limits.connections-per-address=0") for x in ("--set", s)]
        gatewaylab.BINARY = os.path.join(BUILD, "sarang-gateway")
        self.gateway = gatewaylab.Gateway(home, self.controller, *more, "--set", "gateway.threads=1", "--set", "log.level=info", plain=plain,
                                          wrap=("taskset", "-c", RELAY_CPU))
        self.port, self.process, self.relays = self.gateway.port, self.gateway.process, 0

    def tickets(self, n):
        guest = type("Guest", (), {"port": self.guest_port})
        lines = []
        for _ in range(n):
            self.relays += 1
            lines.append(self.controller.ticket(guest, f"r-{self.relays}", password=""))
        return "".join(line + "\n" for line in lines)

    def close(self):
        self.gateway.stop()
        self.controller.stop()


def load(peer, mode, people):
    return ["taskset", "-c", LOAD_CPU, os.path.join(BUILD, "tests/bench/relay_load"), peer.kind, mode, str(peer.port), str(peer.guest_port),
            str(peer.process.pid), str(people), SECONDS]


def flow(peer, mode, people):
    done = subprocess.run(load(peer, mode, people), input=peer.tickets(people), capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise SystemExit(f"relay_load {peer.kind} {mode}: {done.stderr}")
    said = json.loads(done.stdout)
    time.sleep(0.1)
    return (said["bytes"] / 1e6 if mode == "bulk" else said["rounds"]) / said["cpu_s"]


class Held:
    """Consoles that stay until the end of the block; what was said when all were there."""

    def __init__(self, peer, mode, people):
        self.process = subprocess.Popen(load(peer, mode, people), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write(peer.tickets(people))
        self.process.stdin.flush()
        self.said = json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def compare(rows, mode, people):
    """rows: peers; medians of each, measured in turn."""
    got = {peer: [] for peer in rows}
    for _ in range(ROUNDS):
        for peer in rows:
            got[peer].append(flow(peer, mode, people))
    return [statistics.median(got[peer]) for peer in rows]


def idle_kib(ours):
    with Held(ours, "idle", IDLE_FIRST):
        before = ours.gateway.resident_kib()
        with Held(ours_second(ours), "idle", IDLE_MORE):
            return (ours.gateway.resident_kib() - before) / IDLE_MORE


def ours_second(ours):
    """The same gateway with a guests' port of its own, for a second load beside the first."""
    twin = object.__new__(Ours)
    twin.__dict__.update(ours.__dict__)
    twin.guest_port = free_port()
    twin.relays = ours.relays + 100000
    return twin


def paused_mib(ours):
    """What the kernel holds on the way from the guest to the person, without what either of the two holds, and what the gateway grew."""
    before = ours.gateway.resident_kib()
    with Held(ours, "paused", 1) as held:
        on_the_way = held.said["offered"] - held.said["unsent"] - held.said["unread"]
        grown_kib = max(0, ours.gateway.resident_kib() - before)
        return on_the_way / 2**20 + grown_kib / 1024


def haproxy(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=bench", "-days",
                    "2", "-keyout", f"{folder}/key", "-out", f"{folder}/certificate"], check=True, capture_output=True)
    with open(f"{folder}/both.pem", "w", encoding="ascii") as both:
        for part in ("certificate", "key"):
            with open(f"{folder}/{part}", encoding="ascii") as text:
                both.write(text.read())

    def command(port, guest_port):
        with open(f"{folder}/haproxy.cfg", "w", encoding="ascii") as config:
            config.write(f"global\n  nbthread 1\n  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256\n"
                         f"defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
                         f"frontend f\n  bind 127.0.0.1:{port} ssl crt {folder}/both.pem ssl-min-ver TLSv1.3\n  default_backend b\n"
                         f"backend b\n  server s 127.0.0.1:{guest_port}\n")
        return ["haproxy", "-f", f"{folder}/haproxy.cfg"]
    return Peer("tls", command)


def same_for_all():
    """A network of our own, where one can be had, with one congestion control for all: a host's that paces (BBR) would cost the others
    timers on loopback, which the gateway leaves out by itself."""
    if os.geteuid() or os.environ.get("BENCH_NETWORK"):
        return
    script = "ip link set lo up && sysctl -qw net.ipv4.tcp_congestion_control=reno && exec \"$@\""
    os.environ["BENCH_NETWORK"] = "own"
    if subprocess.run(["unshare", "-n", "true"], stderr=subprocess.DEVNULL).returncode == 0:
        os.execvp("unshare", ["unshare", "-n", "sh", "-c", script, "sh", sys.executable, *sys.argv])


def memory(plain, tls):
    figure("relay_idle_kib", idle_kib(plain), "KiB", "an idle console, plain", 16)
    figure("relay_idle_tls_kib", idle_kib(tls), "KiB", "an idle console over TLS", 32)
    figure("relay_paused_mib", max(paused_mib(plain), paused_mib(tls)), "MiB", "a person who stopped reading, 300 MiB offered", 8)


def against_splice(plain, closing):
    closing.append(Peer("tcp", lambda port, guest: [os.path.join(BUILD, "tests/bench/relay_splice"), str(port), str(guest)]))
    ours, floor = compare([plain, closing[-1]], "bulk", 1)
    figure("relay_bulk_vs_splice", ours / floor, "ratio", f"MB per CPU-second: {ours:.0f} / {floor:.0f}", 0.85, at_most=False)


def against_websockify(plain, closing):
    if not shutil.which("websockify"):
        unmeasured("relay_bulk_vs_websockify", "websockify is not installed", 2.3, at_most=False)
        unmeasured("relay_messages_vs_websockify", "websockify is not installed", 8, at_most=False)
        return
    closing.append(Peer("websockify", lambda port, guest: ["websockify", f"127.0.0.1:{port}", f"127.0.0.1:{guest}"]))
    ours, theirs = compare([plain, closing[-1]], "bulk", 1)
    figure("relay_bulk_vs_websockify", ours / theirs, "ratio", f"MB per CPU-second: {ours:.0f} / {theirs:.0f}", 2.3, at_most=False)
    ours, theirs = compare([plain, closing[-1]], "echo", 50)
    figure("relay_messages_vs_websockify", ours / theirs, "ratio", f"round trips per CPU-second: {ours:.0f} / {theirs:.0f}", 8, at_most=False)


def against_haproxy(tls, folder, closing):
    if not shutil.which("haproxy"):
        unmeasured("relay_tls_vs_haproxy", "haproxy is not installed", 0.9, at_most=False)
        return
    closing.append(haproxy(folder))
    ours, theirs = compare([tls, closing[-1]], "bulk", 1)
    figure("relay_tls_vs_haproxy", ours / theirs, "ratio", f"MB per CPU-second: {ours:.0f} / {theirs:.0f}", 0.9, at_most=False)


def main():
    same_for_all()
    folder = tempfile.mkdtemp(prefix="bench-relay-")
    closing = []
    try:
        for plain in (True, False):
            closing.append(Ours(folder, plain))
        plain, tls = closing
        memory(plain, tls)
        against_splice(plain, closing)
        against_websockify(plain, closing)
        against_haproxy(tls, folder, closing)
    finally:
        for peer in closing:
            peer.close()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
