"""Sarang in a lab: sarangd and sarang-gateway run in the controller's place, the command line as a person types it.

    with Lab("x") as lab, Product(lab) as sarang:
        sarang.enrol("host1")
        pool = sarang("pool", "create", "p", template="micro", image="micro", max=2)"""
import base64
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct

from lab import BUILD, PROJECT, Failure, command, equal, guests, require, until

PROGRAMS = ("sarangd", "sarang-gateway", "sarang")
GATEWAY_PORT = 8443
SHARED = "/srv/shared/sarang"          # the same on hosts and in the controller's place
LOCAL = "/var/lib/libvirt/images"      # each host's own


def missing():
    """Programs that are not built yet."""
    return [name for name in PROGRAMS if not (BUILD / name).exists()]


class Product:
    """sarangd with a store of its own; called, it is the command line."""

    def __init__(self, lab, settings="", page=None):
        """settings: more groups of sarangd's configuration, as text; page: the folder of the page that the gateway gives, if any."""
        self.lab = lab
        self.settings, self.page = settings, f"static={page}\n" if page else ""
        self.dir = lab.dir / "sarang"
        self.env = os.environ | {"SARANG_SOCKET": str(self.dir / "api.sock")}
        self.stack = contextlib.ExitStack()
        self.daemon = None

    def __enter__(self):
        self.dir.mkdir(mode=0o700)
        (self.lab.shared / "sarang").mkdir()
        (self.dir / "sarangd.conf").write_text(
            f"[state]\ndirectory={self.dir}/state\n[http]\nsocket={self.dir}/api.sock\ngateway_socket={self.dir}/gateway.sock\n"
            f"[page]\nurl={self.origin()}\n"
            "[hosts]\nacceleration=never\nplain_tcp=true\npoll_s=5\n[log]\nlevel=info\n" + self.settings)
        (self.dir / "gateway.conf").write_text(
            f"[gateway]\nlisten=0.0.0.0:{GATEWAY_PORT}\nsocket={self.dir}/gateway.sock\nstate-dir={self.dir}/gateway\n"
            f"origins={self.origin()}\n{self.page}[tls]\nself-signed=true\n")
        (self.dir / "gateway").mkdir()
        self.start()
        return self

    def __exit__(self, *_):
        self.stack.close()

    # ── the daemons ──
    def spawn(self):
        """Begins to start sarangd, and waits for nothing."""
        self.daemon = self.stack.enter_context(
            self.lab.process("sarangd", BUILD / "sarangd", "--config", self.dir / "sarangd.conf"))

    def start(self):
        self.spawn()
        until(self.answers, "sarangd answers", 30)

    def answers(self):
        require(self.daemon.poll() is None, f"sarangd has ended: {self.words()}")
        return self("host", "list") is not None

    def words(self):
        """The last that sarangd said."""
        return " ".join((self.lab.dir / "sarangd.log").read_text(errors="replace").splitlines()[-3:])

    def kill(self):
        """kill -9"""
        self.daemon.kill()
        self.daemon.wait()

    def stop(self):
        self.daemon.send_signal(signal.SIGTERM)
        equal(self.daemon.wait(timeout=30), 0, "the exit status of sarangd")

    def start_gateway(self):
        self.stack.enter_context(
            self.lab.process("sarang-gateway", BUILD / "sarang-gateway", "--config", self.dir / "gateway.conf"))
        until(lambda: self.lab.connect(self.gateway_address(), GATEWAY_PORT).close() is None, "the gateway listens", 30)

    def gateway_address(self):
        return f"{self.lab.env.get('LAB_NET', '10.77.0')}.1"

    def origin(self):
        return f"https://{self.gateway_address()}:{GATEWAY_PORT}"

    # ── the command line ──
    def __call__(self, *words, seconds=130, text_in=None, **flags):
        """`sarang WORDS --flags -o json`: its answer. Failure.status is its exit status."""
        argv = [str(w) for w in words]
        for name, value in flags.items():
            text = ",".join(value) if isinstance(value, (list, tuple)) else value
            argv.append(f"--{name.replace('_', '-')}={text}")
        answer = command(BUILD / "sarang", *argv, "-o", "json", seconds=seconds, text_in=text_in, env=self.env)
        return json.loads(answer) if answer else None

    def show(self, noun, name):
        return self(noun, "show", name)

    def list(self, noun, **wanted):
        """Objects whose fields are as wanted."""
        return [o for o in self(noun, "list") if all(o.get(k) == v for k, v in wanted.items())]

    def wait(self, noun, name, seconds=60, **wanted):
        """The object, once its fields are as wanted."""
        def there():
            o = self.show(noun, name)
            short = {k: o.get(k) for k in (*wanted, "error") if o.get(k) is not None}
            require(all(o.get(k) == v for k, v in wanted.items()), f"{noun} {name} is {short}")
            return o
        return until(there, f"{noun} {name} is {wanted}", seconds)

    def wait_count(self, noun, n, seconds=60, **wanted):
        """The n objects whose fields are as wanted, once there are so many."""
        def there():
            found = self.list(noun, **wanted)
            require(len(found) == n, f"there are {len(found)}")
            return found or True
        return until(there, f"{n} of {noun} with {wanted}", seconds)

    # ── what a story begins with ──
    def uri(self, host, way="tcp"):
        return {"tcp": f"qemu+tcp://{host}/system",
                "tls": f"qemu+tls://{host}/system?pkipath={self.lab.dir}/pki",
                "unix": self.lab.uri(host)}[way]

    def enrol(self, host, way="tcp"):
        self("host", "add", host, uri=self.uri(host, way), console_address=self.lab.address(host))
        return self.wait("host", host, state="up")

    def add_shared(self):
        self("storage", "add", "shared", path=SHARED, controller_path=SHARED)

    def add_local(self, host):
        self("storage", "add", f"{host}-local", path=LOCAL, hosts=[host])

    def add_guest(self, kind, storages):
        """Image and template, as shipped, of a guest of the lab: micro, or linux-cli."""
        name, form = {"micro": ("micro.img", "raw"), "linux-cli": ("linux.qcow2", "qcow2")}[kind]
        self("image", "import", kind, guests() / name, "--wait=120", format=form, storages=storages)
        self("template", "add", kind, PROJECT / "templates" / f"{kind}.xml")

    def domain(self, desktop):
        return f"sarang-{desktop}"

    def domains(self, host):
        return set(self.lab.virsh(host, "list", "--all", "--name").split())


