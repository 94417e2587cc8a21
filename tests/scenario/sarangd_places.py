#!/usr/bin/env python3
"""An administrator over the network gets at no file of the controller but in the two directories that are meant for it: no image is imported from
elsewhere, be it by a link, no backup written elsewhere, and no host added that is a file of the controller. Root at the controller may do each."""
import json
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sarangdlab import SLOW, Connection, tell_all  # noqa: E402


class Ada:
    """An administrator with a token, at the gateway's door."""
    def __init__(self, daemon):
        self.door = os.path.join(daemon.folder, "g")
        assert daemon.ask("POST", "/users", {"name": "ada", "role": "administrator"})[0] == 201
        status, made, _ = daemon.ask("POST", "/tokens", {"user": "ada", "title": "a program"})
        assert status == 201, made
        self.token = made["token"]

    def ask(self, method, path, body=None):
        connection = Connection(self.door)
        connection.request(method, "/api/v1" + path, json.dumps(body) if body else None,
                           {"Content-Type": "application/json", "Authorization": "Bearer " + self.token})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None


def imported(daemon, name):
    """An image's state, once it is no longer being imported."""
    end = time.monotonic() + 20 * SLOW
    while True:
        image = daemon.ask("GET", "/images/" + name)[1]
        if image["state"] != "importing":
            return image
        assert time.monotonic() < end, image
        time.sleep(0.02)


def gone(daemon, path):
    end = time.monotonic() + 20 * SLOW
    while daemon.ask("GET", path)[0] != 404:
        assert time.monotonic() < end, daemon.ask("GET", path)
        time.sleep(0.02)


def import_body(family, source):
    return {"family": family, "format": "raw", "storages": ["disk"], "source": source}


def images(daemon):
    state, ada = os.path.join(daemon.folder, "disk"), Ada(daemon)
    store, place = os.path.join(state, "sarang.db"), os.path.join(state, "imports")
    files = os.path.join(daemon.folder, "volumes")
    os.mkdir(files)
    assert daemon.ask("POST", "/storages", {"name": "disk", "path": files, "controller_path": files})[0] == 201
    with open(os.path.join(place, "good.img"), "wb") as image:
        image.write(bytes(8192))
    os.symlink(store, os.path.join(place, "file-link"))
    os.symlink(state, os.path.join(place, "folder-link"))
    for path in (store, "/etc/passwd", place, place + "/../sarang.db", place + "2/x", place + "/./good.img"):
        status, answer = ada.ask("POST", "/images", import_body("bad", path))
        assert (status, answer["code"]) == (403, "path-outside") or (".." in path and answer["code"] == "bad-value"), (path, answer)
        assert answer["code"] == "bad-value" or place in answer["detail"], answer
    for path in (place + "/file-link", place + "/folder-link/sarang.db"):
        status, made = ada.ask("POST", "/images", import_body("link", path))
        assert status == 202, made
        image = imported(daemon, made["name"])
        assert image["state"] == "failed" and "link" in json.dumps(image["error"]), image
    assert not [name for name in os.listdir(files) if "link" in name], os.listdir(files)
    status, made = ada.ask("POST", "/images", import_body("good", place + "/good.img"))
    assert status == 202 and imported(daemon, made["name"])["state"] == "ready", imported(daemon, made["name"])
    elsewhere = os.path.join(daemon.folder, "roots.img")
    shutil.copy(os.path.join(place, "good.img"), elsewhere)
    assert daemon.ask("POST", "/images", import_body("roots", elsewhere))[0] == 202


def hosts(daemon):
    """No host from afar has root open, read or overwrite a file: a fake one keeps its state in one, libvirt's test driver reads one and quotes it."""
    ada, victim = Ada(daemon), os.path.join(daemon.folder, "victim")
    with open(victim, "w", encoding="ascii") as file:
        file.write("root:$y$secret:19000:0:99999:7:::\n")
    fresh = victim + "2"
    for uri in ("fake:h1", "fake:h1?state=" + victim, "fake:h1?state=" + fresh, "fake:h1?control=" + victim, "fake:h1?console=22",
                "test://" + victim, "qemu:///system?socket=" + victim, "qemu+tls://127.0.0.1/system?pkipath=" + daemon.folder):
        status, answer = ada.ask("POST", "/hosts", {"name": "h1", "uri": uri})
        assert (status, answer["code"]) == (403, "private-uri"), (uri, answer)
    with open(victim, encoding="ascii") as file:
        assert "secret" in file.read()
    assert not os.path.exists(fresh) and daemon.ask("GET", "/hosts")[1]["items"] == []
    assert ada.ask("POST", "/hosts", {"name": "h1", "uri": "test:///default"})[0] == 201
    assert daemon.ask("POST", "/hosts", {"name": "h2", "uri": "fake:h2?state=" + fresh})[0] == 201
    assert daemon.ask("POST", "/hosts", {"name": "h3", "uri": "test://" + victim})[0] == 201
    end = time.monotonic() + 20 * SLOW
    while True:  # root may, but others who see the host do not read the file in its error
        host = ada.ask("GET", "/hosts/h3")[1]
        if host.get("error"):
            break
        assert time.monotonic() < end, host
        time.sleep(0.02)
    assert "secret" not in json.dumps(host) and "not the XML" in json.dumps(host), host


