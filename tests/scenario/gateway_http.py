#!/usr/bin/env python3
"""The gateway's public port as a web server: files, the API behind it, and whoever means it harm."""
import os
import select
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import warnings

from gatewaylab import BINARY, Lab, Reply, SLOW, ask, eventually, get, main, read_all, test


@test
def files_come_from_memory_with_strict_headers():
    with Lab() as lab:
        g = lab.gateway
        page = get(g, "/")
        assert page.status == 200 and page.body == b"<!doctype html>hello"
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert page.headers["x-content-type-options"] == "nosniff" and page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "no-referrer"
        script = get(g, "/a.js?v=1")
        assert script.status == 200 and len(script.body) == 200000 and script.headers["content-type"].startswith("text/javascript")
        tag = script.headers["etag"]
        for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
            same = get(g, "/a.js", headers=f"If-None-Match: {known}\r\n")
            assert same.status == 304 and same.body == b"" and same.headers["etag"] == tag
        assert get(g, "/a.js", headers='If-None-Match: "x"\r\n').status == 200
        with g.connect() as s:
            s.sendall(f"HEAD /a.js HTTP/1.1\r\nHost: {g.host}\r\nConnection: close\r\n\r\n".encode())
            head = read_all(s)
            assert b"Content-Length: 200000\r\n" in head and head.endswith(b"\r\n\r\n")
        assert get(g, "/", method="POST").status == 405
        with open(os.path.join(lab.folder, "page", "index.html"), "w") as f:
            f.write("changed")
        assert get(g, "/").body == b"<!doctype html>hello", "read at start"
        g.process.send_signal(signal.SIGHUP)
        eventually(lambda: get(g, "/").body == b"changed", what="read again at SIGHUP")


@test
def no_path_leads_out():
    with Lab() as lab:
        for path in ("/../etc/passwd", "/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/a/../../etc/passwd", "//etc/passwd", "/.secret",
                     "/%2esecret", "/a.js%00.html", "/a.js/", "/nothing", "/console/x", "/gateway/v1/redeem", "/gateway/v1/sync",
                     "/api/v1/../../gateway/v1/sync", "/api/v1/%2e%2e/%2e%2e/gateway/v1/sync", "/api/v1/..%2f..%2fgateway",
                     "/api/v1//x", "/api/v2/x", "/api/v1", "/API/v1/x", "/a\\b", "/api/v1/\\..\\gateway"):
            reply = get(lab.gateway, path)
            assert reply.status in (400, 404), (path, reply.status)
        assert [r for r in lab.controller.requests if r[1] != "/gateway/v1/sync"] == [], "nothing reached the controller"
        post = get(lab.gateway, "/gateway/v1/redeem", method="POST", body=b'{"ticket":"x"}')
        assert post.status in (404, 405)
        assert lab.controller.redeemed == []


@test
def the_api_is_passed_on_with_few_headers():
    with Lab() as lab:
        g = lab.gateway
        reply = get(g, "/api/v1/desktops/d-17?watch=1&a=%20b", method="PATCH", body=b'{"power":"on"}',
                    headers="Cookie: sid=1\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\nAccept: */*\r\n"
                            "Accept-Language: ko\r\nIdempotency-Key: k\r\nIf-Match: 3\r\nX-Sarang-CSRF: c\r\nLast-Event-ID: 9\r\n"
                            "traceparent: 00-1\r\nX-Sarang-Client: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n"
                            "X-HTTP-Method-Override: DELETE\r\nUpgrade: h2c\r\nTE: trailers\r\nOrigin: " + g.origin + "\r\n").json()
        assert reply["method"] == "PATCH" and reply["path"] == "/api/v1/desktops/d-17?watch=1&a=%20b"
        assert reply["body"] == '{"power":"on"}'
        assert reply["headers"] == {
            "Host": g.host, "Cookie": "sid=1", "Authorization": "Bearer t", "Content-Type": "application/json", "Accept": "*/*",
            "Accept-Language": "ko", "Idempotency-Key": "k", "If-Match": "3", "X-Sarang-CSRF": "c", "Last-Event-ID": "9",
            "traceparent": "00-1", "X-Sarang-Client": "127.0.0.1", "Content-Length": "14", "Connection": "close"}, reply["headers"]
        assert get(g, "/api/v1/x", headers="Origin: https://evil.example\r\n").status == 403
        assert get(g, "/api/v1/x", headers="Cookie: a\r\nCookie: b\r\n").status == 400
        assert get(g, "/api/v1/x", method="OPTIONS").status == 405
        assert get(g, "/api/v1/x", method="TRACE").status == 405
        none = get(g, "/api/v1/nothing", method="DELETE")
        assert none.status == 204 and "content-length" not in none.headers and "transfer-encoding" not in none.headers
        assert none.headers["x-content-type-options"] == "nosniff"
        with g.connect() as s:
            s.sendall(f"HEAD /api/v1/x HTTP/1.1\r\nHost: {g.host}\r\nConnection: close\r\n\r\n".encode())
            assert read_all(s).endswith(b"\r\n\r\n")


