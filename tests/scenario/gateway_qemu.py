#!/usr/bin/env python3
"""The console of a real QEMU through the gateway: its own password check, its own framebuffer, its own clipboard."""
import json
import os
import shutil
import socket
import struct
import subprocess
import sys

from gatewaylab import Lab, eventually, main, test

QEMU = shutil.which("qemu-system-x86_64")


class Qemu:
    """A machine that never starts, with a VNC server that wants a password, and QMP to set it."""

    def __init__(self, folder, password):
        self.qmp_path = os.path.join(folder, "qmp")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = max(s.getsockname()[1], 5901)
        self.process = subprocess.Popen([QEMU, "-S", "-nodefaults", "-machine", "pc,accel=tcg", "-m", "16", "-vga", "std", "-display",
                                         f"vnc=127.0.0.1:{self.port - 5900},password=on", "-qmp", f"unix:{self.qmp_path},server=on,wait=off",
                                         "-chardev", "qemu-vdagent,id=v,name=vdagent,clipboard=on", "-device", "virtio-serial-pci", "-device",
                                         "virtserialport,chardev=v,name=com.redhat.spice.0"],
                                        stdin=subprocess.DEVNULL)
        self.qmp = socket.socket(socket.AF_UNIX)
        eventually(lambda: os.path.exists(self.qmp_path) and self.qmp.connect_ex(self.qmp_path) == 0, 20, "QEMU came up")
        self.lines = self.qmp.makefile("r")
        self.lines.readline()
        self.ask("qmp_capabilities")
        self.ask("set_password", protocol="vnc", password=password)

    def ask(self, command, **arguments):
        self.qmp.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            answer = json.loads(self.lines.readline())
            assert "error" not in answer, answer
            if "return" in answer:
                return answer["return"]

    def close(self):
        self.process.kill()
        self.process.wait()


def server_init(console):
    width, height = struct.unpack(">HH", console.read(4))
    console.read(16)
    console.read(int.from_bytes(console.read(4), "big"))
    return width, height


@test
def a_picture_comes_out_of_qemu():
    with Lab() as lab:
        qemu = Qemu(lab.folder, "s3cret-8")
        try:
            console = lab.console(qemu, init=False, target={"password": "s3cret-8"})
            width, height = server_init(console)
            assert width >= 640 and height >= 480
            console.send(struct.pack(">BxHi", 2, 1, 0) + struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
            assert console.read(1) == b"\0", "a framebuffer update"
            rectangles = int.from_bytes(console.read(3)[1:], "big")
            x, y, w, h, encoding = struct.unpack(">HHHHi", console.read(12))
            assert rectangles >= 1 and encoding == 0 and x + w <= width
            assert len(console.read(w * h * 4)) == w * h * 4
            console.send(bytes.fromhex("0401000000000061" "0400000000000061" "050000100020" "ff000001000000610000001e"))
            info = qemu.ask("query-vnc")
            assert len(info["clients"]) == 1
            wrong = lab.console(qemu, init=False, shake=False, target={"password": "wrong"})
            assert wrong.end() == (4004, "guest-refused")
            qemu.ask("expire_password", protocol="vnc", time="now")
            late = lab.console(qemu, init=False, shake=False, target={"password": "s3cret-8"})
            assert late.end() == (4004, "guest-refused"), "an expired password opens nothing"
            assert len(qemu.ask("query-vnc")["clients"]) == 1
        finally:
            qemu.close()


CAPS_ENCODING = -0x3f5e1a32  # extended clipboard


@test
def qemu_offers_its_clipboard_only_where_policy_has_it():
    with Lab() as lab:
        qemu = Qemu(lab.folder, "s3cret-8")
        try:
            for policy, offered in (("both", True), ("to-guest", True), ("from-guest", True), ("none", False)):
                console = lab.console(qemu, init=False, target={"password": "s3cret-8", "clipboard": policy})
                width, height = server_init(console)
                console.send(struct.pack(">BxHii", 2, 2, 0, CAPS_ENCODING) + struct.pack(">BBHHHH", 3, 0, 0, 0, 1, 1))
                first = console.read(1)
                assert first == (b"\x03" if offered else b"\0"), (policy, first)
                console.s.close()
        finally:
            qemu.close()


if __name__ == "__main__":
    if not QEMU:
        print("0 passed, 0 failed, 1 skipped")
        sys.exit(0)
    main()