def storages(daemon):
    """A storage from afar lies in storage.directories, also where a link there leads elsewhere, and never where the store is."""
    ground, state = os.path.join(daemon.folder, "ground"), os.path.join(daemon.folder, "disk")
    daemon.stop()
    os.makedirs(ground + "/real")
    os.symlink(state, ground + "/link")
    daemon.more = ["storage.directories=" + ground]
    daemon.start()
    ada = Ada(daemon)
    for path in ("/etc/logrotate.d", state, state + "/imports", daemon.folder, "/var", ground + "2", ground + "/../disk"):
        for body in ({"path": path}, {"path": ground, "controller_path": path}):
            status, answer = ada.ask("POST", "/storages", {"name": "s"} | body)
            assert (status, answer["code"]) == (403, "storage-outside") or (".." in path and answer["code"] == "bad-value"), (path, answer)
            assert answer["code"] == "bad-value" or (ground in answer["detail"] and "storage.directories" in json.dumps(answer)), answer
    with open(os.path.join(state, "imports", "x.raw"), "wb") as image:
        image.write(bytes(8192))
    for name in ("link", "real"):
        there = os.path.join(ground, name)
        assert ada.ask("POST", "/storages", {"name": name, "path": there, "controller_path": there})[0] == 201
        status, made = ada.ask("POST", "/images", {"family": name, "format": "raw", "storages": [name], "source": state + "/imports/x.raw"})
        assert status == 202, made
        if name == "real":
            assert imported(daemon, made["name"])["state"] == "ready"
            continue
        image = imported(daemon, made["name"])
        assert image["state"] == "failed" and "storage-outside" in json.dumps(image["error"]) and state in json.dumps(image["error"]), image
    assert daemon.ask("DELETE", "/images/link@1")[0] == 202
    gone(daemon, "/images/link@1")
    assert not [name for name in os.listdir(state) if name.startswith("img-")], os.listdir(state)
    assert daemon.ask("POST", "/storages", {"name": "roots", "path": daemon.folder, "controller_path": daemon.folder})[0] == 201


def storages_that_are_away(daemon):
    """An import to a directory that is not there ends with the reason; once it is there, the image can be deleted."""
    state, away = os.path.join(daemon.folder, "disk"), os.path.join(daemon.folder, "not-mounted")
    with open(os.path.join(state, "imports", "x.raw"), "wb") as image:
        image.write(bytes(8192))
    assert daemon.ask("POST", "/storages", {"name": "disk", "path": away, "controller_path": away})[0] == 201
    status, made, _ = daemon.ask("POST", "/images", import_body("x", state + "/imports/x.raw"))
    assert status == 202, made
    image = imported(daemon, made["name"])
    assert image["state"] == "failed" and "storage-unreachable" in json.dumps(image["error"]), image
    assert daemon.ask("DELETE", "/images/" + made["name"])[0] == 202
    os.mkdir(away)
    gone(daemon, "/images/" + made["name"])


def backups(daemon):
    state, ada = os.path.join(daemon.folder, "disk"), Ada(daemon)
    place = os.path.join(state, "backups")
    target = os.path.join(daemon.folder, "target")
    os.symlink(target, os.path.join(place, "link"))
    os.symlink(daemon.folder, os.path.join(place, "folder"))
    for path in (target, state + "/imports/b", place + "/../b", place + "/folder/b"):
        status, answer = ada.ask("POST", "/backup", {"path": path})
        assert (status, answer["code"]) == (403, "path-outside") and place in answer["detail"], answer
    status, answer = ada.ask("POST", "/backup", {"path": place + "/link"})
    assert status >= 400, answer
    assert not os.path.exists(target) and "b" not in os.listdir(daemon.folder)
    assert ada.ask("POST", "/backup", {"path": place + "/good"})[0] == 201
    assert os.stat(os.path.join(place, "good")).st_mode & 0o777 == 0o600
    assert daemon.ask("POST", "/backup", {"path": target})[0] == 201


def places_that_hold_the_store(daemon):
    """It does not start where a backup could be imported, or the store itself."""
    daemon.stop()
    for more in ("image.import_directory=" + daemon.folder, "image.import_directory=" + os.path.join(daemon.folder, "disk", "backups")):
        daemon.more = [more]
        try:
            daemon.start()
        except AssertionError:
            assert "image.import_directory" in daemon.words(), daemon.words()
        else:
            raise AssertionError("it started with " + more)


if __name__ == "__main__":
    tell_all([images, hosts, storages, storages_that_are_away, backups, places_that_hold_the_store])
