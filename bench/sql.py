"""What ``code:sql`` costs beside DuckDB called directly, on a Parquet file of 1,000,000 rows.

python bench/sql.py [ROUNDS]

The session may use as many processors as DuckDB here; each query runs by turns both ways, and the fastest tenths are
compared, which hold still on a busy machine.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import anyio
import duckdb

from agentflow_core import Sandbox

ROWS = 1_000_000
QUERIES = {
    "aggregate": "SELECT g, count(*), avg(x), max(name) FROM m GROUP BY g ORDER BY g",
    "filter": "SELECT count(*) FROM m WHERE x < 0.01 AND name LIKE 'name-9%'",
    "top": "SELECT i, x FROM m ORDER BY x DESC LIMIT 20",
    "join": "SELECT a.g, count(*) FROM m a JOIN m b ON a.i = b.i WHERE b.x < 0.1 GROUP BY 1 ORDER BY 1",
    "all rows": "SELECT * FROM m",
    "one row": "SELECT 1",
}


def write(path: Path) -> None:
    duckdb.execute(
        f"COPY (SELECT range AS i, range % 100 AS g, 'name-' || (range % 1000) AS name, "
        f"hash(range) / 18446744073709551615 AS x FROM range({ROWS})) TO '{path}' (FORMAT parquet)"
    )


async def compare(path: Path, rounds: int) -> None:
    cpus = os.cpu_count() or 1
    direct = duckdb.connect(":memory:", config={"threads": cpus})
    direct.execute(f"CREATE VIEW m AS FROM read_parquet('{path}')")
    code = {"files": {"m.parquet": str(path)}, "limits": {"cpus": cpus, "memory_bytes": 2 << 30}}
    async with Sandbox(config={"backends": {"code": code}}) as sandbox:
        await sandbox.create_session("code")
        for name, query in QUERIES.items():
            ours, its = [], []
            for _ in range(rounds):
                began = time.perf_counter()
                result = await sandbox.execute("code:sql", {"query": query})
                ours.append(time.perf_counter() - began)
                assert result.ok, result.text
                began = time.perf_counter()
                direct.execute(query).fetchmany(200)
                its.append(time.perf_counter() - began)
            mine, bare = (statistics.quantiles(times[1:], n=10)[0] * 1000 for times in (ours, its))
            allowed = 1.2 * bare + 3
            print(
                f"  {name:10} code:sql {mine:7.2f} ms, DuckDB {bare:7.2f} ms, allowed {allowed:7.2f} ms: "
                f"{'ok' if mine <= allowed else 'TOO SLOW'}"
            )
    direct.close()


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.parquet"
        write(path)
        os.chmod(folder, 0o755)  # sessions have another user
        print(f"code:sql and DuckDB on {ROWS:,} rows of Parquet, {rounds} rounds each")
        anyio.run(compare, path, rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