@test
def bodies_have_limits():
    with Lab("--set", "limits.bodies=2", "--set", "timeouts.body=1") as lab:
        g = lab.gateway
        whole = get(g, "/api/v1/x", method="POST", body=b"y" * (1 << 20))
        assert whole.status == 200 and len(whole.json()["body"]) == 1 << 20
        assert ask(g, f"POST /api/v1/x HTTP/1.1\r\nHost: {g.host}\r\nContent-Length: 1048577\r\n\r\n").status == 413
        assert get(g, "/api/v1/x", method="POST", headers="Expect: 100-continue\r\n", body=b"z").status == 100
        long = b"z" * 4097
        assert get(g, "/api/v1/login", method="POST", body=long[1:]).status == 200
        assert get(g, "/api/v1/login", method="POST", body=long).status == 413, "no login is so long"


def post_begun(g, source, body):
    """A request that says it has 1 MiB, and sends less."""
    s = g.connect(source=source)
    s.sendall(f"POST /api/v1/x HTTP/1.1\r\nHost: {g.host}\r\nContent-Length: 1048576\r\n\r\n".encode() + body)
    return s


@test
def what_is_announced_takes_no_room():
    with Lab("--set", "limits.bodies=2", "--set", "timeouts.body=2") as lab:
        g = lab.gateway
        held = [post_begun(g, "127.0.0.1", b"half") for _ in range(70)]
        time.sleep(0.1)
        assert get(g, "/api/v1/x", method="POST", body=b"w" * 1000).status == 200
        for s in held:
            assert Reply(s).status == 408, "a body that does not come is not waited for"


@test
def bodies_of_one_address_leave_room_for_others():
    with Lab("--set", "limits.bodies=4", "--set", "timeouts.body=4") as lab:
        g = lab.gateway
        held = [post_begun(g, "127.0.0.2", b"x" * 500_000) for _ in range(12)]
        refused = eventually(lambda: select.select(held, [], [], 0)[0], what="one address has had its share")
        reply = Reply(refused[0])
        assert reply.status == 503 and reply.json()["code"] == "gateway-full"
        assert reply.headers["connection"] == "close", "the rest of the body is no request"
        whole = get(g, "/api/v1/x", method="POST", body=b"y" * (1 << 20))
        assert whole.status == 200, "another address has room"
        for s in held:
            s.close()
        with g.connect(source="127.0.0.2") as s:
            s.sendall(f"POST /api/v1/x HTTP/1.1\r\nHost: {g.host}\r\nContent-Length: 1\r\n\r\nw".encode())
            assert Reply(s).status == 200, "and so has this one again"


@test
def behind_a_proxy_all_share():
    with Lab("--set", "limits.bodies=4", "--set", "timeouts.body=4", "--set", "limits.connections-per-address=0") as lab:
        held = [post_begun(lab.gateway, "127.0.0.2", b"x" * 500_000) for _ in range(6)]
        time.sleep(0.3)
        assert not select.select(held, [], [], 0)[0]
        for s in held:
            s.close()


@test
def event_streams_stream():
    with Lab() as lab:
        g = lab.gateway
        with g.connect() as s:
            s.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: {g.host}\r\n\r\n".encode())
            got = b""
            while b"event 5" not in got:
                got += s.recv(4096)
            assert b"Transfer-Encoding: chunked\r\n" in got and b"text/event-stream" in got
            assert b"event 900" not in got, "as it comes, not when it ends"
        eventually(lambda: getattr(lab.controller, "stream_left", False), what="the controller noticed that nobody listens")


