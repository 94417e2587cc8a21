"""A small VNC client (RFB 3.8, RFC 6143): logs in and types. sock is a connected socket; it is the caller's."""
import struct
import subprocess

from lab import Failure, require

NONE, VNC_AUTH = 1, 2
KEY_EVENT = 4
RETURN, SHIFT = 0xFF0D, 0xFFE1
SHIFTED = set('ABCDEFGHIJKLMNOPQRSTUVWXYZ~!@#$%^&*()_+{}|:"<>?')


def _read(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        require(part, "the server closed the connection")
        data += part
    return data


def _text(sock):
    return _read(sock, struct.unpack(">I", _read(sock, 4))[0]).decode(errors="replace")


def _answer(password, challenge):
    """DES with the password's bytes bit-reversed as key; OpenSSL 3 has only triple DES, so three times the same key."""
    key = bytes(int(f"{c:08b}"[::-1], 2) for c in password.encode()[:8].ljust(8, b"\0"))
    return subprocess.run(["openssl", "enc", "-des-ede3-ecb", "-nopad", "-K", (key * 3).hex()], input=challenge,
                          stdout=subprocess.PIPE, check=True).stdout


def login(sock, password=None):
    """The screen's (width, height, name); Failure when the server refuses. Without a password none must be asked for."""
    _read(sock, 12)
    sock.sendall(b"RFB 003.008\n")
    types = _read(sock, _read(sock, 1)[0])
    if not types:
        raise Failure(f"refused: {_text(sock)}")
    wanted = NONE if password is None else VNC_AUTH
    require(wanted in types, f"security types are {list(types)}, not {wanted}")
    sock.sendall(bytes([wanted]))
    if password is not None:
        sock.sendall(_answer(password, _read(sock, 16)))
    if struct.unpack(">I", _read(sock, 4))[0] != 0:
        raise Failure(f"refused: {_text(sock)}")
    sock.sendall(b"\1")  # shared
    width, height = struct.unpack(">HH", _read(sock, 4))
    _read(sock, 16)
    return width, height, _text(sock)


def picture(sock, width, height):
    """The whole screen as rows of bytes, red, green, blue: asked for anew and sent as it is (raw encoding)."""
    rows = [bytearray(3 * width) for _ in range(height)]
    sock.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 0, 8, 16))
    sock.sendall(struct.pack(">BxHi", 2, 1, 0) + struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
    left = width * height
    while left > 0:
        kind = _read(sock, 1)[0]
        require(kind == 0, f"the server sent message {kind}, not a picture")
        for _ in range(struct.unpack(">xH", _read(sock, 3))[0]):
            x, y, w, h, encoding = struct.unpack(">HHHHi", _read(sock, 12))
            require(encoding == 0, f"the server sent encoding {encoding}")
            for row in range(h):
                pixels = _read(sock, 4 * w)
                for channel in range(3):
                    rows[y + row][3 * x + channel:3 * (x + w):3] = pixels[channel::4]
            left -= w * h
    return rows


def _key(sock, symbol, down):
    sock.sendall(struct.pack(">BBxxI", KEY_EVENT, down, symbol))


def type_text(sock, text):
    """Types as a person with an American keyboard would; "\\n" is Return."""
    for character in text:
        keys = [RETURN if character == "\n" else ord(character)]
        if character in SHIFTED:
            keys.insert(0, SHIFT)
        for key in keys:
            _key(sock, key, 1)
        for key in reversed(keys):
            _key(sock, key, 0)
