"""The program understands what `deploy/` runs."""

import shlex
from pathlib import Path

import pytest

from colorization.options import parse

yaml = pytest.importorskip("yaml")

DEPLOY = Path(__file__).parent.parent / "deploy"


@pytest.mark.parametrize("mode", ["predict", "prepare"])
def test_pods_of_a_job_share_all_photos(mode, monkeypatch):
    job = yaml.safe_load((DEPLOY / f"{mode}-job.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    shards = []
    for index in range(spec["completions"]):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        options = parse("color_global", container["args"])
        assert options.mode == mode
        shards.append(options.shard)
    assert shards == [(index, len(shards)) for index in range(len(shards))]
    # Everything that options name is mounted, and only the output can be written to.
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts[options.input[0]]["readOnly"]
    assert "readOnly" not in mounts[options.output]
    assert {mount["name"] for mount in mounts.values()} == {v["name"] for v in pod["volumes"]}
    for rule in spec["podFailurePolicy"]["rules"]:
        codes = rule.get("onExitCodes", {"containerName": container["name"]})
        assert codes["containerName"] == container["name"]


def test_the_training_job_is_understood():
    job = yaml.safe_load((DEPLOY / "tfjob.yaml").read_text())
    for replica in job["spec"]["tfReplicaSpecs"].values():
        (container,) = replica["template"]["spec"]["containers"]
        python, script, *words = container["command"]
        assert (python, script) == ("python", "color_global.py")
        assert parse("color_global", words).mode == "train"


def test_the_image_has_all_that_the_scripts_import():
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    copied = [
        source
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for source in shlex.split(line)[1:-1]
    ]
    root = DEPLOY.parent
    assert {path.name for path in root.glob("*.py")} <= set(copied)
    assert {"colorization", "pretrained"} <= set(copied)
    for source in copied:
        assert (root / source).exists(), source
    # The user who runs it is not root.
    assert [line.split()[1] for line in lines if line.startswith("USER")] == ["10001"]
