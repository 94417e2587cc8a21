"""What is counted, as the Prometheus project's own parser reads it through the gateway's door."""
import http.client
import json
import socket
import subprocess

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
