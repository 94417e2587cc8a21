#!/usr/bin/env python3
"""Numbers for who draws curves and raises alarms: read by the Prometheus project's own parser, and true to what the lists say. Staff alone may read them."""
import http.client
import json
import socket
import subprocess

from clilab import Place
from gatewaylab import main, test
from gpulab import CARD, cards, claims, furnish

# Debian's package belongs to Debian's Python, whichever comes first on the path
READER = """
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print(json.dumps([[s.name, s.labels, s.value] for f in text_string_to_metric_families(sys.stdin.read()) for s in f.samples]))
"""


def asked(sarang, token=None, door="gateway.sock"):
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(sarang.folder / door))
    connection.request("GET", "/api/v1/metrics", headers={"Authorization": "Bearer " + token} if token else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def read(sarang, token):
    answer, text = asked(sarang, token)
    assert answer.status == 200 and answer.getheader("Content-Type") == "application/openmetrics-text; version=1.0.0; charset=utf-8", text
    return json.loads(subprocess.run(["/usr/bin/python3", "-c", READER], input=text, text=True, check=True, capture_output=True).stdout)


def value(samples, wanted, **labels):
    found = [number for name, has, number in samples if name == wanted and labels.items() <= has.items()]
    assert len(found) == 1, (wanted, labels, found)
    return found[0]


@test
def what_is_counted_is_what_the_lists_say():
    with Place() as sarang:
        furnish(sarang)
        sarang.ok("user add mina --role viewer")
        samples = read(sarang, sarang.ok("token create --user mina --title prometheus -o json").json()["token"])
        card, host = cards(sarang)[0], sarang.ok("host list -o json").json()[0]
        assert value(samples, "sarang_store_ok") == 1
        assert value(samples, "sarang_host_state", host="h1", state="up") == 1
        assert value(samples, "sarang_host_vcpus", host="h1") == host["vcpus_total"]
        assert value(samples, "sarang_host_used_memory_bytes", host="h1") == host["memory_used_mib"] << 20
        assert value(samples, "sarang_desktops", pool="gpu", state="available") == 2
        assert value(samples, "sarang_pool_max_desktops", pool="gpu") == 4
        assert value(samples, "sarang_gpu_info", gpu=card["name"], host="h1", address=CARD) == 1
        assert value(samples, "sarang_gpu_parts", gpu=card["name"]) == 3
        assert value(samples, "sarang_gpu_foreign_parts", gpu=card["name"]) == 1
        assert value(samples, "sarang_gpu_differs", gpu=card["name"]) == 0
        assert value(samples, "sarang_host_cards_unseen", host="h1") == 0
        for kind in card["types"]:
            assert value(samples, "sarang_gpu_type_free", gpu=card["name"], type=kind["id"]) == kind["free"]
        for v in claims(sarang):
            assert value(samples, "sarang_vgpu_info", vgpu=v["name"], desktop=v["desktop"], uuid=v["uuid"]) == 1
            assert value(samples, "sarang_vgpu_state", vgpu=v["name"], state="attached") == 1


@test
def staff_alone_may_read_it():
    with Place() as sarang:
        sarang.enrol()
        sarang.ok("user add jihye")
        token = sarang.ok("token create --user jihye --title x -o json").json()["token"]
        assert asked(sarang)[0].status == 401
        assert asked(sarang, token)[0].status == 403


if __name__ == "__main__":
    main()
