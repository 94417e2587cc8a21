#!/usr/bin/env python3
"""The page in real Chromium, before the shipped sarangd and sarang-gateway, with real QEMU guests on a lab host. What a person
does and sees is told by the .mjs files beside this one; here stand the house, its pools and its people."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

from lab import BUILD, HERE as LAB_SCRIPTS, PROJECT, Lab, command, run  # noqa: E402
from product import Product, missing  # noqa: E402

OUT = PROJECT / "build" / "browser"
HOSTILE = "<img src=x onerror=alert(1)>"
PEOPLE = {"jihye": "김지혜", "mina": f"Mina {HOSTILE}", "minsu": "박민수"}
# A text console that also has an absolute pointer: what is done on the page is read off its input devices.
POINTER = '<input type="tablet" bus="virtio"/>\n    <input type="keyboard" bus="virtio"/>'


def add_people(sarang):
    for name, title in PEOPLE.items():
        sarang("user", "add", name, "--password", title=title, text_in=f"{name}-password\n")


def add_pools(sarang):
    """writing: one Linux text console. full: its only desktop is Mina's. own: dedicated. closed: for somebody else."""
    shape = (PROJECT / "templates" / "linux-cli.xml").read_text().replace('<input type="keyboard" bus="virtio"/>', POINTER)
    (sarang.dir / "linux-cli.xml").write_text(shape)
    sarang.add_guest("micro", ["shared"])
    sarang("image", "import", "linux-cli", guest_disk(sarang), "--wait=120", format="qcow2", storages=["shared"])
    sarang("template", "add", "linux-cli", sarang.dir / "linux-cli.xml")
    sarang("pool", "create", "writing", title="Writing & testing", template="linux-cli", image="linux-cli", network="bridge:br0",
           memory_mib=256, min=1, max=1)
    micro = {"template": "micro", "image": "micro", "personalise": "none", "max": 1}
    sarang("pool", "create", "full", title="설계 CAD", min=1, **micro)
    sarang("pool", "create", "own", title=HOSTILE, kind="dedicated", **micro)
    sarang("pool", "create", "closed", title="Not for everybody", users=["minsu"], **micro)


def guest_disk(sarang):
    return pathlib.Path(command(LAB_SCRIPTS / "guest-build", seconds=600).splitlines()[-1]) / "linux.qcow2"


def prepare(s, sarang):
    with s.check("a house with pools and people", needed=True):
        sarang.enrol("host1")
        sarang.add_shared()
        add_people(sarang)
        add_pools(sarang)
        sarang("session", "request", "full", "--wait=60", user="mina")
        sarang.wait_count("desktop", 1, seconds=120, pool="writing", state="available")


def facts(sarang):
    return {"page": sarang.origin(), "sarang": str(BUILD / "sarang"), "socket": str(sarang.dir / "api.sock"),
            "gateway": [str(BUILD / "sarang-gateway"), "--config", str(sarang.dir / "gateway.conf"), "--static", str(PROJECT / "build/web")],
            "gateway_log": str(sarang.lab.dir / "sarang-gateway.log"), "libvirt": sarang.lab.uri("host1"), "out": str(OUT),
            "modules": str(PROJECT / "build/npm"),
            "chromium": shutil.which("chromium"), "hostile": HOSTILE}


def tell_in_browser(s, sarang):
    """Runs the stories in the controller's place, where the gateway is, and counts what they say."""
    words = [LAB_SCRIPTS / "exec", "ctl", "node", HERE / "stories.mjs", *sys.argv[1:]]
    told = subprocess.Popen([str(w) for w in words], env=sarang.lab.env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    told.stdin.write(json.dumps(facts(sarang)))
    told.stdin.close()
    for line in told.stdout:
        print(line, end="", flush=True)
        s.passed += line.startswith("ok ")
        s.failed += line.startswith("FAIL ")
    if told.wait() and not s.failed:
        s.failed += 1
        print(f"FAIL the stories ended with {told.returncode}")


def story(s):
    if missing():
        s.skip("the page", f"not built yet: {', '.join(missing())}")
        return
    if os.getuid():
        s.skip("the page", "a lab host needs root")
        return
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with Lab("browser", hosts=1) as lab, Product(lab) as sarang:
        prepare(s, sarang)
        tell_in_browser(s, sarang)


run(story)
