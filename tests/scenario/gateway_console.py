#!/usr/bin/env python3
"""Consoles through the gateway: tickets, the guest's password, policy, back-pressure, ends."""
import hashlib
import os
import signal
import socket
import struct
import threading
import time

from gatewaylab import Console, Controller, Gateway, Lab, Reply, SLOW, eventually, frame, main, read_all, test
from vncserver import CHALLENGE, RESPONSE, Guest

KEY = bytes.fromhex("0401000000000061")
POINTER = bytes.fromhex("050100100020")
UPDATE = bytes.fromhex("03010000000004000300")
FORMAT = bytes.fromhex("0000000020180001 00ff00ff00ff 100800000000".replace(" ", ""))
CUT = bytes.fromhex("0600000000000003616263")
QEMU_KEY = bytes.fromhex("ff000001000000610000001e")
FENCE = bytes.fromhex("f80000008000000103616263")
ENCODINGS = bytes.fromhex("0200000200000007ffffff21")
STREAM = FORMAT + ENCODINGS + UPDATE + KEY + POINTER + CUT + QEMU_KEY + FENCE


@test
def a_ticket_opens_a_console_and_the_password_stays_inside():
    with Lab() as lab:
        console = lab.console()
        assert console.reply.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert console.reply.headers["sec-websocket-protocol"] == "binary"
        assert lab.guest.auth == RESPONSE and lab.guest.init == b"\x01"
        assert lab.controller.redeemed == [{"ticket": console.ticket, "origin": lab.gateway.origin, "protocol": "vnc",
                                            "client": "127.0.0.1"}]
        console.send(KEY)
        eventually(lambda: lab.guest.heard == KEY)
        lab.guest.connection.sendall(b"picture")
        assert console.read(7) == b"picture"
        eventually(lambda: lab.controller.opened == ["r-1"] and lab.controller.used == ["r-1"], what="opened and used were told")
        console.send(b"\x03\xe8", opcode=8)
        assert console.next_frame()[0] == 8
        end = eventually(lambda: lab.controller.end_of("r-1"))
        assert end == {"relay": "r-1", "reason": "client-left", "bytes_in": 1 + len(KEY), "bytes_out": 29 + 7}, end
        eventually(lambda: lab.guest.ended)
        assert console.ticket not in lab.gateway.log() and "password" not in lab.gateway.log()


@test
def the_controller_learns_whose_page_knocks():
    with Lab() as lab:
        lab.console(headers="Cookie: a=b; __Host-sarang=k-1.secret\r\n")
        assert lab.controller.redeemed[-1]["cookie"] == "a=b; __Host-sarang=k-1.secret", lab.controller.redeemed
        assert "authorization" not in lab.controller.redeemed[-1] and "secret" not in lab.gateway.log()


@test
def a_ticket_is_good_once_and_the_controllers_no_comes_through():
    with Lab() as lab:
        console = lab.console()
        again = Console(lab.gateway, console.ticket)
        assert again.reply.status == 401 and again.reply.json()["code"] == "ticket-unknown"
        assert again.reply.headers["content-type"] == "application/problem+json"
        for status in (401, 403, 409, 503):
            refused = lab.console(target={"status": status, "code": "some-code"})
            assert refused.reply.status == status and refused.reply.json()["code"] == "some-code"
        console.send(KEY)
        eventually(lambda: lab.guest.heard == KEY, what="the first console lives")


@test
def foreign_pages_get_no_console():
    with Lab("--origins", "https://desk.example;https://desk.example:8443") as lab:
        host = lab.gateway.host
        lab.gateway.host = "desk.example"
        assert lab.console(origin="https://desk.example").reply.status == 101
        lab.gateway.host = "DESK.example:443"
        assert lab.console(origin="https://desk.example").reply.status == 101
        before = len(lab.controller.redeemed)
        for origin in ("http://desk.example", "https://desk.example.evil.example", "https://evil.example", "null", "",
                       "https://desk.example:444", "https://DESK.example", "https://desk.example/", "https://desk.example, x"):
            refused = lab.console(origin=origin)
            assert refused.reply.status == 403, (origin, refused.reply.status)
            assert refused.reply.json()["code"] == "foreign-origin"
        for foreign in (host, "evil.example", "desk.example:444"):
            lab.gateway.host = foreign
            assert lab.console(origin="https://desk.example").reply.status == 421, foreign
        assert len(lab.controller.redeemed) == before, "no ticket was spent"


