#!/usr/bin/env python3
"""A desktop whose screen is a VNC server in its guest, in a network of its own: shown through the gateway as it ships; and a guest that names
somebody else's address as its own leads nobody there."""
import contextlib
import ctypes
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading

from clilab import BUILD, PROJECT, Place
from gatewaylab import eventually, main, test
from vncserver import Screen, exactly

OURS, GUESTS, HOSTS, ELSEWHERE = "192.0.2.1", "192.0.2.17", "192.0.2.30", "198.51.100.9"
CLONE_NEWNET = 0x40000000
WIDTH, HEIGHT, COLOR = 320, 240, (0x20, 0xA0, 0x90)


class GuestNet:
    """Another network namespace, wired to ours: its sockets are those of another machine."""

    def __init__(self):
        self.made = threading.Event()
        self.wanted, self.given = [], []
        self.turn = threading.Condition()
        threading.Thread(target=self.live, daemon=True).start()
        assert self.made.wait(20), "no namespace"
        for words in ("link set lo up", f"address add {OURS}/24 dev desk0", "link set desk0 up"):
            subprocess.run(["ip", *words.split()], check=True)

    def live(self):
        """A thread that lives there: what it opens stays there."""
        assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        for words in (f"link add guest0 type veth peer name desk0 netns {os.getpid()}", f"address add {GUESTS}/24 dev guest0", "link set guest0 up"):
            subprocess.run(["ip", *words.split()], check=True)
        self.made.set()
        while True:
            with self.turn:
                self.turn.wait_for(lambda: self.wanted)
                self.given.append(socket.create_server(self.wanted.pop(), backlog=64))
                self.turn.notify_all()

    def listen(self, address):
        with self.turn:
            self.wanted.append(address)
            self.turn.notify_all()
            assert self.turn.wait_for(lambda: self.given, 20), "nobody listens there"
            return self.given.pop()


net = None


def template(sarang, port, timeout_s):
    """linux-cli with its screen in the guest."""
    text = (PROJECT / "templates/linux-cli.xml").read_text()
    text = text.replace('<sarang:protocol name="vnc"/>', f'<sarang:screen server="guest" port="{port}"/>\n      <sarang:protocol name="vnc"/>')
    text = text.replace('<sarang:ready by="agent" timeout="600"/>', f'<sarang:ready by="agent" timeout="{timeout_s}"/>')
    file = sarang.folder / "own.xml"
    file.write_text(text)
    sarang.ok(f"template add own {file}")


def desktop_on(sarang):
    """Its name, once its guest runs and what it says can be chosen, or it has failed before."""
    def there():
        running = [d["name"] for d in sarang.ok("desktop list -o json --pool own").json() if d["power"] == "on"]
        ended = [t["object"] for t in sarang.ok("task list -o json").json() if t["state"] == "failed"]
        return next(iter(ended + running), None)
    return eventually(there, 30, "the guest runs")


@contextlib.contextmanager
def desk(*sets, timeout_s=300, claims=GUESTS, serves=True, host_at=None):
    """A pool of desktops whose screens are in their guests, which say that they are at claims: the place, the screen, a desktop."""
    screen = Screen(WIDTH, HEIGHT, COLOR, net.listen((GUESTS, 0)))
    with Place(*sets) as sarang:
        try:
            sarang.furnish(spare=0)
            template(sarang, screen.port, timeout_s)
            if host_at:
                sarang.ok(f"host change h1 --console-address {host_at}")
            if not serves:
                screen.close()
            sarang.ok(f"pool create own --template own --image linux --min 1 --max 2")
            desktop = desktop_on(sarang)
            sarang.command_host(f"claim sarang-{desktop} {claims}")
            yield sarang, screen, desktop
        finally:
            screen.close()


@contextlib.contextmanager
def gateway_of(sarang):
    """jihye, logged in to a gateway as it ships."""
    log = sarang.folder / "gateway.log"
    with open(log, "w", encoding="utf-8") as f:
        gateway = subprocess.Popen([BUILD / "sarang-gateway", "--listen", "127.0.0.1:0", "--self-signed", "--socket", sarang.folder / "gateway.sock",
                                    "--state-dir", sarang.folder / "gw", "--static", sarang.folder / "disk"], stderr=f)
    try:
        port = eventually(lambda: re.search(r'address="127\.0\.0\.1:(\d+)', log.read_text()), 10, "a gateway").group(1)
        # the person's own machine has no socket of the controller's
        person = sarang.env | {"SARANG_CA": f"{sarang.folder}/gw/gateway-certificate.pem"}
        del person["SARANG_SOCKET"]
        subprocess.run([BUILD / "sarang", "login", f"https://127.0.0.1:{port}", "jihye"], input="correct horse battery\n", text=True, env=person,
                       capture_output=True, check=True, timeout=60)
        yield person
    finally:
        gateway.kill()
        gateway.wait()


def shaken(url):
    """What a viewer learns of the screen: its size."""
    with socket.create_connection(("127.0.0.1", int(url.split(":")[-1])), 10) as s:
        assert exactly(s, 12) == b"RFB 003.008\n"
        s.sendall(b"RFB 003.008\n")
        assert exactly(s, 2) == b"\x01\x01", "the password of the guest's server ends at the gateway"
        s.sendall(b"\x01")
        assert exactly(s, 4) == bytes(4)
        s.sendall(b"\x01")
        head = exactly(s, 24)
        return int.from_bytes(head[:2], "big"), int.from_bytes(head[2:4], "big")


