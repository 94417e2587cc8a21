"""VNC servers for scenarios (RFB 3.8, RFC 6143): a guest's end of a console, on loopback. Guest asks for a password and hears what it is told;
Screen takes any password and has a picture."""
import contextlib
import os
import socket
import struct
import threading

VERSION = b"RFB 003.008\n"
CHALLENGE = bytes(range(16))
PASSWORD = "password"
RESPONSE = bytes.fromhex("b866924125c8eebb9debc1db61c538e2")  # of PASSWORD to CHALLENGE, by another library's DES


def exactly(connection, n):
    data = b""
    while len(data) < n:
        piece = connection.recv(n - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


class Server:
    """Listens, and shakes hands with each who comes; talk(connection) is the rest."""
    challenge, width, height, form = CHALLENGE, 640, 480, bytes(16)

    def __init__(self, listener=None):
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def shake(self, connection):
        """Whether the client may stay."""
        connection.sendall(VERSION)
        assert exactly(connection, 12) == VERSION
        connection.sendall(b"\x01\x02")
        assert exactly(connection, 1) == b"\x02"
        connection.sendall(self.challenge)
        self.auth = exactly(connection, 16)
        if not self.admits(self.auth):
            connection.sendall(b"\0\0\0\1\0\0\0\x05wrong")
            return False
        connection.sendall(bytes(4))
        self.init = exactly(connection, 1)
        connection.sendall(struct.pack(">HH", self.width, self.height) + self.form + b"\0\0\0\x05guest")
        return True

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # else who waits in accept() keeps it open
        self.listener.close()


class Guest(Server):
    """A password, then what the test does with it. One connection at a time is current."""

    def __init__(self, says=None):
        self.says = says  # instead of the handshake: bytes said at once
        self.heard, self.connection, self.auth = b"", None, None
        self.ready, self.ended = False, False
        self.open = True
        super().__init__()

    def admits(self, response):
        return response == RESPONSE

    def talk(self, connection):
        self.connection, self.ready, self.ended, self.heard = connection, False, False, b""
        try:
            if self.says is not None:
                connection.sendall(self.says)
            elif not self.shake(connection):
                return
            self.ready = True
            while True:
                piece = connection.recv(1 << 16)
                if not piece:
                    break
                self.heard += piece
        except (OSError, EOFError):
            pass
        finally:
            self.ended = True

    def close(self):
        super().close()
        if self.connection:
            self.connection.close()


class Screen(Server):
    """One colour all over. Any password is taken: sarangd makes a new one for each connect."""
    form = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)

    def __init__(self, width, height, color, listener=None):
        self.width, self.height, self.color = width, height, color
        self.challenge = os.urandom(16)
        self.drawn, self.keys, self.auth = 0, [], None
        super().__init__(listener)

    def admits(self, response):
        return True

    def talk(self, connection):
        with contextlib.suppress(OSError, EOFError):
            self.shake(connection)
            shifts, big = (16, 8, 0), False
            while True:
                kind = exactly(connection, 1)[0]
                if kind == 0:  # SetPixelFormat
                    form = exactly(connection, 19)
                    assert form[3] == 32
                    big, shifts = bool(form[5]), tuple(form[13:16])
                elif kind == 3:  # FramebufferUpdateRequest
                    incremental = exactly(connection, 9)[0]
                    if not incremental or not self.drawn:
                        self.draw(connection, shifts, big)
                else:
                    self.hear(connection, kind)

    def hear(self, connection, kind):
        """SetEncodings, KeyEvent, PointerEvent, ClientCutText."""
        if kind == 2:
            exactly(connection, 4 * struct.unpack(">xH", exactly(connection, 3))[0])
        elif kind == 4:
            self.keys.append(struct.unpack(">B2xI", exactly(connection, 7)))
        elif kind == 5:
            exactly(connection, 5)
        else:
            exactly(connection, struct.unpack(">3xI", exactly(connection, 7))[0])

    def draw(self, connection, shifts, big):
        value = sum(c << shift for c, shift in zip(self.color, shifts))
        pixel = struct.pack(">I" if big else "<I", value)
        connection.sendall(struct.pack(">BxHHHHHi", 0, 1, 0, 0, self.width, self.height, 0) + pixel * (self.width * self.height))
        self.drawn += 1
