#!/usr/bin/env python3
"""Twenty micro desktops on two hosts of the lab, until all run: by the product as it ships, through its own API, and by a small program that makes
the same overlays, definitions and starts with plain libvirt calls and as many of them at a time. In turn, each round anew."""
import http.client, json, os, pathlib, re, socket, statistics, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/lab"))
from bench import figure, unmeasured
from lab import Failure, Lab, command, guests, until
from product import SHARED, Product

HOSTS, DESKTOPS, THREADS, ROUNDS = ("host1", "host2"), 20, 4, int(os.environ.get("ROUNDS", "5"))
NAME, AGAINST_REACH = "provision_vs_libvirt", 1.05


class Api(http.client.HTTPConnection):
    """One connection to the daemon's own socket, which costs neither side much."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None):
        self.request(method, "/api/v1/" + path, json.dumps(body) if body else None, {"Content-Type": "application/json"} if body else {})
        answer = self.getresponse()
        text = answer.read()
        if answer.status > 299:
            raise Failure(f"{method} {path}: {text.decode()}", answer.status)
        return json.loads(text or b"null")


def by_product(sarang, api):
    """Seconds from the request for the pool until every desktop is seen to run."""
    began = time.monotonic()
    api.ask("POST", "pools", {"name": "bench", "template": "micro", "image": "micro", "storages": ["shared"], "personalise": "none", "min": DESKTOPS,
                              "max": DESKTOPS})
    while True:
        desktops = api.ask("GET", f"desktops?pool=bench&limit={DESKTOPS}")["items"]
        if sum(d["power"] == "on" for d in desktops) == DESKTOPS:
            took = time.monotonic() - began
            break
        if time.monotonic() - began > 120:
            pool = api.ask("GET", "pools/bench")
            raise Failure(f"only {sum(d['power'] == 'on' for d in desktops)} of {DESKTOPS} desktops run; the pool is {pool['state']}: {pool['error']}")
        time.sleep(0.05)
    sarang.wait_count("desktop", DESKTOPS, pool="bench", state="available")
    running = sum(sarang.lab.virsh(host, "list", "--name", "--state-running").split().count(f"sarang-{d['name']}") for host in HOSTS for d in desktops)
    if running != DESKTOPS:
        raise Failure(f"libvirt says that {running} of {DESKTOPS} run")
    return took


def product_ends(sarang, api):
    api.ask("DELETE", "pools/bench")
    sarang.wait_count("pool", 0)


def definition(sarang, api, host):
    """A file with the product's own definition of a desktop on that host, with marks where desktops differ."""
    desktop = next(d for d in api.ask("GET", "desktops?pool=bench")["items"] if d["host"] == host)
    domain = f"sarang-{desktop['name']}"
    xml = sarang.lab.virsh(host, "dumpxml", "--inactive", domain)
    for pattern, mark in ((rf"<name>{domain}</name>", "<name>@NAME@</name>"), (r"<uuid>[^<]*</uuid>", "<uuid>@UUID@</uuid>"),
                          (r"<source file='[^']*'/>", "<source file='@DISK@'/>"), (r"(?s)<metadata>.*?</metadata>", "")):
        xml, n = re.subn(pattern, mark, xml)
        if n != 1:
            raise Failure(f"the definition of {domain} has {n} of {pattern}")
    path = sarang.lab.dir / f"{host}.xml"
    path.write_text(xml)
    return path


class Plain:
    def __init__(self, sarang, api):
        size = (guests() / "micro.img").stat().st_size
        self.lab = sarang.lab
        self.words = [DESKTOPS, THREADS, SHARED, api.ask("GET", "images/micro@1")["volume"], size, *(w for h in HOSTS for w in (definition(sarang, api, h), sarang.uri(h)))]

    def call(self, verb):
        program = pathlib.Path(ROOT) / os.environ.get("B", "build/release") / "tests/bench/provision_plain"
        return json.loads(self.lab.exec("ctl", program, verb, *self.words, seconds=180))["seconds"]


def compare(lab, sarang):
    for host in HOSTS:
        sarang.enrol(host)
        # both see the same two CPUs; as many desktops may be on their way as there are: what is done at a time is bounded by the threads for calls
        sarang("host", "change", host, vcpus=DESKTOPS, starts=DESKTOPS)
    sarang.add_shared()
    sarang.add_guest("micro", ["shared"])
    api = Api(sarang.dir / "api.sock")
    by_product(sarang, api)  # the first of each side finds caches cold: it does not count
    plain = Plain(sarang, api)
    product_ends(sarang, api)
    plain.call("up")
    plain.call("down")
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(by_product(sarang, api))
        product_ends(sarang, api)
        theirs.append(plain.call("up"))
        plain.call("down")
    return statistics.median(ours), statistics.median(theirs)


def main():
    if os.geteuid():
        unmeasured(NAME, "the lab needs root", AGAINST_REACH)
        return
    with Lab("bench") as lab, Product(lab) as sarang:
        ours, theirs = compare(lab, sarang)
    figure(NAME, ours / theirs, "ratio", f"{DESKTOPS} desktops by plain libvirt calls ({ours:.2f} s / {theirs:.2f} s)", AGAINST_REACH)


if __name__ == "__main__":
    main()
