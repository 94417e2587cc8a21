"""What the gateway's scenarios stand on: the shipped binary between a controller and guests that are written here, and clients that
say exactly the bytes they are told to. Nothing but the standard library; everything on loopback and in a temporary folder."""
import base64
import http.server
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from vncserver import PASSWORD, Guest

BINARY = os.path.join(os.environ.get("B", "build/release"), "sarang-gateway")
SLOW = float(os.environ.get("SLOW", "4" if "asan" in BINARY or "tsan" in BINARY else "1"))
HTTP_KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def eventually(check, seconds=5.0, what="it"):
    """Waits until check() is true; its value. Fails after the deadline."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.005)


class Controller:
    """sarangd's gateway socket: hands out what the test put there, remembers what the gateway said."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "gateway.sock")
        self.targets, self.redeemed, self.requests = {}, [], []
        self.opened, self.used, self.active, self.closed, self.fulls = [], [], [], [], []
        self.cut, self.want_full = [], False
        self.changed = threading.Condition()
        self.server = None
        self.start()

    def start(self):
        controller = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self):
                return "gateway"

            def log_message(self, *args):
                pass

            def any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with controller.changed:
                    controller.requests.append((self.command, self.path, dict(self.headers), body))
                    controller.changed.notify_all()
                controller.answer(self, body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = any

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *args):
                pass  # a gateway that went away in the middle

        if os.path.exists(self.path):
            os.unlink(self.path)
        self.server = Server(self.path, Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        os.unlink(self.path)

    def json(self, handler, status, document, kind="application/json"):
        body = json.dumps(document).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def answer(self, handler, body):
        path = handler.path.split("?")[0]
        if path == "/gateway/v1/redeem":
            self.redeem(handler, json.loads(body))
        elif path == "/gateway/v1/sync":
            self.sync(handler, json.loads(body))
        elif path == "/api/v1/stream":
            self.stream(handler)
        elif path == "/api/v1/big":
            n = int(handler.path.split("=")[1])
            handler.send_response(200)
            handler.send_header("Content-Length", str(n))
            handler.end_headers()
            try:
                handler.wfile.write(b"x" * n)
            except OSError:
                pass
        elif path == "/api/v1/nothing":
            handler.send_response(204)
            handler.end_headers()
        elif path == "/api/v1/mute":
            eventually(lambda: self.server is None, 60)
        elif path == "/api/v1/broken":
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b"half")
            handler.close_connection = True
        else:
            self.json(handler, 200, {"method": handler.command, "path": handler.path, "headers": dict(handler.headers),
                                     "body": body.decode("latin1")})

    def stream(self, handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        self.stream_left = False
        try:
            for i in range(1000):
                piece = f"id: {i}\ndata: event {i}\n\n".encode()
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                with self.changed:
                    self.changed.wait(0.05)
        except OSError:
            self.stream_left = True

    def redeem(self, handler, ask):
        with self.changed:
            self.redeemed.append(ask)
            target = self.targets.pop(ask["ticket"], None)
        if target is None:
            self.json(handler, 401, {"title": "no", "status": 401, "code": "ticket-unknown"}, "application/problem+json")
        elif "status" in target:
            self.json(handler, target["status"], target, "application/problem+json")
        else:
            self.json(handler, 200, target)

    def sync(self, handler, said):
        with self.changed:
            self.opened += said["opened"]
            self.used += said["first_input"]
            self.active += said["active"]
            self.closed += said["closed"]
            if said["full"]:
                self.fulls.append(said["open"])
            cut, self.cut = self.cut, []
            full, self.want_full = self.want_full, False
            self.changed.notify_all()
        self.json(handler, 200, {"cut": cut, "full": full})

    def ticket(self, guest, relay, **more):
        """A fresh ticket for guest; relay is the relay's id."""
        ticket = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        target = {"relay": relay, "session": "s-1", "user": "jihye", "protocol": "vnc", "via": "direct", "host": "127.0.0.1",
                  "port": guest.port if guest else 1, "password": PASSWORD, "view_only": False, "clipboard": "both"}
        target.update(more)
        self.targets[ticket] = target
        return ticket

    def end_of(self, relay):
        return next((c for c in self.closed if c["relay"] == relay), None)


SERVER_INIT_BYTES = 2 + 2 + 16 + 4 + 5


class Gateway:
    """The shipped binary, alone in a folder of its own."""

    def __init__(self, folder, controller, *more, plain=True, wrap=()):
        self.folder, self.plain = folder, plain
        self.log_path = os.path.join(folder, f"gateway-{time.monotonic_ns()}.log")
        static = os.path.join(folder, "page")
        if not os.path.isdir(static):
            os.mkdir(static)
            for name, text in (("index.html", "<!doctype html>hello"), ("a.js", "1;" * 100000), (".secret", "no")):
                with open(os.path.join(static, name), "w") as f:
                    f.write(text)
        mode = ["--plain"] if plain else ["--self-signed", "--state-dir", os.path.join(folder, "state")]
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([*wrap, BINARY, "--listen", "127.0.0.1:0", "--socket", controller.path, "--static", static,
                                             *mode, *more], stderr=log)
        found = eventually(lambda: re.search(r'listening address="127\.0\.0\.1:(\d+)', self.log()) or self.dead(), 10, "listening")
        self.port = int(found.group(1))
        self.host = f"127.0.0.1:{self.port}"
        self.origin = ("http://" if plain else "https://") + self.host

    def dead(self):
        assert self.process.poll() is None, self.log()

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def connect(self, timeout=10.0, receive_bytes=None, source=None):
        s = socket.socket()
        if receive_bytes:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        s.settimeout(timeout * SLOW)
        if source:
            s.bind((source, 0))
        s.connect(("127.0.0.1", self.port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.plain:
            return s
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(s)

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        """Ends it at once, and in order: sanitizers have their say at the end."""
        end = time.monotonic() + 10 * SLOW
        while self.process.poll() is None and time.monotonic() < end:
            self.process.send_signal(signal.SIGTERM)
            time.sleep(0.02)
        self.process.kill()
        assert self.process.wait() == 0, self.log()[-4000:]


def read_all(s, seconds=10.0):
    """What comes until the peer closes."""
    s.settimeout(seconds * SLOW)
    data = bytearray()
    try:
        while piece := s.recv(1 << 16):
            data += piece
    except (ConnectionResetError, ssl.SSLError):
        pass
    return bytes(data)


class Reply:
    def __init__(self, s):
        """One answer with Content-Length, or chunked, off s."""
        head = b""
        while b"\r\n\r\n" not in head:
            piece = s.recv(1)
            if not piece:
                raise EOFError(head)
            head += piece
        lines = head.decode("latin1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {}
        for line in lines[1:]:
            if line:
                name, value = line.split(": ", 1)
                self.headers[name.lower()] = value
        self.body = b""
        while len(self.body) < int(self.headers.get("content-length", 0)):
            self.body += s.recv(int(self.headers["content-length"]) - len(self.body))

    def json(self):
        return json.loads(self.body)


def ask(gateway, raw):
    """Sends raw bytes on a connection of its own; the answer."""
    with gateway.connect() as s:
        s.sendall(raw if isinstance(raw, bytes) else raw.encode())
        return Reply(s)


def get(gateway, path, method="GET", headers="", body=b""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return ask(gateway, f"{method} {path} HTTP/1.1\r\nHost: {gateway.host}\r\n{length}{headers}\r\n".encode() + body)


def frame(data, opcode=2, fin=True, mask=b"\x11\x22\x33\x44", rsv=0):
    n = len(data)
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    length = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else b"\xff" + struct.pack(">Q", n)
    if mask is None:
        return head + bytes([length[0] & 0x7f]) + length[1:] + data
    repeated = (mask * (n // 4 + 1))[:n]
    body = (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(n, "big") if n else b""
    return head + length + mask + body


class Console:
    """A browser's end of a console."""

    def __init__(self, gateway, ticket, origin=None, headers="", offers=None, receive_bytes=None, shake=True):
        self.s = gateway.connect(receive_bytes=receive_bytes)
        origin = gateway.origin if origin is None else origin
        offers = offers or f"binary, ticket.{ticket}"
        self.s.sendall((f"GET /console HTTP/1.1\r\nHost: {gateway.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {HTTP_KEY}\r\n"
                        + (f"Origin: {origin}\r\n" if origin else "") + f"Sec-WebSocket-Protocol: {offers}\r\n{headers}\r\n").encode())
        self.reply = Reply(self.s)
        self.data = bytearray()
        if self.reply.status == 101 and shake:
            self.shake()

    def exactly(self, n):
        data = bytearray()
        while len(data) < n:
            piece = self.s.recv(n - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    def next_frame(self):
        a, b = self.exactly(2)
        n = b & 0x7f
        assert not b & 0x80, "servers do not mask"
        if n > 125:
            n = int.from_bytes(self.exactly(2 if n == 126 else 8), "big")
        return a & 0x0f, self.exactly(n)

    def read(self, n):
        """n bytes of binary messages."""
        while len(self.data) < n:
            opcode, data = self.next_frame()
            assert opcode == 2, (opcode, data)
            self.data += data
        data = bytes(self.data[:n])
        del self.data[:n]
        return data

    def send(self, data, **more):
        self.s.sendall(frame(data, **more))

    def shake(self):
        assert self.read(12) == b"RFB 003.008\n"
        self.send(b"RFB 003.008\n")
        assert self.read(2) == b"\x01\x01", "security type None, and no other"
        self.send(b"\x01")
        assert self.read(4) == b"\0\0\0\0"
        self.send(b"\x00")
        return self

    def init(self):
        self.read(SERVER_INIT_BYTES)
        return self

    def end(self):
        """The close code and reason; (1006, "") where it just breaks off."""
        try:
            while True:
                opcode, data = self.next_frame()
                if opcode == 8:
                    self.s.sendall(frame(data[:2], opcode=8))
                    return int.from_bytes(data[:2], "big"), data[2:].decode()
        except (EOFError, ConnectionError):
            return 1006, ""


class Lab:
    """Controller, guest and gateway; more options of the gateway behind."""

    def __init__(self, *more, **options):
        self.folder = tempfile.mkdtemp(prefix="sarang-gateway-")
        self.controller = Controller(self.folder)
        self.guest = Guest()
        self.gateway = Gateway(self.folder, self.controller, *more, **options)
        self.relays = 0

    def relay(self):
        self.relays += 1
        return f"r-{self.relays}"

    def console(self, guest=None, init=True, target=None, **more):
        relay = self.relay()
        ticket = self.controller.ticket(guest or self.guest, relay, **(target or {}))
        console = Console(self.gateway, ticket, **more)
        console.relay, console.ticket = relay, ticket
        return console.init() if init and console.reply.status == 101 else console

    def __enter__(self):
        return self

    def __exit__(self, *why):
        try:
            self.gateway.stop()
        finally:
            self.guest.close()
            self.controller.stop()
            if why[0]:
                sys.stderr.write(self.gateway.log()[-4000:])
            shutil.rmtree(self.folder)


tests = []


def test(function):
    tests.append(function)
    return function


def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it, and so would all that is started here
    passed = failed = 0
    wanted = sys.argv[1:]
    for function in tests:
        if wanted and function.__name__ not in wanted:
            continue
        began = time.monotonic()
        try:
            function()
            passed += 1
            print(f"ok    {time.monotonic() - began:5.1f}s {function.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"FAIL  {time.monotonic() - began:5.1f}s {function.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed or not passed else 0)
