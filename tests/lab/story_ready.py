#!/usr/bin/env python3
"""A desktop that is ready when a TCP port of it answers: not before it has an address, and then as soon as the port is open."""
from lab import Lab, equal, require, run, until
from product import PROJECT, Product, missing

PORT = 80  # of the guest's httpd


def template(lab):
    """The Linux guest's, waiting for a port instead of its agent."""
    xml = (PROJECT / "templates/linux-cli.xml").read_text()
    ready = '<sarang:ready by="agent" timeout="600"/>'
    require(ready in xml, f"linux-cli.xml has no {ready}")
    path = lab.dir / "web.xml"
    path.write_text(xml.replace(ready, f'<sarang:ready by="tcp" port="{PORT}" timeout="300"/>').replace('name="linux-cli">', 'name="web">'))
    return path


def leases(lab):
    """A DHCP server at the switch, as a data centre has one; for as long as the block lasts."""
    net = lab.env.get("LAB_NET", "10.77.0")
    return lab.process("dnsmasq", "dnsmasq", "--keep-in-foreground", "--port=0", "--conf-file=/dev/null", "--interface=br0", "--bind-interfaces",
                       "--user=root", f"--dhcp-range={net}.100,{net}.150", f"--dhcp-leasefile={lab.dir}/leases", f"--pid-file={lab.dir}/dnsmasq.pid")


def prepare(s, lab, sarang):
    with s.check("a host, a guest on its bridge, ready by TCP", needed=True):
        sarang.enrol("host1")
        sarang.add_shared()
        sarang.add_guest("linux-cli", ["shared"])
        sarang("template", "add", "web", template(lab))
        sarang("pool", "create", "p", template="web", image="linux-cli", personalise="none", network="bridge:br0", min=1, max=1)


def check_without_address(s, lab, sarang):
    with s.check("its agent answers, but it has no address that anyone could reach its port at: it is not ready"):
        desktop = until(lambda: sarang.list("desktop", pool="p", state="wait-ready"), "it boots", 60)[0]["name"]
        until(lambda: lab.virsh("host1", "qemu-agent-command", sarang.domain(desktop), '{"execute":"guest-ping"}'), "its agent answers", 120)
        asked = sarang.show("desktop", desktop)
        equal((asked["state"], asked["power"]), ("wait-ready", "on"), "the desktop")
    return desktop


def check_with_address(s, lab, sarang, desktop):
    with s.check("it has a lease: it is ready, and the port answers"):
        sarang.wait("desktop", desktop, seconds=120, state="available")
        address = (lab.dir / "leases").read_text().split()[2]
        lab.exec("ctl", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{PORT}")


def story(s):
    if missing():
        s.skip("a desktop is ready by TCP", f"not built yet: {', '.join(missing())}")
        return
    with Lab("ready", hosts=1) as lab, Product(lab) as sarang:
        prepare(s, lab, sarang)
        desktop = check_without_address(s, lab, sarang)
        with leases(lab):
            check_with_address(s, lab, sarang, desktop)


run(story)
