"""What the benchmarks share: a private sarangd on fake or real hosts, medians, and the one line a figure is told by."""
import json, os, shutil, statistics, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("B", "build/release"))


def figure(name, value, unit, against, reach, at_most=True):
    """One row of build/bench.json; reach is a bound from above where at_most, else from below."""
    holds = value <= reach if at_most else value >= reach
    print(json.dumps({"name": name, "value": round(value, 4), "unit": unit, "against": against,
                      "reach": ("<= " if at_most else ">= ") + str(reach), "holds": holds}), flush=True)


def unmeasured(name, why, reach, at_most=True):
    """A row for what could not be measured here: it does not hold, and says why."""
    print(json.dumps({"name": name, "value": None, "unit": "", "against": f"not measured: {why}", "reach": ("<= " if at_most else ">= ") + str(reach),
                      "holds": False}), flush=True)


def skipped(name, why, reach, at_most=True):
    """A row for what this machine has no peer for: neither reached nor missed, and says why. For those that tests/bench/run lets skip."""
    print(json.dumps({"name": name, "value": None, "unit": "", "against": f"skipped: {why}", "reach": ("<= " if at_most else ">= ") + str(reach),
                      "holds": None}), flush=True)


def ratio_of_medians(measure, against, rounds=5):
    """Both sides in turn, so that noise meets both; the ratio of their medians."""
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(against())
        ours.append(measure())
    return statistics.median(ours) / statistics.median(theirs), statistics.median(ours), statistics.median(theirs)


class Daemon:
    """A sarangd of its own, with its state in a directory of its own on the disk that the build is on."""

    def __init__(self, *sets):
        os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
        self.dir = tempfile.mkdtemp(prefix="bench-", dir="/var/tmp")
        self.socket = os.path.join(self.dir, "s")
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.sets = sets
        self.process = None
        self.start()

    def start(self):
        began = time.monotonic()
        args = [os.path.join(BUILD, "sarangd")]
        for one in (f"state.directory={self.dir}", f"http.socket={self.socket}", f"http.gateway_socket={self.dir}/g", "log.level=warning",
                    "limits.requests=100000", *self.sets):
            args += ["--set", one]
        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stderr=self.log)
        while not os.path.exists(self.socket) or self.try_ask("host", "list") is None:
            if self.process.poll() is not None:
                with open(self.log.name, encoding="utf-8") as said:
                    raise SystemExit(f"sarangd ended with {self.process.returncode}: {said.read()[-500:]}")
            time.sleep(0.005)
        return time.monotonic() - began

    def try_ask(self, *words):
        done = subprocess.run([os.path.join(BUILD, "sarang"), "--socket", self.socket, *words, "-o", "json"], capture_output=True, text=True)
        return json.loads(done.stdout or "null") if done.returncode == 0 else None

    def ask(self, *words):
        done = subprocess.run([os.path.join(BUILD, "sarang"), "--socket", self.socket, *words, "-o", "json"], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"sarang {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout or "null")

    def post(self, path, body, first, n, callers):
        done = subprocess.run([os.path.join(BUILD, "tests/bench/grant_load"), "post", self.socket, path, body, str(first), str(n), str(callers)],
                              capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        if answer["failed"]:
            raise SystemExit(f"{answer['failed']} of {n} requests to {path} failed")
        return answer

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)

    def close(self):
        self.stop()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def furnish(self, hosts, desktops, kept=False):
        """Fake hosts, an image, a template and one pool of so many desktops, all available; with kept, hosts outlive the daemon."""
        state = f"&state={self.dir}/h%d" if kept else ""
        self.post("/api/v1/hosts", f'{{"name":"h%d","starts":64,"uri":"fake:h%d?boot_ms=0&ready=count&memory_mib=100000000&cpus=60000{state}"}}', 0, hosts, 16)
        self.wait_none("host", ("enrolling", "unreachable"), seconds=60 + hosts / 10)
        self.furnish_image()
        self.ask("pool", "create", "warm", "--template", "micro", "--image", "micro", "--min", str(desktops), "--max", str(desktops),
                 "--personalise", "none")
        self.wait_available(desktops)

    def furnish_image(self):
        """A storage, an image and a template, micro both."""
        self.ask("storage", "add", "disk", "--path", "/srv/disk")
        raw = os.path.join(self.dir, "image.raw")
        with open(raw, "wb") as file:
            file.truncate(1 << 20)
        self.ask("image", "import", "micro", raw, "--format", "raw", "--storages", "disk", "--wait=60")
        self.ask("template", "add", "micro", os.path.join(ROOT, "templates/micro.xml"))

    def wait_none(self, noun, states, pause_s=0.1, seconds=60):
        """Until none is in one of the states; asking for one of them costs little, listing all of them does not."""
        end = time.monotonic() + seconds
        while any(self.ask(noun, "list", "--state", state, "--limit", "1") for state in states):
            if time.monotonic() > end:
                raise SystemExit(f"a {noun} is still in one of {', '.join(states)} after {seconds} s")
            time.sleep(pause_s)

    def wait_available(self, n, pool="warm", seconds=1200):
        """Until no desktop is on its way."""
        self.wait_none("desktop", ("defined", "provisioning", "wait-ready"), max(0.2, n / 10000), seconds)
        there = len(self.ask("desktop", "list", "--pool", pool, "--state", "available"))
        if there != n:
            raise SystemExit(f"pool {pool} has {there} desktops, not {n}")


def commits(directory, n=400):
    """One-row commits of SQLite on the same disk: what a durable answer costs at least."""
    path = os.path.join(directory, "floor.db")
    done = subprocess.run([os.path.join(BUILD, "tests/bench/grant_load"), "commit", path, str(n)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit("a library: see tests/bench/run")
