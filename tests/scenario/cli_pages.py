#!/usr/bin/env python3
"""Manual pages and units that are installed: whole, without warnings, and saying what the programs know."""
import re
import shutil
import subprocess
import tempfile

from clilab import BUILD, PROJECT, Place
from gatewaylab import main, test

PAGES = ("sarang.1", "sarangd.8", "sarang-gateway.8", "sarangd.conf.5", "sarang-gateway.conf.5")


def page(name, lang):
    source = subprocess.run([PROJECT / "cli/man/generate", BUILD, name, lang], capture_output=True, text=True, check=True).stdout
    return subprocess.run(["scdoc"], input=source, capture_output=True, text=True, check=True).stdout


def shown(roff):
    done = subprocess.run(["groff", "-K", "utf8", "-man", "-T", "utf8", "-ww", "-P", "-c", "-P", "-b", "-P", "-u"], input=roff, capture_output=True,
                          text=True, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "can't break line" not in line and "cannot break line" not in line]


@test
def manual_pages_say_what_the_programs_know():
    sarang = Place()
    verbs = re.findall(r"^  (\S+ +\S.*)$", sarang.ok("--help").out.split("Other commands")[0].split("says more")[1], re.M)
    assert len(verbs) >= 10
    for lang in ("en", "ko"):
        text, warnings = shown(page("sarang.1", lang))
        assert not warnings, warnings[:5]
        for line in verbs:
            noun, *words = line.split()
            for verb in (w for w in words if w != "·"):
                assert f"sarang {noun} {verb}" in text, (lang, noun, verb)
        assert ("종료 상태" if lang == "ko" else "Exit status") in text
    sarang.home.cleanup()


@test
def options_of_daemons_stand_in_their_pages():
    for program in ("sarangd", "sarang-gateway"):
        dump = subprocess.run([BUILD / program, "--dump-config"], capture_output=True, text=True, check=True).stdout
        keys = re.findall(r"^#?\s*([a-z_-]+)=", dump, re.M)
        assert len(keys) > 8
        for lang in ("en", "ko"):
            text, warnings = shown(page(f"{program}.conf.5", lang))
            assert not warnings and all(f"{key}=" in text for key in keys), (warnings[:5], program)
            text, warnings = shown(page(f"{program}.8", lang))
            assert not warnings and "--config" in text and "--dump-config" in text, (warnings[:5], text)


@test
def units_are_what_systemd_takes():
    assert shutil.which("systemd-analyze"), "systemd-analyze is missing: nothing says whether the units are sound"
    with tempfile.TemporaryDirectory() as folder:
        for name in ("sarangd.service", "sarang-gateway.service"):
            text = (PROJECT / "examples/systemd" / name).read_text()
            assert "network-online.target" in text and (name != "sarangd.service" or "CAP_LINUX_IMMUTABLE" in text), "images are made immutable"
            assert "StateDirectoryMode=0700" in text and "NoNewPrivileges=yes" in text
            with open(f"{folder}/{name}", "w", encoding="utf-8") as f:
                f.write(re.sub(r"^Documentation=.*\n", "", text.replace("/usr/local/sbin", str(BUILD)), flags=re.M))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", f"{folder}/sarangd.service", f"{folder}/sarang-gateway.service"],
                              capture_output=True, text=True, check=False)
        ours = [line for line in done.stderr.splitlines() if "sarang" in line]
        assert not ours, done.stderr


if __name__ == "__main__":
    main()
