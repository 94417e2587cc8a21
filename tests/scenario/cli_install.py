#!/usr/bin/env python3
"""What `make install` brings, in a folder of its own: whole, written nowhere else, and enough for a person to have a desktop."""
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

import clilab
from clilab import BUILD, PROJECT, Place
from gatewaylab import SLOW, eventually, main, test

PREFIX = "/usr"
HOME = tempfile.TemporaryDirectory(prefix="sarang-install-")
TREE = pathlib.Path(HOME.name) / "root"
BIN = pathlib.Path(HOME.name) / "bin"
# whatever is no build and no temporary folder is read-only while it is installed: a file that went there fails it
READ_ONLY = [d for d in ("/usr", "/etc", "/var/lib", "/var/cache", "/opt", "/srv", "/home") if os.path.isdir(d) and not PROJECT.is_relative_to(d)]
LOCK = "".join(f"mount --bind {d} {d}; mount -o remount,bind,ro {d}; " for d in READ_ONLY)
NAMESPACE = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount"]


def make(*words, within=()):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k not in ("B", "MODE")}
    return subprocess.run([*within, "make", "-C", str(PROJECT), f"MODE={BUILD.name}", *words], capture_output=True, text=True, env=env,
                          timeout=600 * SLOW, check=False)


def install(destination):
    return make("install", f"DESTDIR={destination}", f"PREFIX={PREFIX}", within=(*NAMESPACE, "bash", "-euc", LOCK + 'exec "$@"', "install"))


@functools.cache
def tree():
    """The tree, with links to its programs in one folder: as PATH has them."""
    done = install(TREE)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    BIN.mkdir()
    for program in ("bin/sarang", "sbin/sarangd", "sbin/sarang-gateway"):
        (BIN / program.split("/")[1]).symlink_to(TREE / f"usr/{program}")
    return TREE / "usr"


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@test
def nothing_is_written_beside_the_tree():
    usr = tree()
    assert [p.name for p in TREE.iterdir()] == ["usr"], "all of it is under the prefix"
    assert not [p for p in usr.rglob("*") if p.is_symlink() or p.stat().st_uid != os.getuid() or p.stat().st_mode & 0o022 or not p.stat().st_mode & 0o004]
    outside = install("")
    assert outside.returncode and "Read-only file system" in outside.stderr, "what is installed elsewhere would have been seen"


@test
def programs_pages_units_and_completions_are_there():
    usr = tree()
    for program in ("sarang", "sarangd", "sarang-gateway"):
        assert re.fullmatch(rf"{program} \d+\.\d+\S*\n", output(BIN / program, "--version")), output(BIN / program, "--version")
    for lang in ("", "ko/"):
        for page in ("man1/sarang.1", "man8/sarangd.8", "man8/sarang-gateway.8", "man5/sarangd.conf.5", "man5/sarang-gateway.conf.5"):
            assert (usr / f"share/man/{lang}{page}").read_text(encoding="utf-8").count("\n.SH") > 2, (lang, page)
    for unit, program in (("sarangd", "sarangd"), ("sarang-gateway", "sarang-gateway --config /etc/sarang/gateway.conf")):
        assert f"\nExecStart=/usr/sbin/{program}\n" in (usr / f"lib/systemd/system/{unit}.service").read_text()
    assert "u sarang-gateway" in (usr / "lib/sysusers.d/sarang.conf").read_text()
    assert "complete" in (usr / "share/bash-completion/completions/sarang").read_text()
    assert (usr / "share/zsh/site-functions/_sarang").read_text().startswith("#compdef sarang")


@test
def sample_settings_are_the_programs_own_and_are_read():
    usr = tree()
    for program, name in (("sarangd", "sarangd.conf"), ("sarang-gateway", "gateway.conf")):
        sample = usr / "share/doc/sarang/examples" / name
        keys = [line for line in sample.read_text().splitlines() if re.match(r"#?[a-z_-]+=", line)]
        assert len(keys) > 8 and sample.read_text().count("(default: ") == len(keys), "each with what it means and its default"
        assert output(BIN / program, "--config", sample, "--dump-config") == sample.read_text()
    assert "\nstatic=/usr/share/sarang/web\n" in sample.read_text(), "the page is where it was installed"


def page_files(port):
    return {name: urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=10).read() for name in ("", "app.js", "novnc/core/rfb.js")}


@test
def a_person_has_a_desktop_with_what_was_installed():
    usr = tree()
    clilab.BUILD = BIN
    with Place(PATH=f"{BIN}:{os.environ['PATH']}") as sarang:
        templates = sorted((usr / "share/sarang/templates").glob("*.xml"))
        assert {t.name for t in templates} == {t.name for t in (PROJECT / "templates").glob("*.xml")}
        for template in templates:
            sarang.ok(f"template check {template}")
        sarang.furnish()
        sarang.ok(f"template add linux-desktop {usr}/share/sarang/templates/linux-desktop.xml")
        sarang.ok("pool create desk --template linux-desktop --image linux --spare 1 --max 2")
        log = sarang.folder / "gateway.log"
        with open(log, "w", encoding="utf-8") as file:
            gateway = subprocess.Popen([BIN / "sarang-gateway", "--config", usr / "share/doc/sarang/examples/gateway.conf", "--plain", "--listen", "127.0.0.1:0",
                                        "--static", usr / "share/sarang/web", "--socket", sarang.folder / "gateway.sock"], stderr=file)
        try:
            port = eventually(lambda: re.search(r'address="127\.0\.0\.1:(\d+)', log.read_text()), 10, "a gateway").group(1)
            files = page_files(port)
            assert b"<title>" in files[""] and all(len(f) > 1000 for f in files.values()), {k: len(v) for k, v in files.items()}
            session = json.loads(sarang.ok("session request desk --user jihye --wait=30 -o json").out)
            assert session["state"] in ("assigned", "offered") and session["desktop"] and session["host"] == "h1", session
            sarang.ok(f"session end {session['id']} --wait=30")  # it is not "ended: no reason was given"
        finally:
            gateway.terminate()
            assert gateway.wait(20 * SLOW) == 0, log.read_text()


if __name__ == "__main__":
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        print("0 passed, 0 failed, 1 skipped: no namespaces for us here")
        sys.exit(0)
    if make("web").returncode:
        print("0 passed, 0 failed, 1 skipped: noVNC cannot be fetched: make web says why")
        sys.exit(0)
    main()
