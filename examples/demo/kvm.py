"""Does a guest really start under KVM here? /dev/kvm alone says little: in many a container it is there and fails."""
import os
import subprocess
import tempfile

LIMIT_S = 3
WORD = b'KVM works'


def boot_sector():
    """A disk whose first sector writes WORD to the serial port and ends QEMU, in 16-bit code."""
    code = b'\xba\xf8\x03'                                        # mov dx, 0x3f8
    code += b''.join(b'\xb0' + bytes([c]) + b'\xee' for c in WORD)  # mov al, c; out dx, al
    code += b'\xe6\xf4'                                           # out 0xf4, al: the exit device
    return code.ljust(510, b'\0') + b'\x55\xaa'


def works():
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return False
    with tempfile.NamedTemporaryFile(suffix='.img') as disk:
        disk.write(boot_sector() + bytes(63 * 512))
        disk.flush()
        qemu = ['qemu-system-x86_64', '-nodefaults', '-accel', 'kvm', '-m', '32', '-display', 'none', '-serial', 'stdio',
                '-drive', f'file={disk.name},format=raw,if=ide,snapshot=on', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4']
        process = subprocess.Popen(qemu, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            said, _ = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    return WORD in said
