"""The guest's screen, photographed by libvirt, as PNG."""
import os
import struct
import subprocess
import zlib

PNG = b'\x89PNG\r\n\x1a\n'


def png_of_ppm(data):
    """Of what QEMU writes: P6, one line each for size and depth, then RGB."""
    magic, size, depth, pixels = data.split(b'\n', 3)
    width, height = map(int, size.split())
    if magic != b'P6' or depth != b'255' or len(pixels) < width * height * 3:
        raise ValueError('libvirt gave no picture')

    def chunk(kind, content):
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))
    rows = b''.join(b'\0' + pixels[y * width * 3:(y + 1) * width * 3] for y in range(height))
    return PNG + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)) + chunk(b'IDAT', zlib.compress(rows, 6)) + \
        chunk(b'IEND', b'')


def screenshot(uri, domain, folder):
    """Newer QEMUs write PNG themselves."""
    path = os.path.join(folder, 'screen')
    subprocess.run(['virsh', '-q', '-c', uri, 'screenshot', domain, path], check=True, stdout=subprocess.DEVNULL)
    with open(path, 'rb') as file:
        data = file.read()
    return data if data.startswith(PNG) else png_of_ppm(data)
