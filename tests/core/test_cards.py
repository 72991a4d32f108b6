"""Jobs on one machine: a card for each, nobody shares, nobody is left out."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from t2i_repro.core import cards

JOB = """
import json, os, sys, time
from pathlib import Path
from t2i_repro.core.cards import take_card, visible_cards
card = take_card(visible_cards(lambda: 0), Path(sys.argv[1]))
began = time.monotonic()
time.sleep(float(sys.argv[2]))
print(json.dumps([card, os.environ["CUDA_VISIBLE_DEVICES"], began, time.monotonic()]))
"""


def start(folder: Path, pretended: str, seconds: float) -> subprocess.Popen[str]:
    environment = {**os.environ, cards.PRETENDED: pretended}
    command = [sys.executable, "-c", JOB, str(folder), str(seconds)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_eight_jobs_on_three_cards_never_share_one(tmp_path: Path) -> None:
    jobs = [start(tmp_path, "0,GPU-5d2f,2", 0.3) for _ in range(8)]
    told = [json.loads(job.communicate(timeout=60)[0]) for job in jobs]
    assert {card for card, *_ in told} == {"0", "GPU-5d2f", "2"}
    for card, visible, *_ in told:
        assert visible == card, "CUDA must see no other card"
    for name in ("0", "GPU-5d2f", "2"):
        times = sorted((began, ended) for card, _, began, ended in told if card == name)
        for (_, ended), (began, _) in pairwise(times):
            assert began >= ended


def test_a_killed_job_gives_its_card_back_and_who_waits_says_so(tmp_path: Path) -> None:
    first = start(tmp_path, "7", 60)
    lock = tmp_path / "7.lock"
    while not lock.exists():
        time.sleep(0.02)
    time.sleep(0.2)
    second = start(tmp_path, "7", 0)
    time.sleep(0.5)
    assert second.poll() is None, "two jobs hold one card"
    first.send_signal(signal.SIGKILL)
    out, _ = second.communicate(timeout=30)
    assert json.loads(out)[0] == "7"
    first.wait()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["0", "1"]),
        ({"CUDA_VISIBLE_DEVICES": "3"}, ["3"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1, MIG-2"}, ["GPU-1", "MIG-2"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, []),
        ({"CUDA_VISIBLE_DEVICES": "3", "T2I_REPRO_CARDS": "a,b"}, ["a", "b"]),
    ],
)
def test_which_cards_there_are(
    environment: dict[str, str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (cards.VISIBLE, cards.PRETENDED):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cards.visible_cards(lambda: 2) == expected


def test_a_variable_makes_no_cards_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cards.PRETENDED, raising=False)
    monkeypatch.setenv(cards.VISIBLE, "0,1")
    assert cards.visible_cards(lambda: 0) == []


def test_a_machine_without_cards_needs_no_lock(tmp_path: Path) -> None:
    assert cards.take_card([], tmp_path / "none") is None
    assert not (tmp_path / "none").exists()
