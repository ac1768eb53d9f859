"""Run the fuzz targets: python -m scripts.fuzz.run TARGET...|all --runs N --seed S [--engine both|atheris|own].

``atheris`` is driven by coverage of the parsers; ``own`` is a seeded loop of mutations, many times as fast. ``both``,
the default where atheris is installed, gives a share of the runs to coverage, and the rest to mutations of what that
found. Each target has a process of its own. A finding is saved as a file, its path printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

MAX_OCTETS = 65_536
RSS_MB = 2_048
SECONDS_A_RUN = 10
# Of ``both``: one run in so many is driven by coverage; and of what it found, so much is mutated on.
COVERAGE_SHARE = 25
FOUND_ITEMS = 4_096
FOUND_OCTETS = 8_192


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", help="names of scripts.fuzz.targets.TARGETS, or all")
    parser.add_argument("--runs", type=int, default=10_000, help="of each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("both", "atheris", "own"), help="default: both where atheris is installed")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()), help="folder for findings")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    engine = options.engine or ("both" if importlib.util.find_spec("atheris") else "own")
    if options.child:
        engines: dict[str, Callable[[str, int, int, Path], int]]
        engines = {"atheris": under_atheris, "own": by_mutation, "both": by_both}
        return engines[engine](options.targets[0], options.runs, options.seed, options.findings)
    from scripts.fuzz.targets import TARGETS

    names = list(TARGETS) if options.targets == ["all"] else options.targets
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}")
    failed = 0
    for name in names:
        began = time.monotonic()
        command = [sys.executable, "-m", "scripts.fuzz.run", name, "--child", "--runs", str(options.runs)]
        command += ["--seed", str(options.seed), "--engine", engine, "--findings", str(options.findings)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        seconds = time.monotonic() - began
        verdict = "0 findings" if done.returncode == 0 else "FINDING"
        print(
            f"{name:16} {options.runs:>9} runs  {options.runs / seconds:>9,.0f} runs/s  {engine}  {verdict}", flush=True
        )
        if done.returncode:
            failed += 1
            print("\n".join((done.stdout + done.stderr).splitlines()[-25:]), file=sys.stderr)
    return int(bool(failed))


def by_both(name: str, runs: int, seed: int, findings: Path) -> int:
    """Coverage first, in a process that atheris ends; then mutations of the corpus that it left."""
    share = max(1, runs // COVERAGE_SHARE)
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if child == 0:
            under_atheris(name, share, seed, findings, Path(folder))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            return 1
        found = sorted(path for path in Path(folder).iterdir() if path.stat().st_size <= FOUND_OCTETS)
        Random(seed).shuffle(found)  # noqa: S311 - to be repeatable
        return by_mutation(name, runs - share, seed, findings, [path.read_bytes() for path in found[:FOUND_ITEMS]])


def under_atheris(name: str, runs: int, seed: int, findings: Path, kept: Path | None = None) -> int:
    """``kept``: a folder where the corpus stays, with what was found."""
    import atheris

    with atheris.instrument_imports(include=["imswire"]):
        from scripts.fuzz import targets

    with tempfile.TemporaryDirectory() as folder:
        corpus = kept or Path(folder)
        for number, octets in enumerate(targets.TARGETS[name].corpus()):
            (corpus / f"{number:05}").write_bytes(octets[:MAX_OCTETS])
        arguments = [sys.argv[0], f"-runs={runs}", f"-seed={seed}", f"-max_len={MAX_OCTETS}", "-len_control=1000"]
        arguments += [f"-rss_limit_mb={RSS_MB}", f"-timeout={SECONDS_A_RUN}", f"-artifact_prefix={findings}/{name}-"]
        atheris.Setup([*arguments, "-print_final_stats=1", str(corpus)], lambda octets: targets.attempt(name, octets))
        atheris.Fuzz()
    return 0


def by_mutation(name: str, runs: int, seed: int, findings: Path, found: Sequence[bytes] = ()) -> int:
    from scripts.fuzz import targets

    for octets in mutations([*targets.TARGETS[name].corpus(), *found], runs, seed):
        try:
            targets.attempt(name, octets)
        except BaseException:
            place = findings / f"{name}-finding"
            place.write_bytes(octets)
            print(f"finding saved: {place}")
            raise
    return 0


def mutations(corpus: list[bytes], runs: int, seed: int) -> Iterator[bytes]:
    """Items of the corpus, changed: octets, lengths, cuts, splices, repetitions."""
    chance = Random(seed)  # noqa: S311 - to be repeatable
    for _ in range(runs):
        octets = bytearray(chance.choice(corpus))
        for _ in range(chance.randint(0, 6)):
            place = chance.randrange(len(octets) + 1)
            kind = chance.randrange(6)
            if kind == 0 and octets:
                octets[place - 1] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
            elif kind == 1:
                del octets[place : place + chance.randint(1, 16)]
            elif kind == 2:
                octets[place:place] = chance.randbytes(chance.randint(1, 8))
            elif kind == 3:
                other = chance.choice(corpus)
                octets[place:] = other[chance.randrange(len(other) + 1) :]
            elif kind == 4:
                octets[place:place] = octets[place : place + 32] * chance.randint(1, 8)
            else:
                octets[place : place + 2] = chance.choice((b"\xff\xff", b"\0\0", b"\x7f\xff", b"\0\1"))
        yield bytes(octets[:MAX_OCTETS])


if __name__ == "__main__":
    sys.exit(main())
