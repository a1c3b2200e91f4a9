"""``clew metrics``: the catalogue, without a store or an extra."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clew.model.catalogue import CATALOGUE


def run(*arguments: str) -> str:
    environment = os.environ | {"COLUMNS": "200"}
    done = subprocess.run([Path(sys.executable).with_name("clew"), "metrics", *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_metric_is_listed() -> None:
    lines = run("list").splitlines()
    assert [line.split()[0] for line in lines[1:]] == sorted(metric.name for metric in CATALOGUE)


def test_json_has_all_that_is_declared() -> None:
    found = {row["name"]: row for row in json.loads(run("list", "--json"))}
    assert set(found) == {metric.name for metric in CATALOGUE}
    gate = found["hypertool_workflow_quality_gate_total"]
    assert gate["labels"][-1] == {"name": "result", "values": ["passed", "failed"], "most": 2}
    assert (gate["source"], gate["derived"][0]["kind"]) == ("derived", "gate")
    assert found["git_merge_queue_depth"]["source"] == "measured"


def test_the_rules_give_each_histogram_a_mean_and_prometheus_takes_them(tmp_path: Path) -> None:
    text = run("rules")
    assert text.count("- record:") == sum(metric.type == "histogram" for metric in CATALOGUE)
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool; run: apt-get install prometheus")
    rules = tmp_path / "rules.yml"
    rules.write_text(text)
    done = subprocess.run([promtool, "check", "rules", rules], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
