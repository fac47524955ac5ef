"""Data sets: downloads from a server of our own, mirrors, conversion, the stand-ins."""

import errno
import gzip
import hashlib
import http.server
import io
import json
import re
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.weights import SPECS
from rosetta import files
from rosetta.data import convert, datasets, download, synthetic
from rosetta.data.download import Damaged, Unreachable
from rosetta.errors import UserError
from rosetta.project import Project

RECORDS, REVIEWS = 20, 3  # in each file, each folder, of the small archives


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`, with ranges; breaks off after `break_after` bytes of each answer."""

    files: dict[str, bytes]
    break_after: int | None = None
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked = {}, []
        self.url = f"http://127.0.0.1:{self.server_port}"

    asked: list[tuple[str, str | None]]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        content = self.server.files.get(self.path.strip("/"))
        if content is None:
            self.send_error(404)
            return
        start = int(re.findall(r"\d+", wanted)[0]) if wanted and self.server.ranges else 0
        if start >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = start + self.server.break_after if self.server.break_after else None
        self.wfile.write(content[start:stop])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def quiet(*_: object) -> None:
    """A log, or a progress, that keeps nothing."""


# --- downloads --------------------------------------------------------------------------------

CONTENT = np.random.RandomState(0).bytes(1_000_000)


def fetch(server: Server, target: Path, progress: download.Progress = quiet) -> None:
    download.fetch(
        f"{server.url}/{target.name}", target, sha256(CONTENT), 2 * len(CONTENT), progress
    )


def test_fetches_with_progress(server: Server, tmp_path: Path) -> None:
    server.files["a.gz"] = CONTENT
    seen: list[tuple[str, int, int]] = []
    fetch(server, tmp_path / "new" / "a.gz", lambda *each: seen.append(each))
    assert (tmp_path / "new" / "a.gz").read_bytes() == CONTENT
    assert seen[0][1] < seen[-1][1] == len(CONTENT)
    assert {each[0] for each in seen} == {"a.gz"} and {each[2] for each in seen} == {len(CONTENT)}
    assert not list(tmp_path.glob("**/*.part"))


def test_resumes_what_broke_off(server: Server, tmp_path: Path) -> None:
    server.files["a.gz"], server.break_after = CONTENT, 300_000
    fetch(server, tmp_path / "a.gz")
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [
        None, "bytes=300000-", "bytes=600000-", "bytes=900000-",
    ]  # fmt: skip


def test_resumes_what_an_earlier_run_left(server: Server, tmp_path: Path) -> None:
    server.files["a.gz"] = CONTENT
    (tmp_path / "a.gz.part").write_bytes(CONTENT[:400_000])
    seen: list[int] = []
    fetch(server, tmp_path / "a.gz", lambda name, done, total: seen.append(done))
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert server.asked == [("/a.gz", "bytes=400000-")] and min(seen) > 400_000


def test_takes_a_whole_part_as_it_is(server: Server, tmp_path: Path) -> None:
    server.files["a.gz"] = CONTENT
    (tmp_path / "a.gz.part").write_bytes(CONTENT)
    fetch(server, tmp_path / "a.gz")
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_starts_over_where_the_server_cannot_resume(server: Server, tmp_path: Path) -> None:
    server.files["a.gz"], server.ranges = CONTENT, False
    (tmp_path / "a.gz.part").write_bytes(CONTENT[:400_000])
    fetch(server, tmp_path / "a.gz")
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_stale_part_is_fetched_once_more(server: Server, tmp_path: Path) -> None:
    server.files["a.gz"] = CONTENT
    (tmp_path / "a.gz.part").write_bytes(b"x" * 400_000)
    fetch(server, tmp_path / "a.gz")
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_wrong_file_is_damaged_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.files["a.gz"] = b"x" * 1000
    with pytest.raises(Damaged, match="SHA-256"):
        fetch(server, tmp_path / "a.gz")
    assert len(server.asked) == 2 and not list(tmp_path.iterdir())


def test_keeps_what_arrived_when_it_gives_up(server: Server, tmp_path: Path) -> None:
    server.files["a.gz"], server.break_after = CONTENT, 10_000
    with pytest.raises(Unreachable, match="broke the transfer off"):
        fetch(server, tmp_path / "a.gz")
    assert (tmp_path / "a.gz.part").stat().st_size == download.ATTEMPTS * 10_000


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9/a.gz", "127.0.0.1 could not be reached (connection refused)"),
        ("http://rosetta.invalid/a.gz", "rosetta.invalid could not be reached"),
    ],
)
def test_says_why_a_host_is_out_of_reach(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=re.escape(message)):
        download.fetch(url, tmp_path / "a.gz", "", 1000, quiet)


def test_says_what_a_server_answered(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=re.escape("answered 404 (Not Found)")):
        fetch(server, tmp_path / "a.gz")


def test_gives_up_soon_on_a_silent_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as silent:  # accepts, never answers
        url = f"http://127.0.0.1:{silent.server_port}/a.gz"
        with pytest.raises(Unreachable, match="no answer in time"):
            download.fetch(url, tmp_path / "a.gz", "", 1000, quiet)


# --- archives ---------------------------------------------------------------------------------


def tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    # Without the time of day, so that the same files make the same archive.
    return gzip.compress(stream.getvalue(), 1, mtime=0)


def cifar10_archive() -> bytes:
    """Records whose label is their number and whose planes are filled with label, 100 and 200."""
    files = {"cifar-10-batches-bin/batches.meta.txt": b"airplane\n"}
    for name in [*convert.CIFAR10_FILES["train"], *convert.CIFAR10_FILES["test"]]:
        rows = [
            bytes([i % 10]) + bytes([i % 10]) * 1024 + b"\x64" * 1024 + b"\xc8" * 1024
            for i in range(RECORDS)
        ]
        files[f"cifar-10-batches-bin/{name}"] = b"".join(rows)
    return tar(files)


def imdb_archive() -> bytes:
    """Three reviews in each folder, in an order on disk that is not that of their names."""
    texts = {"neg": "Bad, bad film<br /><br />it's bad", "pos": "Good film! Naïve?"}
    return tar(
        {
            f"aclImdb/{part}/{label}/{number}_1.txt": f"{texts[label]} n{number}".encode()
            for part in ("train", "test")
            for label in ("pos", "neg")
            for number in (2, 0, 1)
        }
        | {"aclImdb/train/unsup/0_0.txt": b"unlabelled", "aclImdb/README": b"good good good"}
    )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "CIFAR10_RECORDS", RECORDS)
    monkeypatch.setattr(convert, "REVIEWS", REVIEWS)


@pytest.fixture
def mirror(tmp_path: Path, small: None) -> Path:
    """A folder with both archives and their checksums."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    archives = {"cifar-10-binary.tar.gz": cifar10_archive(), "aclImdb_v1.tar.gz": imdb_archive()}
    for name, content in archives.items():
        (folder / name).write_bytes(content)
    write_sums(folder)
    return folder


def write_sums(folder: Path) -> None:
    files = [file for file in sorted(folder.iterdir()) if file.name != "SHA256SUMS"]
    lines = [f"{sha256(file.read_bytes())}  {file.name}\n" for file in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishers that refuse to be reached."""
    for name, each in datasets.DATASETS.items():
        nowhere = replace(each, url="http://127.0.0.1:9/" + each.file)
        monkeypatch.setitem(datasets.DATASETS, name, nowhere)


def test_converts_cifar10(project: Project, mirror: Path) -> None:
    found = datasets.ensure(project, ["cifar10_cnn"], str(mirror), quiet)
    archive = sha256((mirror / "cifar-10-binary.tar.gz").read_bytes())
    assert found["cifar10_cnn"] == {
        "data": "real",
        "weights": "initial",
        "data_source": {"kind": "mirror", "sha256": archive},
        "weights_source": None,
        "reason": None,
    }
    x = np.load(project.data / "cifar10" / "x_train.npy", mmap_mode="r")
    y = np.load(project.data / "cifar10" / "y_train.npy")
    assert x.shape == (5 * RECORDS, 3, 32, 32) and x.dtype == np.uint8
    assert y.dtype == np.int64 and list(y[:12]) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert (x[7, 0] == 7).all() and (x[7, 1] == 100).all() and (x[7, 2] == 200).all()
    assert np.load(project.data / "cifar10" / "x_test.npy").shape == (RECORDS, 3, 32, 32)


def test_converts_imdb(project: Project, mirror: Path) -> None:
    datasets.ensure(project, ["imdb_gru"], str(mirror), quiet)
    folder = project.data / "imdb"
    # Nine bad; six film; three each of good, it's, na and ve; two each of n0, n1, n2.
    words = (folder / "vocabulary.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert words == ["bad", "film", "good", "it's", "na", "ve", "n0", "n1", "n2"]
    x, y = np.load(folder / "x_train.npy"), np.load(folder / "y_train.npy")
    assert x.shape == (6, 150) and x.dtype == np.int32 and y.dtype == np.int64
    assert list(y) == [0, 0, 0, 1, 1, 1]
    bad, film, good, its, na, ve, n0, n1, _ = range(3, 12)
    assert list(x[0][-8:]) == [0, 1, bad, bad, film, its, bad, n0]
    assert list(x[4][-7:]) == [0, 1, good, film, na, ve, n1]


def test_converts_the_weights_in_canonical_order(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    spec = SPECS["resnet50_features"]
    tensors = {name: np.full(spec[name], i, np.float32) for i, name in enumerate(spec)}
    tensors["fc.weight"] = np.zeros((1000, 2048), np.float32)
    save_file(dict(reversed(tensors.items())), tmp_path / "model.safetensors")
    convert.resnet50(tmp_path / "model.safetensors", tmp_path)
    flat = np.load(tmp_path / "weights.npy", mmap_mode="r")
    assert flat.shape == (23_561_152,) and flat.dtype == np.float32
    assert (np.diff(flat) >= 0).all() and flat[-1] == len(spec) - 1


@pytest.mark.parametrize("change", ["lost", "reshaped", "halved", "no safetensors"])
def test_other_weights_are_damaged(tmp_path: Path, change: str) -> None:
    from safetensors.numpy import save_file

    file = tmp_path / "model.safetensors"
    tensors = {
        name: np.zeros(shape, np.float32) for name, shape in SPECS["resnet50_features"].items()
    }
    name = "layer1.0.conv1.weight"
    if change == "lost":
        del tensors[name]
    elif change == "reshaped":
        tensors[name] = tensors[name].reshape(-1)
    elif change == "halved":
        tensors[name] = tensors[name].astype(np.float16)
    save_file(tensors, file)
    if change == "no safetensors":
        file.write_bytes(b"<html>")
    with pytest.raises(
        Damaged, match="not a safetensors file" if change == "no safetensors" else name
    ):
        convert.resnet50(file, tmp_path)
    assert not (tmp_path / "weights.npy").exists()


words = st.text("ab'9 ,<br />É\n", max_size=40)


@given(words)
def test_words_are_runs_of_letters_digits_and_apostrophes(text: str) -> None:
    found = convert.words(text)
    assert all(re.fullmatch(r"[a-z0-9']+", word) for word in found)
    assert convert.words(text.upper().replace("<BR />", "<br />")) == found
    assert convert.words(" ".join(found)) == found


@given(st.lists(st.sampled_from(["good", "bad", "rare"]), max_size=400))
def test_a_review_is_its_last_150_ids_padded_in_front(text: list[str]) -> None:
    ids = convert.encode(text, {"good": 3, "bad": 4})
    real = [each for each in ids if each]
    assert len(ids) == 150 and ids == [0] * (150 - len(real)) + real
    whole = [1] + [{"good": 3, "bad": 4, "rare": 2}[word] for word in text]
    assert real == whole[-150:]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_called_that_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full.tmp").symlink_to("/dev/full")
    monkeypatch.setattr(files, "beside", lambda path: tmp_path / "full.tmp")
    with pytest.raises(OSError) as error:
        convert.save(tmp_path / "x.npy", np.zeros((100, 100)))
    assert error.value.errno == errno.ENOSPC and not list(tmp_path.iterdir())


def test_the_vocabulary_has_room_for_three_ids_that_are_no_words() -> None:
    found = convert.vocabulary(f"w{number:05d}" for number in range(40_000))
    assert len(found) == 29_997 and found == sorted(found)


# --- mirrors ----------------------------------------------------------------------------------


def test_a_second_time_does_nothing(project: Project, mirror: Path) -> None:
    datasets.ensure(project, ["cifar10_cnn", "imdb_gru"], str(mirror), quiet)
    lines: list[str] = []
    found = datasets.ensure(project, ["cifar10_cnn", "imdb_gru"], None, lines.append)
    assert lines == [] and {each["data"] for each in found.values()} == {"real"}
    assert datasets.plan(project, ["cifar10_cnn", "imdb_gru"]) == []


def test_says_that_a_mirror_is_not_the_published_file(project: Project, mirror: Path) -> None:
    datasets.ensure(project, ["cifar10_cnn"], str(mirror), quiet)
    text = (project.data / "cifar10" / "dataset.json").read_text(encoding="utf-8")
    facts = json.loads(text)
    assert facts["data"] == "real" and facts["published"] is False
    assert facts["sha256"] == sha256((mirror / "cifar-10-binary.tar.gz").read_bytes())
    assert str(mirror) not in text


def test_takes_a_mirror_from_the_web(project: Project, mirror: Path, server: Server) -> None:
    server.files = {f"m/{file.name}": file.read_bytes() for file in mirror.iterdir()}
    found = datasets.ensure(project, ["imdb_gru"], f"{server.url}/m/", quiet)
    assert found["imdb_gru"]["data"] == "real"
    assert not (project.data / "downloads").exists()


def test_tries_a_mirror_after_the_publisher_failed(
    project: Project, mirror: Path, offline: None
) -> None:
    assert datasets.ensure(project, ["imdb_gru"], None, quiet)["imdb_gru"]["data"] == "synthetic"
    found = datasets.ensure(project, ["imdb_gru"], str(mirror), quiet)
    assert (found["imdb_gru"]["data"], found["imdb_gru"]["reason"]) == ("real", None)


def test_weights_come_from_a_mirror_or_else_from_their_publisher(
    project: Project, mirror: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert_to(archive: Path, target: Path) -> None:
        (target / "weights.npy").write_bytes(archive.read_bytes())

    monkeypatch.setitem(convert.CONVERTERS, "resnet50", convert_to)
    archive = mirror / "cifar-10-binary.tar.gz"
    found = datasets.ensure(project, ["resnet50_features"], str(mirror), quiet)
    assert found["resnet50_features"] == {
        "data": "real",
        "weights": "random",
        "data_source": {"kind": "mirror", "sha256": sha256(archive.read_bytes())},
        "weights_source": None,
        "reason": "ResNet-50 weights: 127.0.0.1 could not be reached (connection refused)",
    }
    (mirror / "resnet50.safetensors").write_bytes(b"weights")
    write_sums(mirror)
    found = datasets.ensure(project, ["resnet50_features"], str(mirror), quiet)
    assert found["resnet50_features"]["weights"] == "pretrained"
    source = {"kind": "mirror", "sha256": sha256(b"weights")}
    assert found["resnet50_features"]["weights_source"] == source
    assert (project.data / "resnet50" / "weights.npy").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "SHA256SUMS").unlink(), "the mirror has no SHA256SUMS: make it"),
        (lambda folder: (folder / "SHA256SUMS").write_text("\n"), "names no file"),
        (lambda folder: folder.rename(folder.with_name("moved")), "no such folder"),
        (lambda folder: (folder / "aclImdb_v1.tar.gz").unlink(), "does not hold it"),
        (lambda folder: (folder / "aclImdb_v1.tar.gz").write_bytes(b"x"), "is damaged"),
    ],
)
def test_a_bad_mirror_is_one_clear_line(
    project: Project, mirror: Path, spoil: object, message: str
) -> None:
    spoil(mirror)  # type: ignore[operator]
    with pytest.raises(UserError, match=message) as error:
        datasets.ensure(project, ["imdb_gru"], str(mirror), quiet)
    assert "\n" not in str(error.value) and str(mirror) not in str(error.value)


def test_a_mirror_on_the_web_without_checksums(project: Project, server: Server) -> None:
    with pytest.raises(UserError, match=r"SHA256SUMS cannot be read .*404"):
        datasets.ensure(project, ["imdb_gru"], server.url, quiet)


def test_a_mirror_that_lacks_what_is_asked_for(project: Project, mirror: Path) -> None:
    (mirror / "aclImdb_v1.tar.gz").unlink()
    write_sums(mirror)
    with pytest.raises(UserError, match=r"has no aclImdb_v1\.tar\.gz: add it"):
        datasets.ensure(project, ["imdb_gru"], str(mirror), quiet)


@pytest.mark.parametrize("name", ["cifar-10-binary.tar.gz", "aclImdb_v1.tar.gz"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_archive_in_a_mirror(
    project: Project, mirror: Path, name: str, damage: str
) -> None:
    whole = (mirror / name).read_bytes()
    half = len(whole) // 2
    broken = {
        "cut": whole[:half],
        "flipped": whole[:half] + bytes([whole[half] ^ 255]) + whole[half + 1 :],
        "empty": b"",
        "other": tar({"readme.txt": b"hello"}),
    }
    (mirror / name).write_bytes(broken[damage])
    write_sums(mirror)  # which vouches for the damage
    task = "cifar10_cnn" if "cifar" in name else "imdb_gru"
    with pytest.raises(UserError, match=rf"^{re.escape(name)} is damaged \(.*put a whole one"):
        datasets.ensure(project, [task], str(mirror), quiet)
    (mirror / name).write_bytes(whole)  # the user's file was left alone; now it is mended
    write_sums(mirror)
    assert datasets.ensure(project, [task], str(mirror), quiet)[task]["data"] == "real"


# --- publishers -------------------------------------------------------------------------------


def publish(
    monkeypatch: pytest.MonkeyPatch, server: Server, name: str, content: bytes, promised: bytes
) -> None:
    each = datasets.DATASETS[name]
    url = f"{server.url}/{each.file}"
    monkeypatch.setitem(datasets.DATASETS, name, replace(each, url=url, sha256=sha256(promised)))
    server.files[each.file] = content


def test_fetches_from_the_publisher_once(
    project: Project, small: None, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server, "imdb", imdb_archive(), imdb_archive())
    for _ in range(2):
        found = datasets.ensure(project, ["imdb_gru"], None, quiet)
        assert found["imdb_gru"]["data"] == "real"
    assert len(server.asked) == 1
    facts = json.loads((project.data / "imdb" / "dataset.json").read_text(encoding="utf-8"))
    assert facts["published"] and facts["source"] == f"{server.url}/aclImdb_v1.tar.gz"
    assert not (project.data / "downloads").exists()


def test_a_damaged_download_is_removed_and_fetched_anew(
    project: Project, small: None, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server, "imdb", b"<html>", imdb_archive())
    with pytest.raises(UserError, match=r"aclImdb_v1\.tar\.gz is damaged .*run again"):
        datasets.ensure(project, ["imdb_gru"], None, quiet)
    server.files["aclImdb_v1.tar.gz"] = imdb_archive()
    assert datasets.ensure(project, ["imdb_gru"], None, quiet)["imdb_gru"]["data"] == "real"


def test_an_unfinished_conversion_is_done_again(
    project: Project, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "save_text", killed)
    with pytest.raises(KeyboardInterrupt):
        datasets.ensure(project, ["imdb_gru"], str(mirror), quiet)
    monkeypatch.undo()
    monkeypatch.setattr(convert, "REVIEWS", REVIEWS)
    found = datasets.ensure(project, ["imdb_gru"], str(mirror), quiet)
    assert found["imdb_gru"]["data"] == "real" and (project.data / "imdb/vocabulary.txt").exists()


def test_synthetic_data_stand_in_and_say_why(project: Project, offline: None) -> None:
    lines: list[str] = []
    began = time.monotonic()
    found = datasets.ensure(project, datasets.TASK_DATASETS, None, lines.append)
    assert time.monotonic() - began < 10
    assert [each["data"] for each in found.values()] == ["synthetic"] * 3
    assert found["cifar10_cnn"]["weights"] == "initial"
    assert found["resnet50_features"]["weights"] == "random"
    reason = "127.0.0.1 could not be reached (connection refused)"
    assert found["imdb_gru"]["reason"] == f"IMDB reviews: {reason}"
    assert f"IMDB reviews: {reason}, synthetic data stand in" in lines
    facts = json.loads((project.data / "synthetic/imdb/dataset.json").read_text(encoding="utf-8"))
    assert facts["data"] == "synthetic"


def test_an_unreachable_publisher_is_left_in_peace_for_an_hour(
    project: Project, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(download, "fetch", lambda url, *_: asked.append(url) or refuse())
    first = datasets.ensure(project, ["imdb_gru"], None, quiet)
    (project.data / ".lock").unlink(missing_ok=True)
    assert datasets.ensure(project, ["imdb_gru"], None, quiet) == first and len(asked) == 1
    assert not (project.data / ".lock").exists()  # nor is anything written
    datasets.ensure(project, ["imdb_gru"], None, quiet, retry=True)
    assert len(asked) == 2
    later = time.time() + datasets.FORGET_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert datasets.plan(project, ["imdb_gru"]) == ["IMDB reviews: 84 MB"]
    datasets.ensure(project, ["imdb_gru"], None, quiet)
    assert len(asked) == 3


def refuse() -> None:
    raise Unreachable("it could not be reached")


def test_real_data_replace_the_synthetic_ones(
    project: Project,
    offline: None,
    small: None,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    datasets.ensure(project, ["imdb_gru"], None, quiet)
    publish(monkeypatch, server, "imdb", imdb_archive(), imdb_archive())
    found = datasets.ensure(project, ["imdb_gru"], None, quiet, retry=True)
    assert (found["imdb_gru"]["data"], found["imdb_gru"]["reason"]) == ("real", None)


def test_progress_by_line_is_a_few_lines() -> None:
    lines: list[str] = []
    progress = datasets._by_line(lines.append)
    for done in range(0, 101):
        progress("a.gz", done * 1_000_000, 100_000_000)
    assert lines == [f"a.gz: {done} of 100 MB" for done in (20, 40, 60, 80, 100)]


# --- stand-ins --------------------------------------------------------------------------------


def load(folder: Path) -> list[np.ndarray]:
    return [np.load(folder / f"{n}_{part}.npy") for part in ("train", "test") for n in "xy"]


def test_synthetic_pictures_can_be_learnt(tmp_path: Path) -> None:
    synthetic.write(tmp_path, "cifar10")
    x, y, x_test, y_test = load(tmp_path)
    assert x.shape == (12_800, 3, 32, 32) and x.dtype == np.uint8 and y.dtype == np.int64
    assert x_test.shape == (2_000, 3, 32, 32)
    means = np.stack([x[y == label].mean(axis=0).ravel() for label in range(10)])
    flat = x_test[:500].reshape(500, -1).astype(np.float64)
    nearest = ((flat[:, None] - means[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == y_test[:500]).mean() > 0.9


def test_synthetic_reviews_can_be_learnt(tmp_path: Path) -> None:
    synthetic.write(tmp_path, "imdb")
    x, y, x_test, y_test = load(tmp_path)
    assert x.shape == (12_800, 150) and x.dtype == np.int32 and y.dtype == np.int64
    assert x.min() == 0 and 0 < x.max() < 30_000 and 0.45 < y.mean() < 0.55
    counts = [np.bincount(x[y == label].ravel(), minlength=30_000) + 1.0 for label in (0, 1)]
    weight = np.log(counts[1] / counts[1].sum()) - np.log(counts[0] / counts[0].sum())
    assert ((weight[x_test].sum(axis=1) > 0) == y_test).mean() > 0.8
    first = (x != 0).argmax(axis=1)
    rows = np.arange(len(x))
    assert (x[rows, first][first > 0] == 1).all()  # a review that is not cut has its start
    assert len((tmp_path / "vocabulary.txt").read_text().split()) == 29_997
