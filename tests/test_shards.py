"""Reading of prepared photos: damaged ones, hostile ones, and those of one worker."""

import json
import shutil
import threading

import numpy as np
import pytest
import tensorflow as tf
from platforms import peak_memory, posix
from test_dataset import joined

from colorization.data.dataset import eval_dataset
from colorization.data.photo_files import file_checksum
from colorization.data.photos import find_photos
from colorization.data.prepare import prepare
from colorization.data.report import Report
from colorization.data.shards import FORMAT, divided, find_data, serialized
from colorization.errors import UserError


def test_damaged_shards_are_named(prepared):
    _, output, _ = prepared
    shard = output / "00001.tfrecord"
    whole = shard.read_bytes()

    def read():
        data = find_data([str(output)])
        report = Report(len(data))
        with report.as_user_error():
            return sum(len(features["path"]) for features, _ in eval_dataset(data, 4, report))

    assert read() == 6
    shard.write_bytes(whole[:-10])
    with pytest.raises(UserError, match=r"00001.tfrecord .* bytes instead of"):
        read()
    shard.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(UserError, match=r"00001.tfrecord .*checksum"):
        read()
    shard.unlink()
    with pytest.raises(UserError, match=r"00001.tfrecord .*missing"):
        read()
    manifest = json.loads((output / "manifest.json").read_text())
    (output / "manifest.json").write_text(json.dumps({**manifest, "format": 1}))
    with pytest.raises(UserError, match=r"manifest.json .*another version.*prepare"):
        read()
    (output / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest.json is damaged"):
        read()
    (output / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"out holds prepared photos, but its manifest.json is mis"):
        read()


@posix
def test_remote_shards_are_looked_at_once_and_several_at_a_time(prepared, monkeypatch):
    """Each call takes time there, and there may be ten thousand; file:// goes the way of gs://."""
    _, output, _ = prepared
    meeting, asked = threading.Barrier(3), []

    def noted(function):
        def call(path):
            if path.endswith("tfrecord"):
                asked.append(path)
                meeting.wait(timeout=60)
            return function(path)

        return call

    for name in ("exists", "stat"):
        monkeypatch.setattr(tf.io.gfile, name, noted(getattr(tf.io.gfile, name)))
    shards = find_data([f"file://{output}"]).photos
    assert len(shards) == 3
    assert sorted(asked) == sorted(shards)


@posix
def test_a_missing_remote_shard_is_named(prepared):
    _, output, _ = prepared
    (output / "00001.tfrecord").unlink()
    with pytest.raises(UserError, match=r"00001.tfrecord .*missing"):
        find_data([f"file://{output}"])


def jpeg(height, width, claimed=None):
    """A gray JPEG; its header may claim another height and width."""
    data = bytearray(tf.io.encode_jpeg(np.zeros([height, width, 1], np.uint8)).numpy())
    if claimed:
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = b"".join(side.to_bytes(2, "big") for side in claimed)
    return bytes(data)


@pytest.mark.parametrize(
    "record",
    [
        b"no example",
        serialized(b"no picture", b"a.jpg", b"", 0),
        serialized(jpeg(384, 256)[:300], b"a.jpg", b"", 0),
        serialized(jpeg(16, 16), b"a.jpg", b"", 0),
        serialized(jpeg(384, 256, claimed=(65500, 65500)), b"a.jpg", b"", 0),
    ],
)
def test_hostile_records_that_their_manifest_vouches_for(tmp_path, record):
    shard = tmp_path / "00000.tfrecord"
    with tf.io.TFRecordWriter(str(shard)) as writer:
        writer.write(record)
    facts = {"photos": 1, "bytes": shard.stat().st_size, "sha256": file_checksum(str(shard))}
    manifest = {"format": FORMAT, "shards": {shard.name: {**facts, "folders": []}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    data = find_data([str(tmp_path)])
    report = Report(1)
    before = peak_memory()
    with pytest.raises(UserError, match="a prepared photo is damaged"), report.as_user_error():
        list(eval_dataset(data, 1, report))
    assert peak_memory() - before < 200_000_000


def test_a_glob_may_match_prepared_folders(prepared, tmp_path):
    folder, output, _ = prepared
    for name in ("a", "b"):
        shutil.copytree(output, tmp_path / "several" / name)
    assert find_data([f"{tmp_path}/o*"]) == find_data([str(output)])
    assert len(find_data([f"{tmp_path}/several/*"])) == 12
    assert find_data([f"{folder}/colour*"]) == find_photos([f"{folder}/colour*"])
    with pytest.raises(UserError, match="both or neither"):
        find_data([f"{tmp_path}/*"])


def test_photos_and_prepared_ones_are_not_mixed(prepared):
    folder, output, _ = prepared
    with pytest.raises(UserError, match="both or neither"):
        find_data([str(folder), str(output)])
    assert find_data([str(folder)]) == find_photos([str(folder)])


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("photos_per_shard", [1, 100])
def test_workers_share_the_shards_without_overlap(
    photo_folder, tmp_path, workers, photos_per_shard
):
    """Shards are divided as files where there are many, record by record where there is one."""
    paths = find_photos([str(photo_folder(13))])
    prepare(paths, str(tmp_path / "out"), photos_per_shard=photos_per_shard)
    data = find_data([str(tmp_path / "out")])
    seen = []
    for worker in range(workers):
        part = divided(data, worker, workers)
        assert (len(part.photos) < len(data.photos)) == (photos_per_shard == 1)
        found = list(eval_dataset(part, 4, Report(len(part))).as_numpy_iterator())
        own = joined(found, 0, "path").tolist()
        assert len(own) == len(part)
        assert 13 // workers <= len(own) <= 13 // workers + 1
        seen += own
    assert sorted(seen) == sorted(f"colour{number}.png".encode() for number in range(13))
    with pytest.raises(UserError, match="too few"):
        divided(data, 0, 14)


def test_addresses_that_cannot_be_opened_are_refused():
    with pytest.raises(UserError, match=r"cannot open foo://bucket/prepared .*'foo'"):
        find_data(["foo://bucket/prepared"])
