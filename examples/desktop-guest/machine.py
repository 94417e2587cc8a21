"""One virtual machine of the desktop guest, started by plain QEMU with software emulation: serial console, agent, screen and
input. What the self-test needs, with the standard library alone."""
import base64
import ctypes
import json
import os
import signal
import socket
import subprocess
import time

SHIFTED = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./"))
KEYS = {' ': 'spc', '\n': 'ret', '-': 'minus', '=': 'equal', '.': 'dot', ',': 'comma', '/': 'slash', ';': 'semicolon',
        "'": 'apostrophe', '`': 'grave_accent', '[': 'bracket_left', ']': 'bracket_right', '\\': 'backslash'}


class Refused(Exception):
    """The machine's or the agent's own answer to a command that failed."""


class JsonSocket:
    """QMP and the guest agent speak the same lines of JSON."""

    def __init__(self, path, timeout_s):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout_s)
        self.socket.connect(path)
        self.file = self.socket.makefile('rwb', 0)

    def read(self):
        line = self.file.readline()
        if not line:
            raise EOFError('the other side went away')
        return json.loads(line.lstrip(b'\xff'))

    def call(self, name, **arguments):
        self.file.write(json.dumps({'execute': name, 'arguments': arguments}).encode() + b'\n')
        while True:
            answer = self.read()
            if 'error' in answer:
                raise Refused(f"{name}: {answer['error']['desc']}")
            if 'return' in answer:
                return answer['return']


class Machine:
    """A linked clone of an image; `folder` holds its disk, sockets and logs and is the caller's to remove. card: MAC, address
    and the ports of this machine that lead to its SSH and to its screen."""

    def __init__(self, image, folder, seed, direct, card):
        self.folder, self.started = folder, time.monotonic()
        disk = self.path('disk.qcow2')
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', f'{image}/disk.qcow2', disk], check=True)
        kernel = []
        if direct:
            with open(f'{image}/cmdline', encoding='ascii') as file:
                kernel = ['-kernel', f'{image}/vmlinux', '-initrd', f'{image}/initrd.img', '-append', file.read().strip()]
        mac, address, ssh_port, screen_port = card
        with open(self.path('qemu.log'), 'wb') as log:
            self.process = subprocess.Popen(
                ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-machine', 'pc,usb=off', '-accel', 'tcg,thread=multi',
                 '-cpu', 'max', '-smp', '2', '-m', '1024', *kernel,
                 '-drive', f'file={disk},if=virtio,format=qcow2,cache=unsafe',
                 '-drive', f'file={seed},if=virtio,format=raw,readonly=on',
                 '-device', 'virtio-vga,xres=1280,yres=800', '-device', 'virtio-tablet-pci', '-device', 'virtio-keyboard-pci',
                 '-device', 'virtio-rng-pci', '-device', 'virtio-serial-pci',
                 '-chardev', f"socket,id=agent,path={self.path('agent')},server=on,wait=off",
                 '-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0',
                 '-netdev', f'user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{ssh_port}-{address}:22,hostfwd=tcp:127.0.0.1:{screen_port}-{address}:5900',
                 '-device', f'virtio-net-pci,netdev=net,mac={mac},romfile=',
                 '-serial', f"file:{self.path('serial.log')}", '-qmp', f"unix:{self.path('qmp')},server=on,wait=off",
                 '-display', 'none', '-vnc', f"unix:{self.path('vnc')}"],
                stdout=log, stderr=log, preexec_fn=die_with_parent)
        self.wait_for('the console of QEMU', lambda: os.path.exists(self.path('qmp')), 10, 0.05)
        self.qmp = JsonSocket(self.path('qmp'), 30)
        self.qmp.read()
        self.qmp.call('qmp_capabilities')
        self.channel = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def age(self):
        """Seconds since power on."""
        return time.monotonic() - self.started

    def wait_for(self, what, condition, limit_s, every_s=0.3):
        """Waits until condition() is true and returns what it gave."""
        end = time.monotonic() + limit_s
        while True:
            value = condition()
            if value:
                return value
            if self.process.poll() is not None:
                raise TimeoutError(f'QEMU ended while waiting for {what}')
            if time.monotonic() > end:
                raise TimeoutError(f'no {what} after {limit_s} s')
            time.sleep(every_s)

    def close(self):
        self.process.kill()
        self.process.wait()

    def serial(self):
        with open(self.path('serial.log'), encoding='utf-8', errors='replace') as file:
            return file.read()

    # the agent

    def agent(self, name, **arguments):
        """Calls the guest agent; the first call waits until it is up."""
        if not self.channel:
            self.channel = JsonSocket(self.path('agent'), 300)
            token = int(time.time() * 1000)
            while self.channel.call('guest-sync', id=token) != token:
                pass
        return self.channel.call(name, **arguments)

    def run(self, path, *arguments, stdin=''):
        """A program in the guest: (exit status, its output, its errors)."""
        pid = self.agent('guest-exec', path=path, arg=list(arguments), **{
            'capture-output': True, 'input-data': base64.b64encode(stdin.encode()).decode()})['pid']
        while True:
            status = self.agent('guest-exec-status', pid=pid)
            if status['exited']:
                break
            time.sleep(0.05)
        out, err = (base64.b64decode(status.get(key, '')).decode(errors='replace') for key in ('out-data', 'err-data'))
        return status.get('exitcode', -1), out.strip(), err.strip()

    def shell(self, script):
        return self.run('/bin/sh', '-c', script)[1]

    def shell_on_screen(self, script):
        """As shell, with the person's display."""
        return self.shell(f'export DISPLAY=:0 XAUTHORITY=/run/sarang/xauth; {script}')

    # the screen

    def png(self, path):
        self.qmp.call('screendump', filename=path, format='png')

    def picture(self):
        """(width, height, RGB bytes)"""
        path = self.path('screen.ppm')
        self.qmp.call('screendump', filename=path)
        with open(path, 'rb') as file:
            data = file.read()
        magic, size, depth, pixels = data.split(b'\n', 3)
        assert (magic, depth) == (b'P6', b'255')
        width, height = size.split()
        return int(width), int(height), pixels

    # the person's hands

    def pointer(self, x, y, *buttons):
        """Moves to a pixel; then presses (True) or releases (False) the left button."""
        width, height, _ = self.picture()
        axes = [{'type': 'abs', 'data': {'axis': axis, 'value': at * 32767 // (size - 1)}}
                for axis, at, size in (('x', x, width), ('y', y, height))]
        self.qmp.call('input-send-event', events=axes)
        for down in buttons:
            self.qmp.call('input-send-event', events=[{'type': 'btn', 'data': {'button': 'left', 'down': down}}])
            time.sleep(0.1)

    def type(self, text):
        for letter in text:
            key = SHIFTED.get(letter, letter.lower())
            names = ['shift'] * (letter in SHIFTED or letter.isupper()) + [KEYS.get(key, key)]
            self.qmp.call('send-key', keys=[{'type': 'qcode', 'data': name} for name in names], **{'hold-time': 30})
            time.sleep(0.08)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
