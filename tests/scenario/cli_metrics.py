#!/usr/bin/env python3
"""Numbers for who draws curves and raises alarms: read by the Prometheus project's own parser, and true to what the lists say. Staff alone may read them."""
import re

from clilab import PROJECT, Place
from gatewaylab import eventually, main, test
from gpulab import CARD, cards, claims, furnish
from metricslab import asked, read, value


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
def what_differs_and_what_is_unseen_is_1_and_every_number_of_the_manual_is_there():
    with Place() as sarang:
        furnish(sarang)
        sarang.ok("user add mina --role viewer")
        token = sarang.ok("token create --user mina --title prometheus -o json").json()["token"]
        samples = read(sarang, token)
        named = set(re.findall(r"\bsarang_[a-z_]+", (PROJECT / "docs/gpu.md").read_text(encoding="utf-8")))
        assert len(named) > 8 and named <= {name for name, _, _ in samples}, named - {name for name, _, _ in samples}
        card = cards(sarang)[0]["name"]
        assert value(samples, "sarang_gpu_state", gpu=card, state="ready") == 1
        taken = claims(sarang)[0]
        assert value(samples, "sarang_vgpu_differs", vgpu=taken["name"]) == 0
        # more cards than any host has are not believed: none of them is looked at
        for number in range(65):
            sarang.command_host(f"card 0001:{number:02x}:00.0 mdpy")
        eventually(lambda: value(read(sarang, token), "sarang_host_cards_unseen", host="h1") == 1, 40, "its cards are unseen")
        assert sarang.ok("host show h1 -o json").json()["cards_error"]["code"] == "gpu-facts"
        for number in range(65):
            sarang.command_host(f"nocard 0001:{number:02x}:00.0")
        eventually(lambda: value(read(sarang, token), "sarang_host_cards_unseen", host="h1") == 0, 40, "they are seen again")
        sarang.command_host(f"nocard {CARD}")
        eventually(lambda: cards(sarang)[0]["state"] == "gone", 40, "the card is missed")
        assert value(read(sarang, token), "sarang_gpu_state", gpu=card, state="gone") == 1
        assert value(read(sarang, token), "sarang_gpu_differs", gpu=card) == 1


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