@test
def what_is_no_websocket_is_refused():
    with Lab() as lab:
        g = lab.gateway
        base = {"Host": g.host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": g.origin, "Sec-WebSocket-Protocol": "binary, ticket." + "a" * 43}
        rows = [({"Upgrade": "h2c"}, 426), ({"Connection": "close"}, 426), ({"Sec-WebSocket-Version": "8"}, 426),
                ({"Sec-WebSocket-Key": "short"}, 400), ({"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZ!=="}, 400),
                ({"Sec-WebSocket-Protocol": "binary"}, 401), ({"Sec-WebSocket-Protocol": "ticket." + "a" * 43}, 400),
                ({"Sec-WebSocket-Protocol": "binary, ticket.a b"}, 401), ({"Sec-WebSocket-Protocol": "binary, ticket.short"}, 401),
                ({"Sec-WebSocket-Protocol": "binary, ticket." + "a" * 43 + ", ticket." + "b" * 43}, 400),
                ({"Sec-WebSocket-Protocol": "binary, ticket." + "a" * 129}, 401), ({}, 401)]
        for change, status in rows:
            headers = {**base, **change}
            with g.connect() as s:
                s.sendall(("GET /console HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items()) + "\r\n").encode())
                reply = Reply(s)
                assert reply.status == status, (change, reply.status, reply.body)
                assert status != 426 or reply.headers["sec-websocket-version"] == "13"
        with g.connect() as s:
            s.sendall(f"GET /console/{'a' * 43}?ticket={'a' * 43} HTTP/1.1\r\nHost: {g.host}\r\n\r\n".encode())
            assert Reply(s).status == 404
        assert "a" * 43 not in g.log()


@test
def frames_against_the_rules_close_with_their_code():
    rows = [(frame(KEY, mask=None), 1002), (frame(b"text", opcode=1), 1003), (frame(KEY, rsv=0x40), 1002), (frame(KEY, rsv=0x10), 1002),
            (frame(b"", opcode=9, fin=False), 1002), (frame(b"", opcode=8, fin=False), 1002), (frame(b"x" * 126, opcode=9), 1002),
            (frame(b"", opcode=3), 1002), (frame(b"", opcode=11), 1002), (frame(b"x", opcode=0), 1002),
            (b"\x82\xff" + struct.pack(">Q", 1 << 62) + b"\0\0\0\0", 1009), (b"\x82\xff" + struct.pack(">Q", (1 << 20) + 1) + b"\0\0\0\0", 1009),
            (b"\x82\xff" + struct.pack(">Q", 1 << 63) + b"\0\0\0\0", 1002), (frame(KEY[:3], fin=False) + frame(KEY), 1002),
            (frame(b"\x03", opcode=8), 1002), (frame(b"\x03\xe8\xff\xfe", opcode=8), 1007)]
    with Lab() as lab:
        for raw, code in rows:
            console = lab.console()
            console.s.sendall(raw)
            end = console.end()
            assert end[0] == code, (raw[:16], end)
            assert eventually(lambda: lab.controller.end_of(console.relay))["reason"] in ("client-protocol", "client-left")
        console = lab.console()
        console.send(b"hi", opcode=9)
        assert console.next_frame() == (10, b"hi")
        console.send(b"", opcode=10)
        console.send(KEY[:3], fin=False)
        console.send(b"", opcode=9)
        console.send(KEY[3:], opcode=0)
        assert console.next_frame() == (10, b"")
        eventually(lambda: lab.guest.heard == KEY, what="a fragmented message arrived")


@test
def messages_split_at_every_byte_arrive_whole():
    with Lab() as lab:
        console = lab.console()
        for byte in STREAM:
            console.send(bytes([byte]))
        eventually(lambda: lab.guest.heard == STREAM, what="by frames of one byte")
        for cut in range(1, len(STREAM)):
            console.s.sendall(frame(STREAM[:cut]) + frame(STREAM[cut:]))
        eventually(lambda: lab.guest.heard == STREAM * len(STREAM), what="cut at every byte")
        whole = frame(STREAM)
        for i in range(len(whole)):
            console.s.sendall(whole[i:i + 1])
            if i % 7 == 0:
                time.sleep(0.001)
        eventually(lambda: lab.guest.heard == STREAM * (len(STREAM) + 1), what="by TCP segments of one byte")


@test
def view_only_and_clipboard_rules_hold():
    with Lab() as lab:
        console = lab.console(target={"view_only": True})
        for byte in STREAM + POINTER + UPDATE:
            console.send(bytes([byte]))
        eventually(lambda: lab.guest.heard == FORMAT + ENCODINGS + UPDATE + FENCE + UPDATE)
        eventually(lambda: "r-1" in lab.controller.opened)
        console.send(b"\x03\xe8", opcode=8)
        eventually(lambda: lab.controller.end_of("r-1"))
        assert "r-1" not in lab.controller.used + lab.controller.active, "looking is not input"
        console = lab.console(target={"clipboard": "from-guest"})
        console.send(CUT + UPDATE)
        eventually(lambda: lab.guest.heard == UPDATE)
        refused = lab.console(target={"protocol": "spice", "view_only": True})
        assert refused.reply.status == 501 and refused.reply.json()["code"] == "console-policy"


@test
def an_unknown_message_ends_the_console():
    with Lab() as lab:
        console = lab.console()
        console.send(KEY + b"\xfc\x00")
        assert console.end() == (4005, "rfb-refused")
        assert eventually(lambda: lab.controller.end_of("r-1"))["reason"] == "rfb-refused"
        console = lab.console(init=False, shake=False)
        console.send(b"RFB 003.003\n")
        assert console.end() == (4005, "rfb-refused")


@test
def hostile_guests_end_their_own_console_only():
    v = b"RFB 003.008\n"
    rows = [(b"HTTP/1.1 400 Bad Request\r\n\r\n", 4004), (b"RFB 003.003\n", 4004), (v + b"\x01\x01", 4004),
            (v + b"\x00\xff\xff\xff\xff" + b"x" * 10000, 4004), (v + b"\x01\x02" + CHALLENGE + b"\0\0\0\1\0\0\0\3bad", 4004),
            (v + b"\x01\x02" + CHALLENGE + b"\0\0\0\0early", 4004), (b"\x00" * 5000, 4004)]
    with Lab() as lab:
        good = lab.console()
        for says, code in rows:
            guest = Guest(says)
            console = lab.console(guest, init=False, shake=False)
            end = console.end()
            assert end == (code, "guest-refused"), (says[:20], end)
            guest.close()
        wrong = lab.console(target={"password": "other"}, init=False, shake=False)
        assert wrong.end() == (4004, "guest-refused")
        nobody = lab.console(target={"port": 1}, init=False, shake=False)
        assert nobody.end() == (4002, "guest-unreachable")
        good.send(KEY)
        good_guest = lab.guest
        eventually(lambda: good_guest.connections == 2)
        assert "bad" in lab.gateway.log()


@test
def a_guest_that_says_nothing_is_given_up():
    with Lab("--set", "timeouts.dial=1") as lab:
        silent = Guest(b"")
        console = lab.console(silent, init=False)
        began = time.monotonic()
        assert console.end() == (4004, "guest-refused")
        assert time.monotonic() - began < 3 * SLOW
        viewer = lab.console(init=False, shake=False)
        assert viewer.read(12)
        assert viewer.end() == (4005, "rfb-refused"), "a viewer that never shakes hands is given up too"
        silent.close()


@test
def the_guest_leaving_is_told_after_its_last_bytes():
    with Lab() as lab:
        console = lab.console()
        lab.guest.connection.sendall(b"x" * 300000)
        lab.guest.connection.shutdown(socket.SHUT_RDWR)
        assert console.read(300000) == b"x" * 300000
        assert console.end() == (4003, "guest-closed")


@test
def a_cut_closes_the_console_with_the_controllers_reason():
    with Lab() as lab:
        console, other = lab.console(), lab.console()
        guest_end = lab.guest
        lab.controller.cut = [{"relay": "r-1", "reason": "session-ended"}, {"relay": "r-99", "reason": "unknown"}]
        began = time.monotonic()
        assert console.end() == (4001, "session-ended")
        assert time.monotonic() - began < 2 * SLOW
        assert eventually(lambda: lab.controller.end_of("r-1"))["reason"] == "cut"
        other.send(KEY)
        eventually(lambda: guest_end.heard == KEY, what="the other console lives")


@test
def a_cut_does_not_wait_for_one_who_stopped_reading():
    with Lab() as lab:
        console = lab.console(receive_bytes=8192)
        threading.Thread(target=flood, args=(lab.guest.connection, 1 << 26, None), daemon=True).start()
        eventually(lambda: settled(lambda: lab.gateway.resident_kib()), 10)
        lab.controller.cut = [{"relay": console.relay, "reason": "session-ended"}]
        eventually(lambda: lab.controller.end_of(console.relay), 3)
        eventually(lambda: lab.guest.ended, 3, "the guest's stream ended")


def settled(value, seconds=0.4):
    first = value()
    time.sleep(seconds)
    return value() == first


def flood(connection, n, sent):
    """n bytes that tell where they stand."""
    block = b"".join(i.to_bytes(4, "big") for i in range(16384))
    at = 0
    try:
        while at < n:
            took = connection.send(block[at % len(block):][:n - at])
            at += took
            if sent is not None:
                sent[0] = at
    except OSError:
        pass


def paused_reader(**options):
    offered = 300 << 20
    with Lab(**options) as lab:
        idle = lab.console()
        console = lab.console(receive_bytes=65536)
        before_kib = lab.gateway.resident_kib()
        sent = [0]
        thread = threading.Thread(target=flood, args=(lab.guest.connection, offered, sent), daemon=True)
        thread.start()
        eventually(lambda: sent[0] and settled(lambda: sent[0], 0.5), 20, "the guest's stream stopped")
        grown_kib = lab.gateway.resident_kib() - before_kib
        assert sent[0] < 8 << 20, f"the guest could send {sent[0] / 2**20:.1f} MiB to a reader that stopped"
        assert grown_kib < 1024 * SLOW, f"{grown_kib} KiB for one that waits"
        print(f"      a paused reader: the guest stopped after {sent[0] / 2**20:.2f} MiB, the gateway grew by {grown_kib} KiB")
        idle.send(KEY)
        part = 64 << 20
        digest, want = hashlib.sha256(), hashlib.sha256()
        block = b"".join(i.to_bytes(4, "big") for i in range(16384))
        for _ in range(part // len(block)):
            want.update(block)
        for _ in range(part // len(block)):
            digest.update(console.read(len(block)))
        assert digest.digest() == want.digest(), "what came is what was sent"


@test
def a_reader_that_stops_stops_its_guest():
    paused_reader()


@test
def a_reader_that_stops_stops_its_guest_over_tls():
    paused_reader(plain=False)


@test
def a_guest_that_stops_reading_stops_its_person():
    with Lab() as lab:
        silent = Guest(b"RFB 003.008\n\x01\x01\0\0\0\0")
        silent.talk = lambda connection: (setattr(silent, "connection", connection), connection.sendall(silent.says))
        console = lab.console(silent, init=False, target={"password": ""})
        console.s.settimeout(0.5 * SLOW)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += console.s.send(frame(UPDATE * 6000))
        except TimeoutError:
            pass
        assert sent < 16 << 20, f"{sent >> 20} MiB went to a guest that does not read"
        assert lab.gateway.resident_kib() < 40000 * SLOW
        silent.close()


@test
def consoles_live_while_the_controller_is_away():
    with Lab() as lab:
        console, gone = lab.console(), lab.console()
        eventually(lambda: lab.controller.opened == ["r-1", "r-2"])
        lab.controller.stop()
        eventually(lambda: "the controller is away" in lab.gateway.log())
        lab.guest.connection.sendall(b"picture")
        assert gone.read(7) == b"picture"
        gone.send(KEY)
        eventually(lambda: lab.guest.heard == KEY)
        gone.s.close()
        no = Console(lab.gateway, "a" * 43)
        assert no.reply.status == 503 and no.reply.json()["code"] == "controller-away"
        assert lab.controller.used == [] and lab.controller.closed == []
        fresh = Controller(lab.folder)
        lab.controller = fresh
        end = eventually(lambda: fresh.end_of("r-2"), what="the end is told late")
        assert end["reason"] == "client-left" and fresh.used == ["r-2"], "and that it was used"
        assert fresh.fulls[0] == ["r-1"], fresh.fulls
        console.send(POINTER)
        eventually(lambda: fresh.used == ["r-2", "r-1"])
        fresh.want_full = True
        eventually(lambda: len(fresh.fulls) > 1, what="everything is told when asked")


@test
def input_is_told_as_activity():
    with Lab() as lab:
        console = lab.console()
        console.send(UPDATE)
        eventually(lambda: lab.controller.opened == ["r-1"])
        assert lab.controller.active == [] and lab.controller.used == []
        console.send(KEY)
        eventually(lambda: lab.controller.active == ["r-1"] and lab.controller.used == ["r-1"])
        console.send(KEY)
        eventually(lambda: lab.controller.active == ["r-1", "r-1"])
        assert lab.controller.used == ["r-1"]


@test
def consoles_have_limits():
    with Lab("--set", "limits.relays=3", "--set", "limits.relays-per-user=2") as lab:
        held = [lab.console(), lab.console()]
        third = lab.console()
        assert third.reply.status == 429 and third.reply.json()["code"] == "consoles-of-user"
        assert third.reply.json()["reasons"][0]["args"] == {"user": "jihye", "limit": "2"}
        assert eventually(lambda: lab.controller.end_of("r-3"))["reason"] == "not-opened"
        held.append(lab.console(target={"user": "minsu"}))
        assert held[-1].reply.status == 101
        spent = len(lab.controller.redeemed)
        full = lab.console(target={"user": "third"}, headers="Accept-Language: ko\r\n")
        assert full.reply.status == 503 and "한도" in full.reply.json()["detail"]
        assert len(lab.controller.redeemed) == spent, "no ticket was spent"
        held[0].s.close()
        eventually(lambda: lab.controller.end_of("r-1"))
        assert lab.console().reply.status == 101


def connect_request(ticket, protocol="vnc"):
    return (f"CONNECT console:0 HTTP/1.1\r\nHost: console:0\r\nAuthorization: Ticket {ticket}\r\n"
            f"X-Sarang-Protocol: {protocol}\r\n\r\n").encode()


@test
def native_viewers_come_by_connect():
    with Lab() as lab:
        ticket = lab.controller.ticket(lab.guest, "r-1")
        with lab.gateway.connect() as s:
            s.sendall(connect_request(ticket))
            assert Reply(s).status == 200
            lab_redeemed = lab.controller.redeemed[0]
            assert "origin" not in lab_redeemed and lab_redeemed["protocol"] == "vnc"
            assert s.recv(12) == b"RFB 003.008\n"
            s.sendall(b"RFB 003.008\n")
            assert s.recv(2) == b"\x01\x01"
            s.sendall(b"\x01")
            assert s.recv(4) == bytes(4)
            s.sendall(b"\x01")
            assert len(s.recv(29, socket.MSG_WAITALL)) == 29
            for byte in STREAM:
                s.sendall(bytes([byte]))
            eventually(lambda: lab.guest.heard == STREAM)
            lab.guest.connection.sendall(b"y" * 1000000)
            got = b""
            while len(got) < 1000000:
                got += s.recv(1 << 16)
            assert got == b"y" * 1000000
        assert eventually(lambda: lab.controller.end_of("r-1"))["reason"] == "client-left"
        for raw, status in ((connect_request("a" * 43), 401), (connect_request(""), 401),
                            (b"CONNECT evil.example:22 HTTP/1.1\r\nHost: evil.example:22\r\n\r\n", 400),
                            (b"CONNECT console:0 HTTP/1.1\r\nHost: console:0\r\n\r\n", 401),
                            (connect_request(lab.controller.ticket(lab.guest, "r-2", port=1)), 502),
                            (connect_request(lab.controller.ticket(lab.guest, "r-3", password="other")), 502),
                            (connect_request(lab.controller.ticket(lab.guest, "r-4")) + b"RFB 003.008\n", 400)):
            with lab.gateway.connect() as s:
                s.sendall(raw)
                reply = Reply(s)
                assert reply.status == status, (raw[:40], reply.status, reply.body)
        assert eventually(lambda: lab.controller.end_of("r-2"))["reason"] == "guest-unreachable"
        assert eventually(lambda: lab.controller.end_of("r-3"))["reason"] == "guest-refused"


@test
def other_protocols_go_through_unseen():
    with Lab() as lab:
        guest = Guest(b"REDQ")
        ticket = lab.controller.ticket(guest, "r-1", protocol="spice", password="")
        with lab.gateway.connect() as s:
            s.sendall(connect_request(ticket, "spice"))
            assert Reply(s).status == 200
            assert s.recv(4) == b"REDQ"
            s.sendall(b"anything at all")
            eventually(lambda: guest.heard == b"anything at all")
        eventually(lambda: lab.controller.used == ["r-1"])
        assert lab.controller.redeemed[0]["protocol"] == "spice"
        guest.close()


@test
def a_guest_on_a_unix_socket_is_reached():
    with Lab() as lab:
        guest = Guest()
        guest.listener.close()
        path = os.path.join(lab.folder, "guest.sock")
        guest.listener = socket.socket(socket.AF_UNIX)
        guest.listener.bind(path)
        guest.listener.listen()
        threading.Thread(target=guest.serve, daemon=True).start()
        console = lab.console(guest, target={"path": path})
        threading.Thread(target=flood, args=(guest.connection, 8 << 20, None), daemon=True).start()
        assert len(console.read(8 << 20)) == 8 << 20
        console.send(KEY)
        eventually(lambda: guest.heard == KEY)
        guest.close()


@test
def tls_carries_consoles_too():
    with Lab(plain=False) as lab:
        console = lab.console()
        block = b"".join(i.to_bytes(4, "big") for i in range(16384))
        threading.Thread(target=flood, args=(lab.guest.connection, 32 << 20, None), daemon=True).start()
        assert console.read(32 << 20) == block * 512
        for byte in STREAM:
            console.send(bytes([byte]))
        eventually(lambda: lab.guest.heard == STREAM)
        console.send(b"\x03\xe8", opcode=8)
        assert console.end() == (1000, "client-left")


@test
def many_consoles_share_the_loops():
    with Lab("--set", "limits.relays-per-user=100") as lab:
        guests = [Guest() for _ in range(40)]
        consoles = [lab.console(guest) for guest in guests]
        for round_number in range(20):
            for console in consoles:
                console.send(KEY)
            for i, guest in enumerate(guests):
                eventually(lambda g=guest: len(g.heard) == len(KEY) * (round_number + 1))
                guest.connection.sendall(bytes([i]) * 64)
            for i, console in enumerate(consoles):
                assert console.read(64) == bytes([i]) * 64
        open_descriptors = lab.gateway.descriptors()
        for console in consoles:
            console.s.close()
        eventually(lambda: len(lab.controller.closed) == 40)
        eventually(lambda: lab.gateway.descriptors() <= open_descriptors - 80, what="descriptors were given back")
        for guest in guests:
            guest.close()


@test
def sigterm_lets_consoles_finish_then_ends_them():
    with Lab("--set", "timeouts.stop=1") as lab:
        console = lab.console()
        lab.gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping" in lab.gateway.log())
        console.send(KEY)
        eventually(lambda: lab.guest.heard == KEY, what="the console goes on")
        try:
            lab.gateway.connect().close()
            refused = False
        except ConnectionRefusedError:
            refused = True
        assert refused, "no new connections"
        assert console.end() == (1001, "gateway-stopping")
        assert lab.gateway.process.wait(5 * SLOW) == 0
        assert lab.controller.end_of("r-1")["reason"] == "gateway-stopping", "its end was told before it went"


@test
def a_second_sigterm_ends_at_once():
    with Lab("--set", "timeouts.stop=60") as lab:
        lab.console()
        lab.gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping" in lab.gateway.log())
        lab.gateway.process.send_signal(signal.SIGTERM)
        assert lab.gateway.process.wait(5 * SLOW) == 0


if __name__ == "__main__":
    main()
