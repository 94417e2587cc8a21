#!/usr/bin/env python3
"""NUMA cells, huge pages and CPU features from end to end: what hosts tell, what templates ask, who is refused and why, and what helps."""
from clilab import PROJECT, Place, eventually
from gatewaylab import main, test

import subprocess

MACHINE = "cpus=8&memory_mib=32768&cells=2&huge_mib=16384&cpu=EPYC&features=aes,avx2"
TEMPLATE = (PROJECT / "templates" / "linux-cli.xml").read_text()
HOST_MODEL = '<cpu mode="host-model"/>'


def fleet(sarang):
    """A machine that tells all of itself, and a smaller one without huge pages or AVX2."""
    sarang.ok(f"host add h1 --uri fake:h1?{MACHINE} --cpu-overcommit-pct 100 --wait=20")
    sarang.ok("host add h2 --uri fake:h2?cpus=8&memory_mib=32768&cells=1&cpu=EPYC&features=aes --cpu-overcommit-pct 100 --wait=20")
    (sarang.folder / "disk").mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", sarang.folder / "linux.qcow2", "16M"], check=True)
    sarang.ok(f"storage add disk --path {sarang.folder}/disk --controller-path {sarang.folder}/disk --hosts h1,h2")
    sarang.ok("image import linux ./linux.qcow2 --format qcow2 --storages disk --wait=30")


def template(sarang, name, asks):
    assert HOST_MODEL in TEMPLATE
    (sarang.folder / f"{name}.xml").write_text(TEMPLATE.replace(HOST_MODEL, asks))
    sarang.ok(f"template add {name} ./{name}.xml")


def desktops(sarang, n):
    eventually(lambda: len(sarang.ok("desktop list --state available -o json").json()) == n, 30, f"{n} desktops are there")
    return sarang.ok("desktop list -o json").json()


@test
def a_host_shows_its_cells_its_pages_and_its_cpu():
    with Place() as sarang:
        fleet(sarang)
        template(sarang, "huge", f"<memoryBacking><hugepages/></memoryBacking>{HOST_MODEL}")
        sarang.ok("pool create cad --template huge --image linux --vcpus 2 --memory-mib 5000 --numa one-cell --spare 2 --max 4")
        assert {d["cell"] for d in desktops(sarang, 2)} == {"0", "1"}
        host = sarang.ok("host show h1 -o json").json()
        assert host["cells"] == [{"id": 0, "cpus": "0-3", "memory_mib": 16384, "huge_mib": 8192},
                                 {"id": 1, "cpus": "4-7", "memory_mib": 16384, "huge_mib": 8192}], host
        assert (host["cpu_model"], host["cpu_features"], host["page_kib"]) == ("EPYC", "aes avx2", 2048), host
        assert (host["huge_mib"], host["huge_used_mib"], host["huge_free_mib"]) == (16384, 10000, 6384), host
        assert (host["memory_used_mib"], host["memory_total_mib"]) == (0, 16384 - 3276), "what lies in huge pages is no ordinary memory"
        shown = sarang.type("host show h1").out
        assert "EPYC" in shown and "aes avx2" in shown and "6384" in shown, shown


@test
def who_finds_no_cell_is_told_how_much_and_what_then_helps():
    with Place() as sarang:
        fleet(sarang)
        sarang.ok(f"template add linux-cli {PROJECT}/templates/linux-cli.xml")
        sarang.ok("pool create cad --template linux-cli --image linux --vcpus 5 --memory-mib 1024 --hosts h1 --numa one-cell --max 4")
        told = sarang.ok("plan --pool cad --count 1").out
        assert "no NUMA cell of host h1 has room: at best 4 of 4 vCPU are free in one, 5 wanted" in told, told
        korean = sarang.ok("plan --pool cad --count 1 --lang ko").out
        assert "호스트 h1에 맞는 NUMA 셀이 없습니다: 셀 하나의 vCPU 최대 4 중 4 남음, 5 필요" in korean, korean
        sarang.ok("pool change cad --vcpus 4 --spare 1")
        assert desktops(sarang, 1)[0]["cell"] in ("0", "1")


@test
def who_finds_no_huge_pages_is_told_how_many():
    with Place() as sarang:
        fleet(sarang)
        template(sarang, "huge", f"<memoryBacking><hugepages/></memoryBacking>{HOST_MODEL}")
        sarang.ok("pool create cad --template huge --image linux --vcpus 1 --memory-mib 9000 --spare 1 --max 4")
        assert desktops(sarang, 1)[0]["host"] == "h1"
        told = sarang.ok("plan --pool cad --count 1 -o json").json()
        assert {row["rule"]: row["n"] for row in told["hosts_stopped"]} == {"huge-pages": 2}, told
        text = sarang.ok("plan --pool cad --count 1").out
        assert "host h1 has 7384 of 16384 MiB of such huge pages free, 9000 wanted" in text, text
        sarang.ok("pool change cad --memory-mib 7000 --spare 2")
        desktops(sarang, 2)


@test
def a_cpu_that_lacks_what_is_required_is_told_by_name():
    with Place() as sarang:
        fleet(sarang)
        template(sarang, "fast", '<cpu mode="host-model"><feature policy="require" name="avx2"/></cpu>')
        sarang.ok("pool create cad --template fast --image linux --vcpus 1 --memory-mib 1024 --hosts h2 --max 2")
        told = sarang.ok("plan --pool cad --count 1").out
        assert 'the CPUs of host h2 lack "avx2"' in told, told
        sarang.ok("pool change cad --hosts h1,h2 --spare 2")
        assert {d["host"] for d in desktops(sarang, 2)} == {"h1"}


main()
