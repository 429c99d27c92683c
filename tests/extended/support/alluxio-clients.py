"""Drives the unmodified packages alluxio and alluxiofs; prints what came of it as JSON lines.

Each step is told with its outcome, so that the test that runs this can name what went wrong. No
under file system is given to alluxiofs: nothing can fall back to it unseen.
"""
import hashlib
import json
import sys

hosts, directory, big, slow = sys.argv[1:5]
small = directory + "/f00"
# alluxiofs has to be told the ports of hosts in a list.
hosts_and_ports = ",".join(host + ":28080" for host in hosts.split(","))


def step(name, action):
    try:
        outcome = {"ok": action()}
    except Exception as error:  # noqa: BLE001
        outcome = {"error": type(error).__name__ + ": " + str(error)[:500]}
    print(json.dumps({"step": name, **outcome}), flush=True)


def sha256(data):
    if hasattr(data, "getvalue"):
        data = data.getvalue()
    return hashlib.sha256(data).hexdigest()


def drive_client(name, client):
    step(name + " load", lambda: client.load(directory, timeout=60))
    step(name + " progress", lambda: str(client.load_progress(directory)[0]))
    step(name + " submit", lambda: client.submit_load(slow))
    step(name + " stop", lambda: client.stop_load(slow))
    step(name + " stop again", lambda: client.stop_load(slow))
    step(name + " stat", lambda: stat_of(client.get_file_status(small)))
    step(name + " list", lambda: sorted(names_of(client.listdir(directory))))


def stat_of(status):
    size = status.length if hasattr(status, "length") else status.size
    return [status.type, size, status.ufs_path]


def names_of(listed):
    paths = [entry["ufs_path"] if isinstance(entry, dict) else entry.ufs_path for entry in listed]
    return [path.split("/")[-1] for path in paths]


def old_client():
    from alluxio import AlluxioFileSystem

    client = AlluxioFileSystem(worker_hosts=hosts)
    drive_client("alluxio", client)
    step("alluxio read", lambda: sha256(client.read(big)))
    step("alluxio range", lambda: sha256(client.read_range(big, 1_500_000, 700_000)))


def new_client():
    from alluxiofs.client import AlluxioClient

    client = AlluxioClient(worker_hosts=hosts_and_ports)
    drive_client("alluxiofs client", client)
    step("alluxiofs client read", lambda: sha256(client.read_chunked(big)))
    step("alluxiofs client head", lambda: sha256(client.head(big, 1000)))
    step("alluxiofs client tail", lambda: sha256(client.tail(big, 1000)))
    step("alluxiofs client mkdir", lambda: client.mkdir(directory + "/new"))


def file_system():
    from alluxiofs import AlluxioFileSystem

    fs = AlluxioFileSystem(worker_hosts=hosts_and_ports)
    step("fs info", lambda: [fs.info(big)["type"], fs.info(big)["size"]])
    step("fs exists", lambda: fs.exists(small))
    step("fs isdir", lambda: fs.isdir(directory))
    step("fs ls", lambda: sorted(entry["name"] for entry in fs.ls(directory, detail=True)))
    step("fs missing", lambda: fs.exists(directory + "/none"))

    def read_range():
        with fs.open(big) as file:
            file.seek(1_500_000)
            return sha256(file.read(700_000))

    def read_whole():
        with fs.open(big) as file:
            return sha256(file.read())

    step("fs range", read_range)
    step("fs whole", read_whole)
    step("fs cat", lambda: sha256(fs.cat_file(big, 10, 1_000_010)))
    step("fs rm", lambda: fs.rm(small))


old_client()
new_client()
file_system()
