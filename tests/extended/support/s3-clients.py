"""Clients of S3 from PyPI: one of them lists, looks at and reads objects, and tells what it found.

Usage: s3-clients.py CLIENT ENDPOINT BUCKET PLAN, the plan and the answer being JSON.
"""

import concurrent.futures
import glob
import hashlib
import json
import os
import sys
import zlib

PIECE_BYTES = 2**20


class Boto3:
    def __init__(self, endpoint, bucket):
        import boto3

        self.s3, self.bucket = boto3.client("s3", endpoint_url=endpoint), bucket

    def list(self, prefix):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page["Contents"]]

    def size(self, key):
        return self.s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"]

    def whole(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def range(self, key, start, end):
        asked = f"bytes={start}-{end - 1}"
        return self.s3.get_object(Bucket=self.bucket, Key=key, Range=asked)["Body"].read()

    def stream(self, key):
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(PIECE_BYTES)


class S3fs:
    def __init__(self, endpoint, bucket):
        import s3fs

        self.fs, self.bucket = s3fs.S3FileSystem(endpoint_url=endpoint), bucket

    def list(self, prefix):
        return [name.removeprefix(f"{self.bucket}/") for name in self.fs.find(f"{self.bucket}/{prefix}")]

    def size(self, key):
        return self.fs.info(f"{self.bucket}/{key}")["size"]

    def whole(self, key):
        return self.fs.cat_file(f"{self.bucket}/{key}")

    def range(self, key, start, end):
        return self.fs.cat_file(f"{self.bucket}/{key}", start=start, end=end)


class Obstore:
    def __init__(self, endpoint, bucket):
        import obstore
        from obstore.store import S3Store

        self.obstore = obstore
        self.store = S3Store(
            bucket,
            endpoint=endpoint,
            region="us-east-1",
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": "300s"},
        )

    def list(self, prefix):
        return [found["path"] for page in self.obstore.list(self.store, prefix) for found in page]

    def size(self, key):
        return self.obstore.head(self.store, key)["size"]

    def whole(self, key):
        return bytes(self.obstore.get(self.store, key).bytes())

    def range(self, key, start, end):
        return bytes(self.obstore.get_range(self.store, key, start=start, end=end))

    def stream(self, key):
        return self.obstore.get(self.store, key).stream(min_chunk_size=PIECE_BYTES)


class S3torchconnector:
    """What speaks S3 in s3torchconnector, which adds data sets of torch to it."""

    def __init__(self, endpoint, bucket):
        from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client

        self.client = MountpointS3Client(
            region="us-east-1", endpoint=endpoint, force_path_style=True, throughput_target_gbps=2.0
        )
        self.bucket = bucket

    def list(self, prefix):
        pages = self.client.list_objects(self.bucket, prefix)
        return [found.key for page in pages for found in page.object_info]

    def size(self, key):
        return self.client.head_object(self.bucket, key).size

    def whole(self, key):
        return b"".join(self.client.get_object(self.bucket, key))

    def range(self, key, start, end):
        return b"".join(self.client.get_object(self.bucket, key, start, end))

    def stream(self, key):
        return self.client.get_object(self.bucket, key)


class Duckdb:
    """Reads ranges as it sees fit, never one that is asked for."""

    def __init__(self, endpoint, bucket):
        self.db, self.bucket = duckdb_with_s3(endpoint), bucket

    def list(self, prefix):
        found = self.db.cursor().execute("FROM glob(?)", [f"s3://{self.bucket}/{prefix}**"])
        return [name.removeprefix(f"s3://{self.bucket}/") for (name,) in found.fetchall()]

    def size(self, key):
        return self.blob("size", key)

    def whole(self, key):
        return self.blob("content", key)

    def blob(self, column, key):
        sql = f"SELECT {column} FROM read_blob(?)"
        return self.db.cursor().execute(sql, [f"s3://{self.bucket}/{key}"]).fetchone()[0]


def duckdb_with_s3(endpoint):
    import duckdb
    import duckdb_extension_httpfs

    db = duckdb.connect()
    at = os.path.dirname(duckdb_extension_httpfs.__file__)
    db.load_extension(glob.glob(f"{at}/extensions/*/httpfs.duckdb_extension")[0])
    key_id, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    place = f"ENDPOINT '{endpoint[7:]}', URL_STYLE 'path', USE_SSL false, REGION 'us-east-1'"
    db.execute(f"CREATE SECRET (TYPE s3, KEY_ID '{key_id}', SECRET '{secret}', {place})")
    return db


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def parallel(client, key, size, pool):
    """One object by many ranges at once, or, of who reads no ranges, the same one many times."""
    if not hasattr(client, "range"):
        return sorted({sha256(each) for each in pool.map(client.whole, [key] * 8)})
    step = -(-size // 16)
    starts = range(0, size, step)
    pieces = pool.map(lambda at: client.range(key, at, min(size, at + step)), starts)
    return [sha256(b"".join(pieces))]


def checked_stream(client, key):
    crc = size = 0
    for piece in client.stream(key):
        crc = zlib.crc32(piece, crc)
        size += len(piece)
    return {"size": size, "crc32": crc}


def read(client, key):
    """Whole, or, of an object beyond memory, its size and its end."""
    size = client.size(key)
    answer = {"size": size}
    if size < 2**30:
        answer["whole"] = sha256(client.whole(key))
    if size > 2000 and hasattr(client, "range"):
        answer["range"] = sha256(client.range(key, size - 1000, size))
    return answer


def attempt(work):
    try:
        return work()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def main(name, endpoint, bucket, plan):
    client = globals()[name](endpoint, bucket)
    pool = concurrent.futures.ThreadPoolExecutor(8)
    answer = {
        "listed": sorted(client.list(plan["prefix"])),
        "objects": dict(zip(plan["keys"], pool.map(lambda key: attempt(lambda: read(client, key)), plan["keys"]))),
    }
    if "parallel" in plan:
        answer["parallel"] = parallel(client, plan["parallel"], client.size(plan["parallel"]), pool)
    if "stream" in plan:
        answer["streamed"] = checked_stream(client, plan["stream"])
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:4], json.loads(sys.argv[4]))
