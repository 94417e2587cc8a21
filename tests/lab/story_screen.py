#!/usr/bin/env python3
"""A desktop whose picture comes from a VNC server in its guest and from nowhere else: QEMU gives it no video at all. A real guest (the desktop image, with
its own X server, VNC server and agent) on a real libvirt host, in a network of its own, shown by the gateway as it ships and in Chromium."""
import contextlib
import json
import shutil
import struct
import subprocess
import time
import zlib

import rfb
from lab import PROJECT, Failure, Guest, Lab, command, equal, refused, require, run, until
from product import Product, missing, viewer

IMAGE = PROJECT / "build" / "demo-image"
WEB = PROJECT / "build" / "web"
OUT = PROJECT / "build" / "screen"
POOL, USER, PASSWORD, NAME = "cad", "jihye", "jihye-password", "김지혜"
SIZE = (1280, 800)
PORT = 5900
LINE = "echo Hello from a browser | tee hello"
# by which VNC's password files are hidden, the same for all of the world: the bits of vncpasswd's key turned round, three times for DES of OpenSSL 3
FILE_KEY = "e84ad660c4721ae0" * 3


def networks(lab):
    """Where desktops are, and nobody else: the upper half of the switch's network."""
    return f"[console]\nguest_networks={lab.env.get('LAB_NET', '10.77.0')}.128/25\n"


def leases(lab):
    """A DHCP server at the switch, as a data centre has one; for as long as the block lasts."""
    net = lab.env.get("LAB_NET", "10.77.0")
    return lab.process("dnsmasq", "dnsmasq", "--keep-in-foreground", "--port=0", "--conf-file=/dev/null", "--interface=br0", "--bind-interfaces",
                       "--user=root", f"--dhcp-range={net}.130,{net}.150", f"--dhcp-leasefile={lab.dir}/leases", f"--pid-file={lab.dir}/dnsmasq.pid")


def template(lab):
    """The workstation as it ships, but that no card is asked for: there is none here, and the guest draws in memory."""
    xml = (PROJECT / "templates/linux-workstation.xml").read_text()
    need = '<sarang:gpu need="required"/>'
    require(need in xml and '<sarang:screen server="guest"/>' in xml, "linux-workstation.xml is another than this story knows")
    path = lab.dir / "workstation.xml"
    path.write_text(xml.replace(need, '<sarang:gpu need="none"/>'))
    return path


def prepare(s, lab, sarang):
    with s.check("a host, the desktop image, the workstation's template, a person", needed=True):
        sarang.enrol("host1")
        sarang.add_shared()
        for name in ("vmlinux", "initrd.img"):
            shutil.copy(IMAGE / name, lab.shared / "sarang" / name)
        shared = "/srv/shared/sarang"
        sarang("image", "import", "linux-workstation", IMAGE / "disk.qcow2", "--wait=120", format="qcow2", storages=["shared"],
               kernel=f"{shared}/vmlinux", initrd=f"{shared}/initrd.img")
        sarang("template", "add", "linux-workstation", template(lab))
        sarang("user", "add", USER, "--password", title=NAME, locale="ko_KR.UTF-8", text_in=f"{PASSWORD}\n")
        arguments = (IMAGE / "cmdline").read_text().strip() + " sarang.screen=guest"
        sarang("pool", "create", POOL, title="Workstations", template="linux-workstation", image="linux-workstation", network="bridge:br0",
               memory_mib=1024, min=1, max=1, parameters=json.dumps({"kernel-arguments": arguments, "vcpus": "2"}))
        sarang.start_gateway()


def check_ready(s, lab, sarang):
    begin = time.monotonic()
    with s.check("it boots, has an address, and is ready once the server in it greets", needed=True):
        d = sarang.wait_count("desktop", 1, seconds=420, pool=POOL, state="available")[0]["name"]
        print(f"     ready {time.monotonic() - begin:.0f} s after the pool was made", flush=True)
    guest = Guest(lab, "host1", sarang.domain(d))
    address = (lab.dir / "leases").read_text().split()[2]
    with s.check("QEMU has no video of it"):
        xml = lab.virsh("host1", "dumpxml", guest.domain)
        require("<model type='none'/>" in xml and xml.count("<video>") == 1, "the domain has video")
        equal(guest.shell("ls /sys/bus/pci/devices/*/class | xargs grep -l ^0x03 || true"), "", "the cards that the guest sees")
    with s.check("the server has an account that can do nothing else, and no password"):
        equal(guest.shell("ps -o user:20= -C X0tigervnc; grep CapBnd /proc/$(pidof X0tigervnc)/status | cut -f2").split(),
              ["sarang-screen", "0" * 16], "whose it is, and its capabilities")
        equal(guest.shell("ls /run/sarang/screen"), "xauth", "what lies in its folder")
    with s.check("nobody gets in without having been announced"):
        with refused("refused"), contextlib.closing(lab.connect(address, PORT, 30)) as direct:
            rfb.login(direct, "password")
    return d, guest, address