@test
def requests_follow_each_other():
    with Lab() as lab:
        g = lab.gateway
        with g.connect() as s:
            for _ in range(3):
                s.sendall(f"GET / HTTP/1.1\r\nHost: {g.host}\r\n\r\n".encode())
                assert Reply(s).status == 200
            s.sendall((f"POST /api/v1/one HTTP/1.1\r\nHost: {g.host}\r\nContent-Length: 3\r\n\r\nabc"
                       f"GET /api/v1/two HTTP/1.1\r\nHost: {g.host}\r\n\r\n"
                       f"GET /a.js HTTP/1.1\r\nHost: {g.host}\r\n\r\nGET /nothing HTTP/1.1\r\nHost: {g.host}\r\n\r\n"
                       f"GET / HTTP/1.1\r\nHost: {g.host}\r\nConnection: close\r\n\r\nGET /never").encode())
            assert Reply(s).json()["body"] == "abc"
            assert Reply(s).json()["path"] == "/api/v1/two"
            assert len(Reply(s).body) == 200000
            assert Reply(s).status == 404
            last = Reply(s)
            assert last.status == 200 and last.headers["connection"] == "close"
            assert s.recv(1) == b""


@test
def what_two_programs_could_read_in_two_ways_is_refused():
    with Lab() as lab:
        g = lab.gateway
        h = f"Host: {g.host}\r\n"
        rows = [(f"POST /api/v1/x HTTP/1.1\r\n{h}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400),
                (f"POST /api/v1/x HTTP/1.1\r\n{h}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
                (f"POST /api/v1/x HTTP/1.1\r\n{h}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
                (f"POST /api/v1/x HTTP/1.1\r\n{h}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
                (f"GET / HTTP/1.1\n{h}\r\n", 400), (f"GET / HTTP/1.1\r\n{h}X: a\x00b\r\n\r\n", 400),
                (f"GET / HTTP/1.1\r\n{h}X: a\r\n folded\r\n\r\n", 400), (f"GET / HTTP/1.1\r\n{h}{h}\r\n", 400),
                ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
                (f"GET http://evil.example/ HTTP/1.1\r\n{h}\r\n", 400), (f"GET http://{g.host}/ HTTP/1.1\r\n{h}\r\n", 200),
                (f"GET / HTTP/1.0\r\n{h}\r\n", 505), ("PRI * HTTP/2.0\r\n\r\n", 505), ("\x16\x03\x01\x02\x00\x01\x00", None),
                (f"GET / HTTP/1.1\r\n{h}" + "X: y\r\n" * 100 + "\r\n", 431),
                (f"OPTIONS * HTTP/1.1\r\n{h}\r\n", 400), (f"GET /%zz HTTP/1.1\r\n{h}\r\n", 400)]
        for raw, status in rows:
            with g.connect() as s:
                s.sendall(raw.encode("latin1"))
                if status is None:
                    s.shutdown(socket.SHUT_WR)
                    read_all(s)
                    continue
                reply = Reply(s)
                assert reply.status == status, (raw[:60], reply.status)
                if status in (400, 431, 505):
                    assert reply.headers["connection"] == "close" and s.recv(1) == b"", "nothing behind it is read as a request"
                assert status == 200 or reply.json()["code"]
        assert [r for r in lab.controller.requests if r[1] != "/gateway/v1/sync"] == [], "nothing reached the controller"


@test
def a_header_of_8_mib_is_not_taken_in():
    with Lab() as lab:
        before = lab.gateway.resident_kib()
        with lab.gateway.connect() as s:
            try:
                s.sendall(f"GET / HTTP/1.1\r\nHost: {lab.gateway.host}\r\nX: ".encode())
                for _ in range(128):
                    s.sendall(b"x" * 65536)
            except OSError:
                pass
            assert read_all(s).startswith(b"HTTP/1.1 431 "), "and its sender can read why"
        assert lab.gateway.resident_kib() - before < 1024 * SLOW


def half_open(plain, bytes_first):
    """200 clients that never finish: all must be gone within 10 s, and an honest one be served meanwhile."""
    with Lab("--set", "limits.connections-per-address=1000", plain=plain) as lab:
        g = lab.gateway
        clients = []
        for i in range(200):
            s = socket.create_connection(("127.0.0.1", g.port))
            s.sendall(bytes_first)
            clients.append(s)
        began = time.monotonic()
        assert get(g, "/").status == 200
        assert g.descriptors() > 200
        for i, s in enumerate(clients):
            s.setblocking(False)
        open_ones = clients
        while open_ones:
            assert time.monotonic() - began < 10 * SLOW, f"{len(open_ones)} of 200 are still there"
            still = []
            for s in open_ones:
                try:
                    s.send(b"x")
                    ended = s.recv(65536) == b""
                except BlockingIOError:
                    ended = False
                except OSError:
                    ended = True
                if not ended:
                    still.append(s)
            open_ones = still
            time.sleep(0.5)
        eventually(lambda: g.descriptors() < 60, what="descriptors were given back")
        print(f"      200 half-open clients were gone after {time.monotonic() - began:.1f} s")


@test
def half_open_requests_are_not_waited_for():
    half_open(True, b"GET / HTTP/1.1\r\nX-Slow: ")


@test
def half_open_handshakes_are_not_waited_for():
    half_open(False, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")


@test
def readers_that_stop_are_cut():
    with Lab("--set", "timeouts.progress=1") as lab:
        g = lab.gateway
        with g.connect(receive_bytes=4096) as s:
            s.sendall(f"GET /api/v1/big?n=50000000 HTTP/1.1\r\nHost: {g.host}\r\n\r\n".encode())
            eventually(lambda: "/api/v1/big" in g.log(), 5, "it was cut")
            got = read_all(s)
            assert 0 < len(got) < 50000000
            assert g.resident_kib() < 30000 * SLOW
        with g.connect() as s:
            s.sendall(f"GET /api/v1/big?n=50000000 HTTP/1.1\r\nHost: {g.host}\r\nConnection: close\r\n\r\n".encode())
            assert len(read_all(s)) > 50000000, "one that reads gets all"


@test
def the_controllers_troubles_are_told():
    with Lab("--set", "timeouts.answer=1") as lab:
        g = lab.gateway
        mute = get(g, "/api/v1/mute")
        assert mute.status == 504 and mute.json()["code"] == "timeout"
        with g.connect() as s:
            s.sendall(f"GET /api/v1/broken HTTP/1.1\r\nHost: {g.host}\r\n\r\n".encode())
            got = read_all(s)
            assert b"Content-Length: 100\r\n" in got and got.endswith(b"half"), "breaks off as it did"
        lab.controller.stop()
        away = get(g, "/api/v1/x")
        assert away.status == 503 and away.json()["code"] == "controller-away" and away.headers["retry-after"]
        ko = get(g, "/api/v1/x", headers="Accept-Language: ko-KR\r\n").json()
        assert "컨트롤러" in ko["detail"] and ko["fix"]
        assert get(g, "/").status == 200, "the page is still there"
        lab.controller.start()
        assert get(g, "/api/v1/x").status == 200


@test
def connections_have_limits():
    with Lab("--set", "limits.connections-per-address=5") as lab:
        g = lab.gateway
        held = [g.connect() for _ in range(5)]
        for s in held:
            s.sendall(f"GET / HTTP/1.1\r\nHost: {g.host}\r\n\r\n".encode())
            assert Reply(s).status == 200
        with g.connect() as s:
            assert read_all(s) == b"", "the sixth is closed"
        held[0].close()
        eventually(lambda: serves(g))
    with Lab("--set", "limits.connections=3") as lab:
        held = [lab.gateway.connect() for _ in range(3)]
        with lab.gateway.connect() as s:
            assert read_all(s) == b""
        held[0].close()
        eventually(lambda: serves(lab.gateway))


def serves(gateway):
    try:
        return get(gateway, "/").status == 200
    except (EOFError, OSError):
        return False


@test
def descriptors_running_out_stop_nobody():
    with Lab("--set", "limits.connections-per-address=0", wrap=("prlimit", "--nofile=60:60")) as lab:
        g = lab.gateway
        clients = [g.connect() for _ in range(80)]
        eventually(lambda: "no file descriptor is left" in g.log())
        for s in clients:
            s.close()
        eventually(lambda: serves(g))


@test
def tls_is_modern_and_its_certificate_can_change():
    with Lab(plain=False) as lab:
        g = lab.gateway
        s = g.connect()
        assert s.version() == "TLSv1.3" and s.cipher()[0] == "TLS_AES_128_GCM_SHA256", s.cipher()
        first = s.getpeercert(binary_form=True)
        s.sendall(f"GET / HTTP/1.1\r\nHost: {g.host}\r\n\r\n".encode())
        reply = Reply(s)
        assert reply.status == 200 and "strict-transport-security" not in reply.headers, "not with a self-signed certificate"
        for version, good in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                context.minimum_version = context.maximum_version = version
            context.set_ciphers("ALL:@SECLEVEL=0")
            try:
                context.wrap_socket(socket.create_connection(("127.0.0.1", g.port))).close()
                spoke = True
            except (ssl.SSLError, OSError):
                spoke = False
            assert spoke == good, version
        state = os.path.join(lab.folder, "state")
        assert oct(os.stat(os.path.join(state, "gateway-key.pem")).st_mode & 0o777) == "0o600"
        trusting = ssl.create_default_context(cafile=os.path.join(state, "gateway-certificate.pem"))
        with trusting.wrap_socket(socket.create_connection(("127.0.0.1", g.port)), server_hostname="localhost") as t:
            assert t.getpeercert()["subject"]
        with open(os.path.join(state, "gateway-certificate.pem"), "a") as f:
            f.write("broken")
        os.rename(os.path.join(state, "gateway-key.pem"), os.path.join(state, "aside"))
        g.process.send_signal(signal.SIGHUP)
        eventually(lambda: all(g.connect().getpeercert(binary_form=True) != first for _ in range(16)), what="a new certificate, by every thread")
        s.sendall(f"GET / HTTP/1.1\r\nHost: {g.host}\r\n\r\n".encode())
        assert Reply(s).status == 200, "the old session goes on"
        second = g.connect().getpeercert(binary_form=True)
        os.rename(os.path.join(lab.folder, "page"), os.path.join(lab.folder, "moved"))
        g.process.send_signal(signal.SIGHUP)
        eventually(lambda: "stay as they were" in g.log())
        assert g.connect().getpeercert(binary_form=True) == second and get(g, "/").status == 200


def exits(*arguments):
    """Exit status and words of a gateway that does not come up."""
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=10 * SLOW)
    return done.returncode, done.stderr


@test
def what_is_wrong_at_start_is_said():
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "gateway.conf")
        with open(config, "w") as f:
            f.write("[limits]\nrelay=5\n")
        rows = [(("--plain", "--listen", "0.0.0.0:0"), 2, "plain HTTP is for those alone"),
                (("--plain", "--listen", "[::]:0"), 2, "plain HTTP is for those alone"),
                (("--plain", "--listen", "localhost:80"), 2, "ADDRESS:PORT"),
                (("--plain", "--listen", "127.0.0.1"), 2, "ADDRESS:PORT"),
                (("--listen", "127.0.0.1:0"), 2, "tls.certificate is missing"),
                (("--listen", "127.0.0.1:0", "--certificate", "/none", "--key", "/none"), 1, "/none"),
                (("--listen", "127.0.0.1:0", "--certificate", config, "--key", config), 2, "not usable"),
                (("--plain", "--listen", "127.0.0.1:0", "--origins", "desk.example"), 2, "https://HOST"),
                (("--plain", "--listen", "127.0.0.1:0", "--origins", "https://"), 2, "https://HOST"),
                (("--plain", "--listen", "127.0.0.1:0", "--static", "/none"), 1, "/none"),
                (("--config", config), 2, '"limits.relay" is not known here'),
                (("--set", "limits.relays=0"), 2, "limits.relays"), (("stray",), 2, "stray"), (("--nothing",), 2, "--nothing")]
        for arguments, status, words in rows:
            got = exits(*arguments)
            assert got[0] == status and words in got[1], (arguments, got)
        dumped = subprocess.run([BINARY, "--dump-config", "--set", "limits.relays=7"], capture_output=True, text=True, check=True).stdout
        assert "relays=7\n" in dumped
        with open(config, "w") as f:
            f.write(dumped)
        again = subprocess.run([BINARY, "--dump-config", "--config", config], capture_output=True, text=True, check=True).stdout
        assert again == dumped, "what is dumped reads back to itself"
        os.mkdir(os.path.join(folder, "page"))
        os.symlink("/etc/hostname", os.path.join(folder, "page", "link"))
        got = exits("--plain", "--listen", "127.0.0.1:0", "--static", os.path.join(folder, "page"))
        assert got[0] == 2 and "leads out of" in got[1], got


@test
def a_lost_secret_in_a_path_does_not_reach_the_log():
    with Lab() as lab:
        secret = "s" * 43
        assert get(lab.gateway, f"/console/{secret}").status == 404
        assert get(lab.gateway, f"/api/v1/x?ticket={secret}", headers=f"Cookie: {secret}\r\n").status == 200
        eventually(lambda: lab.gateway.log().count("access:") == 2)
        assert secret not in lab.gateway.log() and "GET /console/..." in lab.gateway.log()


if __name__ == "__main__":
    main()
