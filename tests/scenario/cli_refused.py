#!/usr/bin/env python3
"""What a refusal says to whom: hosts are named to those who may list them; a person learns how many there are, and whom to ask."""
import json

from clilab import Place
from gatewaylab import main, test
from sarangdlab import Connection


def asked(sarang, token, method, path, body=None):
    """As a person's browser asks, through the gateway's door."""
    connection = Connection(str(sarang.folder / "gateway.sock"))
    connection.request(method, "/api/v1" + path, json.dumps(body) if body else None,
                       {"Content-Type": "application/json", "Authorization": "Bearer " + token})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


@test
def a_person_s_refusal_names_no_host():
    with Place() as sarang:
        sarang.furnish(spare=0)
        sarang.enrol(name="cellar-7")
        sarang.ok("pool create big --template linux-cli --image linux --vcpus 200 --max 2")
        token = sarang.ok("token create --user jihye --title web -o json").json()["token"]
        assert asked(sarang, token, "GET", "/hosts")[0] == 403
        status, text = asked(sarang, token, "POST", "/sessions", {"pool": "big"})
        told = json.loads(text)
        assert (status, told["code"]) == (503, "no-room"), text
        assert "operator" in told["fix"], text
        assert "cellar" not in text and "h1" not in text and "vCPU" not in text and len(text) < 1024, text
        staff = sarang.type("session request big --user jihye")
        assert staff.status == 8 and "no host takes one more desktop" in staff.err, staff
        assert "cellar-7" in staff.err or "h1" in staff.err, staff


main()
