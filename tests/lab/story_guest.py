#!/usr/bin/env python3
"""The lab's Linux guest does, under plain libvirt, what the stories of the product see it do: accounts, seed, console, disk,
and each power verb as seen from inside. Where a story of the product fails and this one passes, it is the product."""
import base64
import shutil

import rfb
from lab import FULL, Guest, Lab, command, equal, guests, refused, require, run, until

SEED_META = "instance-id: i-1\nlocal-hostname: desk-7\n"
SEED_USER = """#cloud-config
hostname: desk-7
users:
  - name: jihye
    passwd: '{hash}'
    ssh_authorized_keys:
      - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLE jihye
"""


def password_hash(text):
    return command("openssl", "passwd", "-6", "-stdin", text_in=text)


def prepare(lab):
    """A clone that boots its kernel directly, with a seed, and one that boots by itself, without."""
    for name in ("linux.qcow2", "vmlinux", "initrd"):
        shutil.copy(guests() / name, lab.shared)
    seed = lab.dir / "seed"
    seed.mkdir()
    (seed / "meta-data").write_text(SEED_META)
    (seed / "user-data").write_text(SEED_USER.format(hash=password_hash("secret")))
    command("xorriso", "-as", "mkisofs", "-quiet", "-V", "CIDATA", "-J", "-R", "-o", lab.shared / "seed.iso", seed)
    for name in ("seeded", "plain"):
        lab.overlay(f"vm/{name}.qcow2", "linux.qcow2", "qcow2")
    paths = {"guests": "/srv/shared", "vnc": "pw"}
    for host, kind, name, more in (("host1", "linux", "seeded", {"seed": "/srv/shared/seed.iso", "address": "10.77.0.201/24"}),
                                   ("host2", "disk", "plain", {})):
        lab.virsh(host, "define", lab.domain_xml(kind, name, disk=f"/srv/shared/vm/{name}.qcow2", **paths, **more))
        lab.virsh(host, "start", name)


def check_boot(s, seeded, plain):
    with s.check("it boots its kernel directly", needed=True):
        seeded.wait()
        require("guest: ready desk-7 boot 1" in seeded.lab.serial("host1", "seeded"), "its serial console does not say ready")
    with s.check("it boots by itself", needed=True):
        plain.wait()
        require("guest: ready guest boot 1" in plain.lab.serial("host2", "plain"), "its serial console does not say ready")
    with s.check("its address is reached from the controller's place"):
        with seeded.lab.connect("10.77.0.201", 80) as web:
            web.sendall(b"GET / HTTP/1.0\r\n\r\n")
            require(web.makefile("rb").read().endswith(b"\r\n\r\ndesk-7\n"), "its web server does not tell its name")
        addresses = [a["ip-address"] for i in seeded.ask("guest-network-get-interfaces") for a in i.get("ip-addresses", [])]
        require("10.77.0.201" in addresses, f"the agent knows only {addresses}")


def check_accounts(s, seeded, plain):
    with s.check("the seed gives name, account, password and key"):
        equal(seeded.run("/bin/hostname"), "desk-7", "the host's name")
        require("jihye" in seeded.run("/bin/cat", "/etc/passwd"), "there is no account jihye")
        require("jihye:$6$" in seeded.run("/bin/cat", "/etc/shadow"), "jihye has no password")
        require("EXAMPLE jihye" in seeded.run("/bin/cat", "/home/jihye/.ssh/authorized_keys"), "jihye has no key")
    with s.check("the agent makes an account and sets its password"):
        plain.run("/usr/sbin/useradd", "-m", "-s", "/bin/bash", "-c", "Mina Park", "mina")
        plain.run("/usr/sbin/usermod", "-c", "Park Mina", "mina")
        hashed = password_hash("first")
        plain.run("/usr/sbin/chpasswd", "-e", text_in=f"mina:{hashed}\n")
        require(f"mina:{hashed}:" in plain.run("/bin/cat", "/etc/shadow"), "chpasswd did not set the password")
        for text, crypted in ((password_hash("second"), True), ("secret", False)):
            plain.ask("guest-set-user-password", username="mina", password=base64.b64encode(text.encode()).decode(), crypted=crypted)
            require((f"mina:{text}:" in plain.run("/bin/cat", "/etc/shadow")) == crypted, "the agent did not set the password")
    with s.check("the agent writes and reads files"):
        handle = plain.ask("guest-file-open", path="/root/note", mode="w+")
        plain.ask("guest-file-write", handle=handle, **{"buf-b64": base64.b64encode(b"here").decode()})
        plain.ask("guest-file-close", handle=handle)
        equal(plain.run("/bin/cat", "/root/note"), "here", "the file")


