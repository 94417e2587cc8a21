#!/usr/bin/env python3
"""On the GPU host of tests/lab/gpu, real libvirt and real mediated devices under emulation: how long a GPU desktop takes from the request until it runs,
against the two plain libvirt calls that it cannot do without, in turn; and what it costs to know the host's cards while nothing happens, counted as
calls on the wire (node devices) and commands by SSH. ROUNDS and WATCH_S shorten it."""
import contextlib, json, os, pathlib, re, socket, statistics, struct, subprocess, sys, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests/lab"), os.path.join(ROOT, "tests/lab/gpu")]
from bench import BUILD, figure, unmeasured
from bench_provision import Api
from gpuhost import HERE, MBOCHS, GpuHost
from lab import Failure, command, until
from product import LOCAL, Product

LARGE, CARD = "vgpu_mbochs-large", "pci_" + re.sub(r"[:.]", "_", MBOCHS)
ROUNDS, WATCH_S = int(os.environ.get("ROUNDS", "5")), int(os.environ.get("WATCH_S", "240"))
# libvirt's own numbers (src/remote/remote_protocol.x): what asks for node devices
NODE_DEVICE_CALLS = {111, 112, 113, 114, 115, 116, 117, 285}
REMOTE_PROGRAM, TYPE_CALL = 0x20008086, 0


