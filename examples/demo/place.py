"""Where the demonstration's guests run: a libvirtd of its own, or the machine's. Both know where disks may lie and how all of
it is taken away again."""
import os
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), '../..'))
LAB = os.path.join(TOP, 'tests/lab')
LAB_ENVIRONMENT = {**os.environ, 'LAB_NAME': 'lab.demo-host'}


class OwnLibvirt:
    """A libvirtd in namespaces of its own, by the lab: nothing of it is seen by the machine's."""

    def __init__(self):
        self.uri = self.storage = None
        self.with_kvm = False

    def start(self):
        words = [f'{LAB}/up', '--local'] + ['--kvm'] * self.with_kvm
        said = subprocess.run(words, env=LAB_ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if said.returncode:
            raise RuntimeError(f'the private libvirtd did not start: {said.stderr.strip()[-500:]}')
        facts = dict(line.split('=', 1) for line in shlex.split(said.stdout, comments=True))
        self.uri, self.storage = facts['LAB_URI'], facts['LAB_IMAGES']

    def remove(self):
        subprocess.run([f'{LAB}/down', '--wipe'], env=LAB_ENVIRONMENT, check=False)


class MachineLibvirt:
    """The libvirtd at `uri`. What is ours there is known by where its disks lie."""

    def __init__(self, uri):
        self.uri, self.storage = uri, '/var/lib/libvirt/images/sarang-demo'
        self.with_kvm = False

    def start(self):
        self.virsh('version')
        self.remove()
        os.makedirs(self.storage, mode=0o711)

    def remove(self):
        for name in self.virsh('list', '--all', '--uuid').split():
            if f'{self.storage}/' in self.virsh('dumpxml', name):
                self.virsh('destroy', name, may_fail=True)
                self.virsh('undefine', name, '--nvram', '--managed-save', may_fail=True)
        for name in self.virsh('pool-list', '--all', '--name').split():
            path = xml.fromstring(self.virsh('pool-dumpxml', name)).findtext('target/path') or ''
            if path == self.storage or path.startswith(f'{self.storage}/'):
                self.virsh('pool-destroy', name, may_fail=True)
                self.virsh('pool-undefine', name, may_fail=True)
        if os.path.isdir(self.storage):
            subprocess.run(['chattr', '-R', '-f', '-i', self.storage], check=False)
            shutil.rmtree(self.storage)

    def virsh(self, *words, may_fail=False):
        done = subprocess.run(['virsh', '-q', '-c', self.uri, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode and not may_fail:
            raise RuntimeError(f"virsh {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout


class GpuMachine:
    """The GPU host of tests/lab/gpu, a machine under emulation: built where it is not yet, and booted from a clean disk."""

    def __init__(self):
        sys.path.insert(0, os.path.join(LAB, 'gpu'))
        from gpuhost import GpuHost
        self.host = GpuHost('demo')
        self.uri, self.storage, self.consoles = self.host.uri('gpu0'), '/var/lib/libvirt/images', self.host.consoles
        self.with_kvm = False

    def start(self):
        said = subprocess.run(['make', '-C', TOP, 'build/gpuhost/built'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if said.returncode:
            raise RuntimeError(f'the GPU host was not built: {said.stdout.strip()[-800:]}')
        self.host.__enter__()

    def remove(self):
        self.host.__exit__()