def png(path, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def colours(rows):
    return len({bytes(row[at:at + 3]) for row in rows[::5] for at in range(0, len(row), 15)})


def connect(sarang, session):
    return viewer(sarang, sarang("session", "ticket", session["name"])["ticket"])


def password_in(guest):
    """The one that the server takes now, out of its file; empty where none is."""
    hidden = guest.shell("od -An -tx1 /run/sarang/screen/password 2>/dev/null || true")
    shown = subprocess.run(["openssl", "enc", "-d", "-des-ede3-ecb", "-nopad", "-K", FILE_KEY], input=bytes.fromhex(hidden), stdout=subprocess.PIPE, check=True)
    return shown.stdout.rstrip(b"\0").decode()


def opens(lab, address, password):
    """Whether that password opens the server, past the gateway."""
    with contextlib.closing(lab.connect(address, PORT, 30)) as direct:
        try:
            rfb.login(direct, password)
            return True
        except Failure as e:
            require("refused" in str(e), str(e))
            return False


def check_viewer(s, lab, sarang, session, guest, address):
    with s.check("a viewer sees what the guest draws, and no password is asked for", needed=True):
        with connect(sarang, session) as console:
            equal(rfb.login(console)[:2], SIZE, "the screen's size")
            first = password_in(guest)
            rows = rfb.picture(console, *SIZE)
        png(OUT / "viewer.png", rows)
        require(colours(rows) > 300, f"the picture has {colours(rows)} colours: no wallpaper")
    with s.check("what is typed reaches the guest"):
        with connect(sarang, session) as console:
            rfb.login(console)
            second = password_in(guest)
            rfb.type_text(console, 'echo "Sarang_$((6*7))" > ~/typed\n')
            until(lambda: guest.shell(f"cat /home/{USER}/typed || true") == "Sarang_42", "the line has run", 30)
    with s.check("each connect has a password of its own, and the one before is no good"):
        require(len(first) == len(second) == 8 and first != second, "the passwords are not fresh")
        until(lambda: not password_in(guest), "the password has ended", 30)
        with connect(sarang, session) as console:
            third = password_in(guest)
            require(opens(lab, address, third), "the one told now opens nothing")
            equal([opens(lab, address, old) for old in (first, second)], [False, False], "what old passwords open")
            rfb.login(console)
            until(lambda: not password_in(guest), "the password has ended", 30)
            require(not opens(lab, address, third), "the password outlives its time")
            require(colours(rfb.picture(console, *SIZE)) > 300, "the viewer that was in is out")
    with s.check("those who greet and leave shut nobody out"):
        for _ in range(12):
            lab.connect(address, PORT).close()
        with connect(sarang, session) as console:
            rfb.login(console)


def check_program(s, guest):
    with s.check("the program that tells the password: what it refuses leaves all as it is"):
        before = guest.shell("ls -i /run/sarang/screen")
        for lines in ("", "version=1\npassword=abc\nseconds=20\n", "version=1\npassword=$(reboot)\nseconds=20\nend=1\n", "version=2\nend=1\n"):
            status, out = guest.status("/usr/local/sbin/sarang-screen", text_in=lines)
            equal(status, 2, f"the status for {lines!r} ({out})")
            require("reboot" not in out, "what was refused is told again")
        equal(guest.shell("ls -i /run/sarang/screen"), before, "the folder")


def check_screenshot(s, sarang, desktop):
    with s.check("a picture of it is not the host's to take, and the way to it is named"):
        with refused("server in its guest.*connect"):
            sarang("desktop", "screenshot", desktop)


def check_page(s, lab, sarang):
    with s.check("in Chromium: the picture, a window moved, a line typed that is in the guest"):
        wish = {"address": sarang.origin(), "user": USER, "password": PASSWORD, "pool": POOL, "line": LINE, "png": str(OUT / "browser.png"),
                "modules": str(PROJECT / "build/npm"), "chromium": shutil.which("chromium")}
        said = lab.exec("ctl", "node", PROJECT / "examples/demo/browser.mjs", seconds=240, text_in=f"{json.dumps(wish)}\ngo on\n")
        equal(said.split("\n"), ["logged in", "connected", "window moved", "line typed"], "what the browser did")


def story(s):
    lacking = missing() + [str(path) for path in (IMAGE / "KEY", WEB) if not path.exists()]
    if lacking:
        s.skip("a screen in the guest", f"not built yet: {', '.join(lacking)}")
        return
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with Lab("screen", hosts=1) as lab, leases(lab), Product(lab, networks(lab), WEB) as sarang:
        prepare(s, lab, sarang)
        desktop, guest, address = check_ready(s, lab, sarang)
        with s.check("jihye gets it", needed=True):
            session = sarang("session", "request", POOL, "--wait=90", user=USER)
            equal(session["desktop"], desktop, "the desktop")
        check_viewer(s, lab, sarang, session, guest, address)
        check_program(s, guest)
        check_screenshot(s, sarang, desktop)
        check_page(s, lab, sarang)
        with s.check("the line is a file of hers"):
            until(lambda: guest.shell(f"cat /home/{USER}/hello || true") == "Hello from a browser", "the file", 30)


run(story)