class Counter:
    """Stands between sarangd and libvirtd and counts the calls that pass, by procedure."""

    def __init__(self, port):
        self.port, self.calls = port, {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def uri(self):
        return f"qemu+tcp://127.0.0.1:{self.listener.getsockname()[1]}/system"

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.port))
            for pump, a, b in ((self._count, client, server), (self._copy, server, client)):
                threading.Thread(target=pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pass(a, b):
        """What a says, part by part, once b has it; over when either is closed."""
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
                yield data
        b.close()

    def _copy(self, a, b):
        for _ in self._pass(a, b):
            pass

    def _count(self, a, b):
        pending = b""
        for data in self._pass(a, b):
            pending += data
            while len(pending) >= 28 and len(pending) >= (length := struct.unpack(">I", pending[:4])[0]):
                program, _, procedure, kind = struct.unpack(">IIiI", pending[4:20])
                if (program, kind) == (REMOTE_PROGRAM, TYPE_CALL):
                    self.calls[procedure] = self.calls.get(procedure, 0) + 1
                pending = pending[length:]

    def node_devices(self):
        return sum(n for procedure, n in self.calls.items() if procedure in NODE_DEVICE_CALLS)


def ssh_way(host):
    """A key of the controller's own, each of whose commands leaves a line on the host; as options of `host add`."""
    key = host.dir / "controller_key"
    command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    counted = f'command="echo >> /run/commands; exec sh -c \\"$SSH_ORIGINAL_COMMAND\\"" {key.with_suffix(".pub").read_text().strip()}'
    subprocess.run(["ssh", "-F", host.run / "ssh_config", "gpuhost", "cat >> /root/.ssh/authorized_keys; : > /run/commands"], input=counted + "\n",
                   text=True, check=True)
    print_of_key = host.on("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    return {"ssh_address": "127.0.0.1", "ssh_port": host.ssh, "ssh_key": key, "ssh_host_key": print_of_key}


def prepare(host, sarang, counter):
    sarang("host", "add", "gpu0", uri=counter.uri(), console_address=host.consoles)
    sarang.wait("host", "gpu0", state="up", seconds=120)
    sarang.wait_count("gpu", 3, host="gpu0", seconds=90)
    disk = host.dir / "tiny.img"
    disk.write_bytes(bytes(1 << 20))
    sarang("storage", "add", "local", path=LOCAL, hosts=["gpu0"])
    sarang("image", "import", "tiny", disk, "--wait=120", format="raw", storages=["local"], kernel=f"{LOCAL}/tiny.elf")
    sarang("gpu-class", "add", "large", accepts=[LARGE])
    sarang("template", "add", "tiny", HERE / "tiny.xml")
    sarang("pool", "create", "cad", template="tiny", image="tiny", storages=["local"], personalise="none", min=0, max=1)


def by_product(api):
    began = time.monotonic()
    api.ask("PATCH", "pools/cad", {"min": 1})
    while not any(d["power"] == "on" for d in api.ask("GET", "desktops?pool=cad")["items"]):
        if time.monotonic() - began > 120:
            raise Failure(f"the desktop does not run: {api.ask('GET', 'desktops')} {api.ask('GET', 'pools/cad')['error']}")
        time.sleep(0.02)
    return time.monotonic() - began


def product_ends(sarang, api):
    sarang.wait_count("desktop", 1, pool="cad", state="available", seconds=120)
    api.ask("PATCH", "pools/cad", {"min": 0})
    for d in sarang.list("desktop"):
        sarang("desktop", "retire", d["name"])
    until(lambda: not sarang.list("desktop") and not sarang.list("vgpu"), "the desktop and its claim are gone", 120)


def definition(host, sarang):
    """A file with the product's own definition, with marks where desktops differ, and an overlay made as the product makes its own."""
    desktop, claim = sarang.list("desktop")[0], sarang.list("vgpu")[0]
    domain = sarang.domain(desktop["name"])
    xml = host.on(f"virsh -q dumpxml --inactive {domain}")
    disk = re.search(r"<source file='([^']*)'", xml)[1]
    host.on(f"cp {disk} {LOCAL}/plain.qcow2")
    for pattern, mark in ((rf"<name>{domain}</name>", "<name>@NAME@</name>"), (r"<uuid>[^<]*</uuid>", "<uuid>@UUID@</uuid>"),
                          (r"<source file='[^']*'/>", f"<source file='{LOCAL}/plain.qcow2'/>"), (r"(?s)<metadata>.*?</metadata>", ""),
                          (claim["uuid"], "@MDEV@")):
        xml, n = re.subn(pattern, mark, xml)
        if n != 1:
            raise Failure(f"the definition of {domain} has {n} of {pattern}")
    path = host.dir / "plain.xml"
    path.write_text(xml)
    return path


def by_hand(host, xml):
    program = pathlib.Path(BUILD) / "tests/bench/gpu_plain"
    return json.loads(command(program, host.uri("gpu0"), CARD, LARGE, xml, seconds=180))["seconds"]


def starts(host, sarang, api):
    by_product(api)  # the first of each side finds caches cold: it does not count
    sarang.wait_count("desktop", 1, pool="cad", state="available", seconds=120)
    xml = definition(host, sarang)
    product_ends(sarang, api)
    by_hand(host, xml)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(by_hand(host, xml))
        ours.append(by_product(api))
        product_ends(sarang, api)
    a, b = statistics.median(ours), statistics.median(theirs)
    figure("gpu_start_vs_libvirt", a / b, "ratio", f"{a:.2f} s from request to running, {b:.2f} s by virNodeDeviceCreateXML and virDomainCreateXML; "
           f"medians of {ROUNDS}, in turn; a host without SSH; disk made and definition kept by us alone, load {os.getloadavg()[0]:.1f}", 1.10)


def watch(host, sarang, counter):
    """With a way to its files too: what costs most."""
    sarang("host", "change", "gpu0", **ssh_way(host))
    # its files say that the machine's own screen is on the card, which nobody looks at
    sarang("gpu", "change", next(c["name"] for c in sarang("gpu", "list") if c["address"] == MBOCHS), give_console="true")
    sarang("pool", "change", "cad", min=1)
    sarang.wait_count("desktop", 1, pool="cad", state="available", seconds=240)
    until(lambda: not sarang.list("task", state="running"), "nothing is under way", 60)
    time.sleep(10)  # what events still bring is over
    calls, commands, began = counter.node_devices(), int(host.on("wc -l < /run/commands")), time.monotonic()
    time.sleep(WATCH_S)
    minutes = (time.monotonic() - began) / 60
    calls, commands = counter.node_devices() - calls, int(host.on("wc -l < /run/commands")) - commands
    if not calls:
        raise Failure(f"no call for node devices was seen: {counter.calls}")
    figure("vgpu_watch_calls", (calls + commands) / minutes, "/min", f"{calls} calls for node devices and {commands} commands by SSH in {minutes:.1f} minutes "
           "of a host with a GPU desktop, nothing happening", 2)


def main():
    if not os.path.exists(os.path.join(ROOT, "build/gpuhost/built")):
        for name, reach in (("gpu_start_vs_libvirt", 1.10), ("vgpu_watch_calls", 2)):
            unmeasured(name, "the GPU host is not built: make lab-gpu", reach)
        return
    with GpuHost("bench") as host, Product(host) as sarang:
        counter = Counter(host.tcp)
        prepare(host, sarang, counter)
        api = Api(sarang.dir / "api.sock")
        starts(host, sarang, api)
        watch(host, sarang, counter)


if __name__ == "__main__":
    main()
