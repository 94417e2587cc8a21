#!/usr/bin/env python3
"""A desktop in a native viewer: login, a session, and remote-viewer's window on a screen that is looked at."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys

from clilab import BUILD, Place
from gatewaylab import eventually, main, test
from vncserver import Screen

WIDTH, HEIGHT = 320, 240
COLOR = (0x20, 0xA0, 0x90)  # of the guest's screen, and of nothing else
TOOLS = ("Xvfb", "remote-viewer")


class Display:
    """An X server whose picture is a file: see XWDFile.h for its head."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / "x"
        self.folder.mkdir()
        ours, theirs = os.pipe()
        self.process = subprocess.Popen(["Xvfb", "-displayfd", str(theirs), "-screen", "0", "800x600x24", "-nolisten", "tcp", "-fbdir", self.folder],
                                        pass_fds=[theirs], stderr=subprocess.DEVNULL)
        os.close(theirs)
        with os.fdopen(ours) as f:
            self.name = f":{f.readline().strip()}"

    def count(self, color):
        data = (self.folder / "Xvfb_screen0").read_bytes()
        head = struct.unpack(">25I", data[:100])
        pixels = data[head[0] + head[19] * 12:]
        return pixels.count(bytes(reversed(color)) + b"\0") + pixels.count(bytes(reversed(color)) + b"\xff")

    def close(self):
        self.process.terminate()
        self.process.wait()


@contextlib.contextmanager
def desk():
    """jihye, logged in to a gateway, with a session whose desktop's screen is ours: the place, the screen, the session's name."""
    screen = Screen(WIDTH, HEIGHT, COLOR)
    with Place() as sarang:
        sarang.furnish(spare=0)
        sarang.ok(f"host add h2 --uri 'fake:h2?console={screen.port}' --wait=20")
        sarang.ok("storage change disk --hosts h1,h2")
        sarang.ok("pool change cad --hosts h2")
        log = open(sarang.folder / "gateway.log", "w", encoding="utf-8")
        gateway = subprocess.Popen([BUILD / "sarang-gateway", "--listen", "127.0.0.1:0", "--self-signed", "--socket", sarang.folder / "gateway.sock",
                                    "--state-dir", sarang.folder / "gw", "--static", sarang.folder / "disk"], stderr=log)
        try:
            port = eventually(lambda: re.search(r'address="127\.0\.0\.1:(\d+)', (sarang.folder / "gateway.log").read_text()), 10, "a gateway").group(1)
            session = sarang.ok("session request cad --user jihye --wait=30 -o name").out.strip()
            del sarang.env["SARANG_SOCKET"]
            sarang.env["SARANG_CA"] = f"{sarang.folder}/gw/gateway-certificate.pem"
            untrusted = sarang.type(f"login https://127.0.0.1:{port} jihye", text="correct horse battery\n", SARANG_CA="")
            assert untrusted.status == 7 and "--ca FILE" in untrusted.err, untrusted
            told = sarang.ok(f"login https://127.0.0.1:{port} jihye", text="correct horse battery\n")
            assert "kept as context 127.0.0.1" in told.err, told
            yield sarang, screen, session
        finally:
            gateway.kill()
            gateway.wait()
            screen.close()


@test
def login_is_kept_and_left_again():
    with desk() as (sarang, _, session):
        file = sarang.folder / "config/sarang/contexts"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert sarang.ok("me -o json").json()["name"] == "jihye"
        assert sarang.ok("session list -o name").out.strip() == session
        denied = sarang.type("host list")
        assert denied.status == 4, denied
        assert "역할" in sarang.type("host list --lang ko").err
        explained = sarang.ok(f"explain {session}").out
        assert "is held for jihye" in explained and "events" not in explained, "people see no events"
        token = re.search("token=(.*)", file.read_text()).group(1)
        sarang.ok("logout")
        assert token not in file.read_text()
        (sarang.folder / "token").write_text(token)
        again = sarang.type("me", SARANG_TOKEN_FILE=str(sarang.folder / "token"), SARANG_SERVER=f"https://127.0.0.1:{port_of(sarang)}")
        assert again.status == 4, again
        assert sarang.type(f"login https://127.0.0.1:{port_of(sarang)} jihye", text="wrong\n").status == 4


def port_of(sarang):
    return re.search(r'address="127\.0\.0\.1:(\d+)', (sarang.folder / "gateway.log").read_text()).group(1)


@test
def remote_viewer_shows_the_guests_screen():
    with desk() as (sarang, screen, session):
        display = Display(sarang.folder)
        viewer = sarang.process(f"connect {session} --viewer", DISPLAY=display.name, XDG_RUNTIME_DIR=str(sarang.folder), GDK_BACKEND="x11",
                                NO_AT_BRIDGE="1", GSETTINGS_BACKEND="memory")
        try:
            assert viewer.stdout.readline().startswith("vnc://127.0.0.1:")
            eventually(lambda: screen.drawn, 30, "the viewer asks for a picture")
            eventually(lambda: display.count(COLOR) > WIDTH * HEIGHT // 2, 30, "the guest's screen is on ours")
            assert not list((sarang.folder / "sarang").glob("*.vv")), "the viewer has deleted its file"
            eventually(lambda: sarang.ok(f"session show {session} -o json").json()["state"] == "active", 10, "the session is active")
            viewer.send_signal(signal.SIGINT)
            assert viewer.wait(20) == 0
        finally:
            viewer.kill()
            subprocess.run(["pkill", "-P", str(viewer.pid)], check=False)
            viewer.communicate()
            display.close()


@test
def a_file_for_a_viewer_is_its_owners_alone():
    with desk() as (sarang, _, session):
        connect = sarang.process(f"connect {session} --vv desk.vv")
        url = connect.stdout.readline().strip()
        file = sarang.folder / "desk.vv"
        text = file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "type=vnc\nhost=127.0.0.1\n" in text and f"port={url.split(':')[-1]}\n" in text and "delete-this-file=1" in text and "password" not in text
        with socket.create_connection(("127.0.0.1", int(url.split(":")[-1])), 10) as s:
            assert s.recv(12) == b"RFB 003.008\n"
        connect.send_signal(signal.SIGTERM)
        assert connect.wait(20) == 0
        connect.communicate()
        assert sarang.type("connect s-999").status == 3
        assert sarang.type(f"connect {session} --port 70000").status == 2
        missing = sarang.type(f"connect {session} --viewer", PATH=f"{sarang.folder}/absent")
        assert missing.status == 1 and "install virt-viewer" in missing.err, missing


if __name__ == "__main__":
    if not all(map(shutil.which, TOOLS)):
        print("0 passed, 0 failed, 1 skipped: install virt-viewer and xvfb")
        sys.exit(0)
    main()
