"""OpenStack Placement beside us, as its own manual sets it up: Debian's package on uwsgi and PostgreSQL, both private, for who may do nothing else."""
import concurrent.futures, contextlib, http.client, json, os, pwd, shutil, signal, socket, subprocess, tempfile, time, urllib.parse, uuid

POSTGRES = "/usr/lib/postgresql/15/bin"
NEEDS = {"placement-common": "/usr/bin/placement-manage", "python3-placement": "/usr/bin/placement-api", "uwsgi-core": "/usr/bin/uwsgi-core",
         "uwsgi-plugin-python3": "/usr/lib/uwsgi/plugins/python3_plugin.so", "postgresql-15": POSTGRES + "/postgres",
         "python3-psycopg2": "/usr/lib/python3/dist-packages/psycopg2/__init__.py"}
PROCESSES = 2
HEADERS = {"X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.39", "Content-Type": "application/json"}

# nova's own shape: the host has the processors, memory and disk, each card is a child of it with the vGPUs of the one type that it is cut for
INVENTORY = """
BEGIN;
INSERT INTO resource_providers(id, uuid, name, generation, root_provider_id)
  SELECT h * {step}, gen_random_uuid(), 'h' || h, 1, h * {step} FROM generate_series(1, {hosts}) h;
INSERT INTO resource_providers(id, uuid, name, generation, root_provider_id, parent_provider_id)
  SELECT h * {step} + c, gen_random_uuid(), 'h' || h || '_card' || c, 1, h * {step}, h * {step} FROM generate_series(1, {hosts}) h,
  generate_series(1, {cards}) c;
INSERT INTO inventories(resource_provider_id, resource_class_id, total, reserved, min_unit, max_unit, step_size, allocation_ratio)
  SELECT h * {step}, c.id, v.total, v.reserved, 1, v.total, 1, v.ratio FROM generate_series(1, {hosts}) h,
  (VALUES ('VCPU', {vcpus}, 0, 4.0), ('MEMORY_MB', {memory_mib}, {memory_mib} / 10, 1.0), ('DISK_GB', 4000, 0, 1.0)) v(name, total, reserved, ratio)
  JOIN resource_classes c ON c.name = v.name;
INSERT INTO inventories(resource_provider_id, resource_class_id, total, reserved, min_unit, max_unit, step_size, allocation_ratio)
  SELECT h * {step} + k, c.id, {vgpus}, 0, 1, {vgpus}, 1, 1.0 FROM generate_series(1, {hosts}) h, generate_series(1, {cards}) k, resource_classes c
  WHERE c.name = 'VGPU';
SELECT setval('resource_providers_id_seq', {hosts} * {step} + {step});
COMMIT;
VACUUM ANALYZE;
"""


def missing():
    """Names of packages that are not there."""
    return [package for package, file in NEEDS.items() if not os.path.exists(file)]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Placement:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="bench-placement-", dir="/var/tmp")
        self.socket = os.path.join(self.dir, "api")
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.processes = []
        # neither PostgreSQL nor uwsgi works for root
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self.user:
            os.chown(self.dir, self.user.pw_uid, self.user.pw_gid)
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _as_user(self):
        drop = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        return drop | {"cwd": self.dir, "stderr": self.log,
                       "env": {"PATH": "/usr/bin:/bin", "HOME": self.dir, "OS_PLACEMENT_CONFIG_DIR": self.dir, "LC_ALL": "C.UTF-8"}}

    def _run(self, *command, **more):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, **self._as_user(), **({"stdin": subprocess.DEVNULL} | more if "input" not in more else more))
        if done.returncode:
            raise SystemExit(f"{command[0]}: {done.stdout[-300:]} {self._said()}")
        return done.stdout

    def _said(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as said:
            return said.read()[-600:]

    def _spawn(self, *command):
        self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, **self._as_user()))

    def _until(self, works, what):
        end = time.monotonic() + 60
        while not works():
            if time.monotonic() > end or any(p.poll() is not None for p in self.processes):
                raise SystemExit(f"{what} does not start: {self._said()}")
            time.sleep(0.1)

    def _start(self):
        self._run(f"{POSTGRES}/initdb", "-D", f"{self.dir}/db", "-A", "trust", "-U", "placement", "-E", "UTF8")
        self._spawn(f"{POSTGRES}/postgres", "-D", f"{self.dir}/db", "-k", self.dir, "-c", "listen_addresses=")
        ready = [f"{POSTGRES}/pg_isready", "-q", "-h", self.dir]
        self._until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL")
        self._run(f"{POSTGRES}/createdb", "-h", self.dir, "-U", "placement", "placement")
        with open(os.path.join(self.dir, "placement.conf"), "w", encoding="utf-8") as config:
            config.write("[api]\nauth_strategy = noauth2\n[placement]\nrandomize_allocation_candidates = true\n[placement_database]\n"
                         f"connection = postgresql+psycopg2://placement@/placement?host={urllib.parse.quote(self.dir)}\n")
        self._run("placement-manage", "db", "sync")
        self._spawn("uwsgi-core", "--plugin", "python3", "--http-socket", self.socket, "--wsgi-file", "/usr/bin/placement-api", "--master",
                    "--processes", str(PROCESSES), "--die-on-term", "--disable-logging", "--lazy-apps")
        self._until(self._answers, "Placement")

    def _answers(self):
        with contextlib.suppress(OSError):
            return self.ask("GET", "/resource_classes")[0] == 200
        return False

    def ask(self, method, path, body=None):
        """Status and answer."""
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, json.dumps(body) if body else None, HEADERS)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def furnish(self, **inventory):
        """By SQL, for the API takes some forty calls a second; then it is asked whether it sees all of it."""
        sql = INVENTORY.format(step=inventory["cards"] + 1, **inventory)
        self._run(f"{POSTGRES}/psql", "-h", self.dir, "-U", "placement", "-v", "ON_ERROR_STOP=1", "-q", "placement", input=sql)
        there = len(self.ask("GET", "/resource_providers?resources=VGPU:1")[1]["resource_providers"])
        if there != inventory["hosts"] * inventory["cards"]:
            raise SystemExit(f"Placement knows {there} cards")

    def place(self, resources):
        """A candidate asked for and claimed, as nova does; true once it is. Another took it first: asked anew, as nova does."""
        status, found = self.ask("GET", f"/allocation_candidates?limit=1&resources={resources}")
        if status != 200 or not found["allocation_requests"]:
            raise SystemExit(f"Placement finds no place: {status} {found}")
        body = {"allocations": found["allocation_requests"][0]["allocations"], "project_id": "bench", "user_id": "bench",
                "consumer_generation": None, "consumer_type": "INSTANCE"}
        status, answer = self.ask("PUT", f"/allocations/{uuid.uuid4()}", body)
        if status not in (204, 409):
            raise SystemExit(f"Placement claims nothing: {status} {answer}")
        return status == 204

    def rate(self, resources, seconds, clients):
        """Placements a second of so many who ask all the time; what is under way when the time is over counts in full."""
        end = time.monotonic() + seconds

        def client(_):
            n = 0
            while not n or time.monotonic() < end:
                n += self.place(resources)
            return n

        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            done = sum(pool.map(client, range(clients)))
        return done / (time.monotonic() - began)

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGINT if process is self.processes[0] else signal.SIGTERM)
            process.wait(timeout=60)
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)
