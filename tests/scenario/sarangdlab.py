"""What the scenarios of sarangd alone stand on: the daemon as it ships, in a folder of its own, and stories told to it one after the other."""
import grp
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("B", "build/release")
SLOW = float(os.environ.get("SLOW", "4" if "asan" in BUILD or "tsan" in BUILD else "1"))


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20 * SLOW)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    def __init__(self, folder):
        self.folder, self.socket, self.process, self.more = folder, os.path.join(folder, "s"), None, []

    def start(self):
        group = grp.getgrgid(os.getgid()).gr_name
        options = {"state.directory": os.path.join(self.folder, "disk"), "http.socket": self.socket,
                   "http.gateway_socket": os.path.join(self.folder, "g"), "http.group": group, "http.gateway_group": group}
        words = [f"--set={key}={value}" for key, value in options.items()] + ["--set=" + one for one in self.more]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen([os.path.join(BUILD, "sarangd"), "--config=/dev/null", *words], stdout=log, stderr=log)
        end = time.monotonic() + 20 * SLOW
        while True:
            try:
                return self.ask("GET", "/status")
            except OSError:
                assert self.process.poll() is None, f"sarangd has ended: {self.words()}"
                assert time.monotonic() < end, "sarangd does not answer"
                time.sleep(0.02)

    def words(self):
        with open(os.path.join(self.folder, "log"), errors="replace") as log:
            return " ".join(log.read().splitlines()[-3:])

    def ask(self, method, path, body=None):
        connection = Connection(self.socket)
        connection.request(method, "/api/v1" + path, json.dumps(body) if body else None, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None, answer.getheader("Retry-After")

    def users(self):
        status, answer, _ = self.ask("GET", "/users?limit=1000")
        assert status == 200, answer
        return {user["name"] for user in answer["items"]}

    def store(self):
        return self.ask("GET", "/status")[1]["store"]

    def stop(self, number=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=30)


def tell(function):
    """One story, to a daemon of its own that has just started: whether it holds."""
    folder, began = tempfile.mkdtemp(prefix="sarangd-"), time.monotonic()
    daemon = Daemon(folder)
    os.mkdir(os.path.join(folder, "disk"), 0o700)
    try:
        daemon.start()
        function(daemon)
        print(f"ok    {time.monotonic() - began:5.1f}s {function.__name__}", flush=True)
        return True
    except Exception as why:
        print(f"FAIL  {time.monotonic() - began:5.1f}s {function.__name__}: {why!r} {daemon.words()}", flush=True)
        return False
    finally:
        daemon.stop()
        subprocess.run(["chattr", "-R", "-i", folder], stderr=subprocess.DEVNULL, check=False)  # images cannot be deleted else
        shutil.rmtree(folder, ignore_errors=True)


def tell_all(stories, tell=tell):
    """Ends the program with their sum."""
    passed = sum(tell(function) for function in stories)
    print(f"{passed} passed, {len(stories) - passed} failed, 0 skipped")
    sys.exit(passed != len(stories))