def connect(sarang, person, session):
    connection = subprocess.Popen([BUILD / "sarang", "connect", session, "--vv", "own.vv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env=person, cwd=sarang.folder)
    try:
        url = connection.stdout.readline().strip()
        return shaken(url) if url else None
    except (EOFError, ConnectionError):
        return None
    finally:
        connection.terminate()
        out, err = connection.communicate(timeout=20)
        sarang.last = out + err


def events(sarang, desktop, kind):
    return [e for e in sarang.ok("event list -o json").json() if e["kind"] == kind and e["object"] == desktop]


@test
def a_server_in_the_guest_is_shown_through_the_gateway():
    with desk("console.guest_networks=192.0.2.0/24") as (sarang, screen, desktop), gateway_of(sarang) as person:
        sarang.wait_for("desktop", desktop, 40, state="available")
        assert screen.connections >= 1, "ready is who greets"
        session = sarang.ok("session request own --user jihye --wait=30 -o name").out.strip()
        shown = connect(sarang, person, session)
        assert shown == (WIDTH, HEIGHT), (shown, sarang.last)
        assert screen.auth, "with a password of this connect's own"
        # the guest changes its word: the next connect leads nowhere, and who runs the house reads why
        before = screen.connections
        sarang.command_host(f"claim sarang-{desktop} {ELSEWHERE}")
        eventually(lambda: connect(sarang, person, session) is None and events(sarang, desktop, "desktop.screen-refused"), 30, "it is refused")
        told = sarang.ok(f"explain {desktop}").out
        assert "screen-refused" in told, told
        detail = str(events(sarang, desktop, "desktop.screen-refused")[0])
        assert "guest-address-outside" in detail and ELSEWHERE in detail, detail
        assert screen.connections == before, "nobody was dialled"


def failed(sarang, desktop):
    """The task that made the desktop, once it has failed."""
    return next((t for t in sarang.ok("task list -o json").json() if t["object"] == desktop and t["state"] == "failed"), None)


def assert_refused(claims, code, *words, sets=("console.guest_networks=192.0.2.0/24",), **more):
    with desk(*sets, timeout_s=3, claims=claims, **more) as (sarang, screen, desktop):
        task = eventually(lambda: failed(sarang, desktop), 60, "its guest is no good")
        assert task["error"]["code"] == code, task
        told, korean = sarang.ok(f"explain {task['name']}").out, sarang.ok(f"explain {task['name']}", LANG="ko_KR.UTF-8").out
        for word in words:
            assert word in told, (word, told)
        assert desktop in korean and "게스트" in korean and " guest " not in korean, korean
        eventually(lambda: "guest" in sarang.ok("explain pool own").out, 20, "the pool says so too")
        return screen.connections


@test
def a_guest_that_names_an_address_elsewhere_is_refused():
    assert assert_refused(ELSEWHERE, "guest-address-outside", ELSEWHERE, "console.guest_networks") == 0


@test
def a_guest_that_names_the_controllers_own_address_is_refused():
    trap = socket.create_server((OURS, 0))
    trap.setblocking(False)
    try:
        assert_refused(OURS, "guest-address-taken", OURS, "an address of the controller")
        with contextlib.suppress(BlockingIOError):
            trap.accept()
            raise AssertionError("the guest had the controller dial itself")
    finally:
        trap.close()


@test
def a_guest_that_names_a_hosts_address_is_refused():
    assert_refused(HOSTS, "guest-address-taken", HOSTS, "an address of a host", host_at=HOSTS)


@test
def loopback_is_never_dialled():
    assert_refused("127.0.0.2", "guest-address-unknown", "agent", sets=("console.guest_networks=0.0.0.0/0",))
    assert_refused("169.254.169.254", "guest-address-special", "169.254.169.254", sets=("console.guest_networks=0.0.0.0/0",))


@test
def without_networks_no_guest_is_dialled_and_the_option_is_named():
    assert assert_refused(GUESTS, "guest-networks-unset", "console.guest_networks", sets=()) == 0


@test
def a_guest_without_a_server_is_not_ready():
    assert_refused(GUESTS, "guest-screen-silent", GUESTS, "no VNC server greets", serves=False)


@test
def networks_that_can_be_none_are_refused_at_the_start():
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([BUILD / "sarangd", "--config=/dev/null", "--set", "console.guest_networks=127.0.0.0/8", "--set",
                               f"state.directory={folder}/state"], capture_output=True, text=True, check=False)
    assert done.returncode and "console.guest_networks" in done.stderr and "127.0.0.0/8" in done.stderr, done


if __name__ == "__main__":
    how = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if "SARANG_GUEST_NET" not in os.environ:
        if subprocess.run([*how, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
            print("0 passed, 0 failed, 1 skipped: network namespaces are not to be had here")
            sys.exit(0)
        os.environ["SARANG_GUEST_NET"] = "1"
        os.execvp(how[0], [*how, sys.executable, str(pathlib.Path(__file__).resolve()), *sys.argv[1:]])
    net = GuestNet()
    main()