def log_in(guest, name, password, then):
    """At the text console, through VNC, as a person would; each step waits for the guest's own sign of the one before."""
    with guest.lab.connect(guest.lab.address(guest.host), 5900) as console:
        rfb.login(console, "pw")
        guest.wait_reads_keys("getty")
        rfb.type_text(console, name + "\n")
        guest.wait_reads_keys("login")
        rfb.type_text(console, password + "\n")
        until(lambda: name in guest.users(), f"the agent reports {name}")
        rfb.type_text(console, then + "\n")


def check_console(s, guest, name):
    with s.check(f"{name} logs in at the console, and the agent says so"):
        equal(guest.users(), set(), "who is logged in before")
        log_in(guest, name, "secret", "id -un > mine")
        until(lambda: guest.shell(f"cat /home/{name}/mine 2>/dev/null || true") == name, "what was typed has run")
    with s.check(f"{name} logs out, and the agent says so"):
        with guest.lab.connect(guest.lab.address(guest.host), 5900) as console:
            rfb.login(console, "pw")
            rfb.type_text(console, "exit\n")
            until(lambda: guest.users() == set(), "nobody is logged in")


def goes_off(guest, *argv):
    guest.lab.virsh(guest.host, *argv)
    until(lambda: guest.lab.state(guest.host, guest.domain) == "shut off", "the guest is off", 20)


def check_power_kept(s, guest):
    """Verbs after which the same boot goes on."""
    lab, host, name = guest.lab, guest.host, guest.domain
    boot = guest.boot_id()
    with s.check("suspend stops it, resume lets it go on"):
        lab.virsh(host, "suspend", name)
        equal(lab.state(host, name), "paused", "the state")
        with refused():
            guest.ask("guest-ping", seconds=1)
        lab.virsh(host, "resume", name)
        equal(guest.boot_id(), boot, "the boot")
    with s.check("save turns it off, start restores it"):
        lab.virsh(host, "managedsave", name)
        equal(lab.state(host, name), "shut off", "the state")
        lab.virsh(host, "start", name)
        equal(guest.boot_id(), boot, "the boot")


# what is done, whether it ends with the guest off, what the guest says of it on its serial console
ANEW = (
    (("shutdown", "--mode", "acpi"), True, "power button"),
    (("reboot", "--mode", "agent"), False, "shutdown -h -r"),
)
ANEW_FULL = (
    (("reset",), False, ""),
    (("shutdown", "--mode", "agent"), True, "shutdown -h -P"),
    (("destroy",), True, ""),
)


def check_power_anew(s, guest):
    """Verbs after which it boots anew, its disk as it was."""
    lab, host, name = guest.lab, guest.host, guest.domain
    for (verb, *options), off, said in ANEW + (ANEW_FULL if FULL else ()):
        with s.check(f"{' '.join([verb, *options])}: it boots anew, its disk as it was"):
            boot, boots = guest.boot_id(), guest.boots()
            lab.virsh(host, verb, name, *options)
            until(lambda: said in lab.serial(host, name), f'the guest says "{said}"')
            if off:
                until(lambda: lab.state(host, name) == "shut off", "the guest is off")
                lab.virsh(host, "start", name)
            guest.wait(boot=boots + 1)
            require(guest.boot_id() != boot, "it is the same boot as before")
            equal(guest.boots(), boots + 1, "the number of boots")
            require(guest.has("/home/jihye/mine"), "the person's file is gone")


def check_new_overlay(s, guest):
    with s.check("a new overlay knows nothing of the person before"):
        goes_off(guest, "destroy", guest.domain)
        guest.lab.overlay("vm/plain.qcow2", "linux.qcow2", "qcow2")
        guest.lab.virsh(guest.host, "start", guest.domain)
        guest.wait()
        equal(guest.boots(), 1, "the number of boots")
        require(not guest.has("/home/mina"), "the person's home is still there")
        require("mina" not in guest.run("/bin/cat", "/etc/passwd"), "the person's account is still there")


def story(s):
    with Lab("guest") as lab:
        prepare(lab)
        seeded, plain = Guest(lab, "host1", "seeded"), Guest(lab, "host2", "plain")
        check_boot(s, seeded, plain)
        check_accounts(s, seeded, plain)
        check_console(s, plain, "mina")
        check_new_overlay(s, plain)
        goes_off(plain, "destroy", "plain")
        check_console(s, seeded, "jihye")
        check_power_kept(s, seeded)
        check_power_anew(s, seeded)


run(story)
