#!/usr/bin/env python3
"""The README's tour, typed word for word in a place of its own: /var/lib, /run and the network are a namespace's. Two words differ: the hypervisor is
the fake one, and the viewer is one that reads a greeting (the real one is looked at in cli_connect.py)."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from clilab import BUILD, PROJECT
from gatewaylab import SLOW, main, test

SETUP = r"""
set -eu
for d in /var/lib /run /usr/local/share; do mount -t tmpfs -o mode=755 none $d; done
ip link set lo up
mkdir -p /var/lib/libvirt/images /usr/local/share/sarang/web
echo '<!doctype html>' > /usr/local/share/sarang/web/index.html
"""
VIEWER = """#!/usr/bin/env python3
import os, re, socket, sys
text = open(sys.argv[1]).read()
os.unlink(sys.argv[1])
port = int(re.search(r"^port=(\\d+)$", text, re.M).group(1))
with socket.create_connection(("127.0.0.1", port), 10) as s:
    greeting = s.recv(12)
open(os.environ["SEEN"], "wb").write(greeting)
"""
GUEST = """
import socket, sys
s = socket.create_server(("127.0.0.1", 5999))
print("ready", flush=True)
while True:
    c, _ = s.accept()
    try:
        c.sendall(b"RFB 003.008\\n"); c.recv(12); c.sendall(b"\\1\\2"); c.recv(1); c.sendall(bytes(16)); c.recv(16); c.sendall(bytes(4)); c.recv(1)
    except OSError:
        pass
"""


def tour():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    part = text.split("## Five minutes by command line")[1].split("\n## ")[0]
    return re.findall(r"^    (\S.*)$", part, re.M)


def script(commands):
    """Each command as it stands, with what a person would have typed at its prompt, and a wait until a daemon that it starts answers."""
    lines = [SETUP, f"python3 -c '{GUEST}' & guest=$!", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT"]
    for command in commands:
        lines.append(f"echo {subprocess.list2cmdline(['>>>', command])!r}" if "'" not in command else "echo '>>>'")
        typed = command.replace("qemu:///system", "fake:h1?console=5999")
        lines.append(typed + (" <<< 'correct horse battery'" if "--password" in typed or " login " in typed else ""))
        if typed.startswith("sarangd"):
            lines.append("for i in $(seq 200); do sarang status >/dev/null 2>&1 && break; sleep 0.1; done")
        if typed.startswith("sarang-gateway"):
            lines.append("for i in $(seq 200); do (exec 3<>/dev/tcp/127.0.0.1/8443) 2>/dev/null && break; sleep 0.1; done")
        if typed.startswith("sarang session end"):
            lines.append("test \"$(cat $SEEN)\" = 'RFB 003.008'")
    return "\n".join(lines)


@test
def the_tour_holds_word_for_word():
    commands = tour()
    assert len(commands) >= 18 and commands[0].startswith("sarangd"), commands
    with tempfile.TemporaryDirectory(prefix="sarang-tour-") as folder:
        home = pathlib.Path(folder)
        (home / "templates").symlink_to(PROJECT / "templates")
        (home / "bin").mkdir()
        viewer = home / "bin/remote-viewer"
        viewer.write_text(VIEWER)
        viewer.chmod(0o755)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", home / "desktop.qcow2", "16M"], check=True)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SARANG_", "XDG_", "LC_"))} | {
            "HOME": folder, "XDG_RUNTIME_DIR": folder, "LANG": "C.UTF-8", "SEEN": f"{folder}/seen", "PATH": f"{home}/bin:{BUILD}:{os.environ['PATH']}"}
        done = subprocess.run([*NAMESPACE, "bash", "-c", script(commands)], cwd=home, env=env, capture_output=True, text=True, timeout=120 * SLOW,
                              check=False)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        for words in ('"url": "https://localhost:8443/#/session/s-6"', "templates/linux-desktop.xml: ok", "pool cad: ready", "session.ended"):
            assert words in done.stdout, (words, done.stdout[-3000:])
        assert (home / "seen").read_bytes() == b"RFB 003.008\n"


NAMESPACE = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "--net"]

if __name__ == "__main__":
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        print("0 passed, 0 failed, 1 skipped: no namespaces for us here")
        sys.exit(0)
    main()