# ── consoles, as a page and as a native viewer open them ──

class WebSocket:
    """As much of RFC 6455 as a console needs: binary messages; read and written as a socket is."""

    def __init__(self, sock):
        self.sock, self.rest = sock, b""

    def sendall(self, data):
        mask = os.urandom(4)
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        self.sock.sendall(b"\x82" + length + mask + masked)

    def recv(self, size):
        while not self.rest:
            head = self._exactly(2)
            length = head[1] & 0x7F
            if length > 125:
                length = int.from_bytes(self._exactly(2 if length == 126 else 8), "big")
            data = self._exactly(length)
            if head[0] & 0x0F == 8:
                return b""
            if head[0] & 0x0F < 3:
                self.rest = data
        part, self.rest = self.rest[:size], self.rest[size:]
        return part

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            require(part, "the gateway closed the connection")
            data += part
        return data

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)


def _head(sock):
    """The head of an answer, read no further than its end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = sock.recv(1)
        require(part, f"the gateway closed the connection: {head!r}")
        head += part
    return head.decode(errors="replace")


@contextlib.contextmanager
def _tls(sarang):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with sarang.lab.connect(sarang.gateway_address(), GATEWAY_PORT, 30) as raw, context.wrap_socket(raw) as sock:
        yield sock


def _ask(sock, lines, wanted):
    sock.sendall("\r\n".join((*lines, "", "")).encode())
    answer = _head(sock)
    status = int(answer.split()[1])
    if status != wanted:
        sock.settimeout(2)
        with contextlib.suppress(socket.timeout, ssl.SSLError):
            answer += sock.recv(2000).decode(errors="replace")
        raise Failure(f"the gateway answered {' '.join(answer.split())}", status)


@contextlib.contextmanager
def viewer(sarang, ticket):
    """A console as a native viewer opens it: CONNECT with a ticket, then RFB."""
    with _tls(sarang) as sock:
        _ask(sock, ("CONNECT console:0 HTTP/1.1", "Host: console:0", f"Authorization: Ticket {ticket}"), 200)
        yield sock


@contextlib.contextmanager
def page(sarang, ticket, origin=None):
    """A console as our page opens it: a WebSocket with the ticket as subprotocol."""
    with _tls(sarang) as sock:
        _ask(sock, ("GET /console HTTP/1.1", f"Host: {sarang.gateway_address()}:{GATEWAY_PORT}", "Connection: Upgrade",
                    "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Origin: {origin or sarang.origin()}",
                    f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
                    f"Sec-WebSocket-Protocol: binary, ticket.{ticket}"), 101)
        yield WebSocket(sock)


def file_hash(path):
    """Of a file's bytes, as sha256sum prints it."""
    return command("sha256sum", pathlib.Path(path)).split()[0]


def copy_in(lab, path, to):
    """A file put where the hosts see it."""
    shutil.copy(path, lab.shared / to)
