#!/usr/bin/env python3
"""Measures one `upload put` of a file in the page cache, client and gateway in processes of their own.

    benches/put.py [--size MiB] [--part-size SIZE] [--jobs N] [--runs N]

For each run: wall seconds, CPU seconds of the client (user + system) for each GiB, its peak memory, and the same CPU
figure of the gateway with its embedded store, which hashes and syncs what it takes. Builds the release binary first.
CPU seconds are the figure to compare: wall time on a busy machine says little.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="MiB, default 1024")
    parser.add_argument("--part-size", default="8MiB")
    parser.add_argument("--jobs", default="auto")
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def build():
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    return Path(target) / "release" / "upload"


def start_gateway(binary, home, env):
    """Starts `upload serve` on a free port and gives the process and its address."""
    command = [binary, "serve", "--listen", "127.0.0.1:0", "--store", f"embedded:{home}/store"]
    gateway = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    for line in gateway.stderr:
        found = re.search(r"listening on (http://\S+)", line)
        if found:
            return gateway, found.group(1)
    sys.exit("the gateway did not start")


def cpu_of(pid):
    """CPU seconds of a process that still runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(command, env):
    """Runs a command to its end: wall and CPU seconds, and peak memory in MiB."""
    began = os.times().elapsed
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command[1]} failed")
    return os.times().elapsed - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    options = arguments()
    binary = build()
    with tempfile.TemporaryDirectory(prefix="upload-bench-") as home:
        env = {"PATH": os.environ["PATH"], "HOME": home}
        file = Path(home) / "file.bin"
        with file.open("wb") as out:
            for _ in range(options.size):
                out.write(os.urandom(1 << 20))
        gateway, address = start_gateway(binary, home, env)
        try:
            gib = options.size / 1024
            print(f"{'wall s':>8} {'client CPU s/GiB':>17} {'client MiB':>11} {'gateway CPU s/GiB':>18}")
            for _ in range(options.runs):
                subprocess.run(["cat", file], stdout=subprocess.DEVNULL, check=True)  # into the page cache
                before = cpu_of(gateway.pid)
                command = [binary, "put", file, "--again", "--quiet", "--backend", address]
                command += ["--part-size", options.part_size, "--jobs", options.jobs]
                wall, cpu, memory = run(command, env)
                served = cpu_of(gateway.pid) - before
                print(f"{wall:8.2f} {cpu / gib:17.2f} {memory:11.1f} {served / gib:18.2f}", flush=True)
        finally:
            gateway.terminate()
            gateway.wait()


if __name__ == "__main__":
    main()
