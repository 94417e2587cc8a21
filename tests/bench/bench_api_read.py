#!/usr/bin/env python3
"""GET one desktop out of 10,000 over the API's socket, against nginx serving a file of the same size over a unix socket: requests per
CPU-second of the server, so that a busy machine counts for both alike."""
import json, os, shutil, subprocess, sys, time

from bench import BUILD, Daemon, figure, ratio_of_medians, unmeasured

DESKTOPS, CONNECTIONS, SECONDS = 10000, 32, 2

NGINX = """worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/nginx.log;
events {{ worker_connections 256; }}
http {{ access_log off; keepalive_requests 100000000; sendfile on; open_file_cache max=16; default_type application/json;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  server {{ listen unix:{dir}/n; root {dir}/html; }} }}
"""


def cpu_s(pids):
    """Of these processes, with all their threads, also those that ended, in seconds."""
    stats = [open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


def load(seconds, address, target):
    done = subprocess.run([os.path.join(BUILD, "tests/bench/http_load"), "-c", str(CONNECTIONS), "-s", str(seconds), address, target],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def per_cpu_s(pids, address, target):
    before = cpu_s(pids)
    return load(SECONDS, address, target)["requests"] / (cpu_s(pids) - before)


def nginx_start(directory, size):
    os.chmod(directory, 0o755)  # its worker is another user
    os.mkdir(f"{directory}/html", 0o755)
    with open(f"{directory}/html/one.json", "w", encoding="utf-8") as file:
        file.write("x" * size)
    with open(f"{directory}/nginx.conf", "w", encoding="utf-8") as file:
        file.write(NGINX.format(dir=directory))
    process = subprocess.Popen(["nginx", "-p", directory, "-c", f"{directory}/nginx.conf"], stdin=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while not os.path.exists(f"{directory}/n") and time.monotonic() < end:
        time.sleep(0.01)
    return process


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


if not shutil.which("nginx"):
    unmeasured("api_read_vs_nginx", "nginx is not installed", 0.5, at_most=False)
    sys.exit()
daemon, nginx = Daemon("http.threads=1"), None
try:
    daemon.furnish(hosts=4, desktops=DESKTOPS)
    name = daemon.ask("desktop", "list", "--limit", "1000")[-1]["name"]
    target = f"/api/v1/desktops/{name}"
    size = load(0.1, f"unix:{daemon.socket}", target)["body_bytes"]
    nginx = nginx_start(daemon.dir, size)
    workers = children(nginx.pid)
    ratio, ours, theirs = ratio_of_medians(lambda: per_cpu_s([daemon.process.pid], f"unix:{daemon.socket}", target),
                                           lambda: per_cpu_s(workers, f"unix:{daemon.dir}/n", "/one.json"))
    figure("api_read_vs_nginx", ratio, "ratio", f"nginx, a file of {size} bytes ({ours:.0f} / {theirs:.0f} requests per CPU-second)",
           0.5, at_most=False)
finally:
    if nginx:
        nginx.terminate()
        nginx.wait(timeout=10)
    daemon.close()
