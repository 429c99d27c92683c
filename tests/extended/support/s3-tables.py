"""Tables in a bucket as those who compute with them read them: by columns, row groups and globs.

Usage: s3-tables.py FOLDER ENDPOINT BUCKET: writes tables into the folder, which is the bucket, reads
them back through S3, and prints as JSON what each reader found: `equal`, or what was wrong.
"""

import concurrent.futures
import json
import os
import sys

import polars as pl

ROW_COUNT = 300_000
ODD_NAME = "odd/grüße +plus #100.parquet"


def frame(part):
    numbers = pl.int_range(ROW_COUNT, eager=True)
    return pl.DataFrame(
        {
            "id": numbers,
            "part": pl.repeat(part, ROW_COUNT, eager=True),
            "value": (numbers * 2_654_435_761 + part) % 1_000_003,
            "text": ("row " + numbers.cast(pl.String)),
        }
    )


def write(folder):
    os.mkdir(f"{folder}/odd")
    for part in range(4):
        frame(part).write_parquet(f"{folder}/part-{part}.parquet", row_group_size=20_000)
    frame(9).write_parquet(f"{folder}/{ODD_NAME}")
    frame(0).write_csv(f"{folder}/rows.csv")
    open(f"{folder}/empty.csv", "w").close()


def no_data(work):
    try:
        return f"read {work().shape}"
    except pl.exceptions.NoDataError:
        return "equal"


def verdict(got, expected):
    return "equal" if got.equals(expected) else f"{got.shape} unlike {expected.shape}"


def by_polars(endpoint, bucket):
    at = f"s3://{bucket}"
    options = {
        "endpoint_url": endpoint,
        "aws_region": "us-east-1",
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "aws_allow_http": "true",
        "aws_virtual_hosted_style_request": "false",
    }
    parquet = lambda name: pl.scan_parquet(f"{at}/{name}", storage_options=options)
    some = (pl.col("id") > ROW_COUNT - 1000) & (pl.col("value") % 7 == 3)
    parts = pl.concat([frame(part) for part in range(4)])
    columns = lambda table: table.filter(some).select("id", "value")
    pool = concurrent.futures.ThreadPoolExecutor(8)
    many = list(pool.map(lambda part: parquet(f"part-{part}.parquet").collect(), [0, 1, 2, 3] * 2))
    return {
        "whole parquet": verdict(parquet("part-1.parquet").collect(), frame(1)),
        "some columns and rows": verdict(columns(parquet("part-2.parquet")).collect(), columns(frame(2))),
        "glob": verdict(parquet("part-*.parquet").collect().sort("part", "id"), parts),
        "rows counted": verdict(
            parquet("part-*.parquet").select(pl.len()).collect(), parts.select(pl.len())
        ),
        "several at once": verdict(pl.concat(many), pl.concat([parts, parts])),
        "odd name": verdict(
            pl.scan_parquet(f"{at}/{ODD_NAME}", storage_options=options, glob=False).collect(), frame(9)
        ),
        "csv": verdict(pl.read_csv(f"{at}/rows.csv", storage_options=options), frame(0).cast({"part": pl.Int64})),
        "scanned csv": verdict(
            columns(pl.scan_csv(f"{at}/rows.csv", storage_options=options)).collect(), columns(frame(0))
        ),
        "empty csv": no_data(lambda: pl.read_csv(f"{at}/empty.csv", storage_options=options)),
    }


def by_duckdb(endpoint, bucket):
    sys.path.insert(0, os.path.dirname(__file__))
    client = __import__("s3-clients")
    db, at = client.duckdb_with_s3(endpoint), f"s3://{bucket}"
    one = lambda sql, name: db.execute(sql, [f"{at}/{name}"]).fetchone()
    total = sum(int(frame(part)["value"].sum()) for part in range(4))
    tail = "SELECT count(*), max(text) FROM read_parquet(?) WHERE id >= 299990"
    return {
        "glob": (one("SELECT sum(value) FROM read_parquet(?)", "part-*.parquet"), (total,)),
        "some rows": (one(tail, "part-3.parquet"), (10, "row 299999")),
        "odd name": (one("SELECT count(*) FROM read_parquet(?)", ODD_NAME), (ROW_COUNT,)),
        "csv": (one("SELECT count(*) FROM read_csv(?)", "rows.csv"), (ROW_COUNT,)),
    }


def main(folder, endpoint, bucket):
    write(folder)
    duckdb = by_duckdb(endpoint, bucket)
    told = {name: "equal" if got == expected else f"{got}" for name, (got, expected) in duckdb.items()}
    print(json.dumps({"polars": by_polars(endpoint, bucket), "duckdb": told}))


if __name__ == "__main__":
    main(*sys.argv[1:])
