#!/usr/bin/env python3
"""Numbers for who draws curves and raises alarms: read by the Prometheus project's own parser, and true to what the lists say. Staff alone may read them."""
from clilab import Place
from gatewaylab import main, test
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
def staff_alone_may_read_it():
    with Place() as sarang:
        sarang.enrol()
        sarang.ok("user add jihye")
        token = sarang.ok("token create --user jihye --title x -o json").json()["token"]
        assert asked(sarang)[0].status == 401
        assert asked(sarang, token)[0].status == 403


if __name__ == "__main__":
    main()
