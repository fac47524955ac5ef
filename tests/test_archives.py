"""Archives and servers that are not what they should be: one line, limits, nothing let in."""

import ast
import contextlib
import gzip
import hashlib
import pickle
import socket
import tarfile
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_project import ROOT

from common.weights import SPECS
from rosetta.data import convert, datasets, download
from rosetta.data.download import Damaged, Unreachable
from rosetta.errors import UserError
from rosetta.project import Project

RECORDS = 2  # in each file of the small archives


def quiet(*_: object) -> None:
    """A log, or a progress, that keeps nothing."""


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "CIFAR10_RECORDS", RECORDS)
        patch.setattr(convert, "REVIEWS", 1)
        yield


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def member(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    return header(name, len(content), kind) + content + bytes(-len(content) % 512)


def cifar10() -> bytes:
    names = [*convert.CIFAR10_FILES["train"], *convert.CIFAR10_FILES["test"]]
    return b"".join(member(f"c/{name}", bytes(3073 * RECORDS)) for name in names)


def write(folder: Path, archive: bytes) -> Path:
    file = folder / "archive.tar.gz"
    file.write_bytes(gzip.compress(archive + bytes(1024), 1))
    return file


# --- archives ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["c/data_batch_1.bin", "c/notes.txt"])
def test_a_file_of_5_gb_in_a_small_archive_is_not_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "UNPACKED_LIMIT", 200_000_000)
    archive = tmp_path / "archive.tar.gz"
    with gzip.open(archive, "wb", 1) as stream:
        stream.write(header(name, 5 * 2**30))
        for _ in range(250):
            stream.write(bytes(1_000_000))
    began = time.monotonic()
    tracemalloc.start()
    with pytest.raises(Damaged, match=r"is too large|unpacks to more than 200,000,000 bytes"):
        convert.cifar10(archive, tmp_path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20_000_000 and time.monotonic() - began < 30


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_header_of_5_gb_is_not_read(tmp_path: Path, kind: bytes) -> None:
    archive = write(tmp_path, header("long", 5 * 2**30, kind) + bytes(4096))
    with pytest.raises(Damaged, match="a header in it has 5,368,709,120 bytes"):
        convert.cifar10(archive, tmp_path)


def test_many_small_files_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert, "READ_LIMIT", 100)
    review = member("a/train/neg/1.txt", b"x" * 40)
    with pytest.raises(Damaged, match="too large"):
        convert.imdb(write(tmp_path, review * 3), tmp_path)


def test_weights_of_16_bits_are_named(tmp_path: Path) -> None:
    """NumPy has no bfloat16; of other tensors none is read."""
    import json

    name, shape = next(iter(SPECS["resnet50_features"].items()))
    size = 2 * int(np.prod(shape))
    said = {name: {"dtype": "BF16", "shape": list(shape), "data_offsets": [0, size]}}
    text = json.dumps(said).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))
    with pytest.raises(Damaged, match=f"{name} is not there as float32"):
        convert.resnet50(file, tmp_path)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (self.file,))


def test_no_pickle_is_loaded(tmp_path: Path) -> None:
    """CIFAR-10 in Python's version holds pickles of the same names; so may an .npy or .npz."""
    from common import data, expected

    trap = pickle.dumps(Trap(tmp_path / "loaded"))
    with pytest.raises(Damaged):
        convert.cifar10(write(tmp_path, cifar10() + member("c/test_batch.bin", trap)), tmp_path)
    array = np.array([Trap(tmp_path / "loaded")], dtype=object)
    folder = tmp_path / "data" / "cifar10"
    folder.mkdir(parents=True)
    for name in ("x_train", "y_train"):
        np.save(folder / f"{name}.npy", array, allow_pickle=True)
    (folder / "dataset.json").write_text('{"data": "real"}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROSETTA_DATA", str(tmp_path / "data"))
        with pytest.raises(ValueError):
            data.load("cifar10", "train")
        expected.kept(("key",), lambda: {"a": np.zeros(1)})
        (kept,) = (tmp_path / "data" / "reference").glob("*.npz")
        np.savez(kept, a=array)
        assert expected.kept(("key",), lambda: {"a": np.ones(1)})["a"] == 1
    assert not (tmp_path / "loaded").exists()


def test_nothing_of_ours_can_load_a_pickle() -> None:
    for file in [*(ROOT / "rosetta").rglob("*.py"), *(ROOT / "common").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [each.name for each in node.names] + [getattr(node, "module", "") or ""]
                assert not {"pickle", "marshal", "shelve", "dill", "joblib"} & set(names), file
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
                given = {each.arg: ast.unparse(each.value) for each in node.keywords}
                # Pickles cannot be memory-mapped; NumPy before 1.16.3 would load them otherwise.
                assert given.get("allow_pickle") == "False" or "mmap_mode" in given, file


def inside(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@contextlib.contextmanager
def target() -> Iterator[Path]:
    """A folder to convert into, beside which nothing may change."""
    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / "a" / "b" / "target"
        inner.mkdir(parents=True)
        yield inner
        assert inside(Path(folder)) - {f"a/b/target/{name}" for name in inside(inner)} <= {
            "a", "a/b", "a/b/target", "archive.tar.gz",
        }  # fmt: skip
        wanted = {f"{x}_{part}.npy" for x in "xy" for part in ("train", "test")}
        assert inside(inner) <= {*wanted, "vocabulary.txt"}


CONVERTERS = st.sampled_from([convert.cifar10, convert.imdb])


@given(
    CONVERTERS,
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 255)), max_size=4),
    st.integers(0, 30_000),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_a_damaged_archive_is_called_that(
    converter: object, changes: list[tuple[int, int]], length: int, packed: bool
) -> None:
    review = [
        member(f"a/{p}/{q}/1.txt", b"good") for p in ("train", "test") for q in ("neg", "pos")
    ]
    whole = bytearray(cifar10() + b"".join(review) + bytes(1024))
    whole = bytearray(gzip.compress(whole, 1)) if packed else whole
    for place, value in changes:
        whole[place % len(whole)] = value
    content = bytes(whole[:length])
    with target() as folder:
        archive = folder.parents[2] / "archive.tar.gz"
        archive.write_bytes(content if packed else gzip.compress(content, 1))
        with contextlib.suppress(Damaged):
            converter(archive, folder)


NAMES = st.sampled_from(
    ["../../x.bin", "/tmp/rosetta-outside", "c/../../data_batch_1.bin", "/data_batch_1.bin",
     "../train/neg/../../x.txt", "train/neg/..txt", "train/pos/\udcff.txt", "a\nb/test/pos/1.txt"]
)  # fmt: skip
KINDS = st.sampled_from(
    [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE,
     tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE, b"?"]
)  # fmt: skip


@given(CONVERTERS, st.lists(st.tuples(NAMES, KINDS, st.binary(max_size=30)), max_size=5))
@settings(max_examples=100, deadline=None)
def test_nothing_is_written_outside_whatever_the_names(
    converter: object, members: list[tuple[str, bytes, bytes]]
) -> None:
    content = b"".join(member(*each[:1], each[2], each[1]) for each in members) + cifar10()
    with target() as folder, contextlib.suppress(Damaged):
        converter(write(folder.parents[2], content), folder)
    assert not Path("/tmp/rosetta-outside").exists()


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_as_weights_are_called_damaged(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        file.write_bytes(content)
        with pytest.raises(Damaged):
            convert.resnet50(file, Path(folder))


# --- servers ----------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(*pieces: bytes, pause: float = 0.0, endless: bool = False) -> Iterator[str]:
    """Answer each request with these bytes, whatever is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                with contextlib.suppress(OSError):
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(10_000)
                        for piece in pieces:
                            connection.sendall(piece)
                            time.sleep(pause)
                        while endless:
                            connection.sendall(pieces[-1])
                            time.sleep(pause)
                    continue
                if server.fileno() < 0:
                    return

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.close()


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "STRETCH", 0.5)
    monkeypatch.setattr(download, "PATIENCE", 1.0)


@pytest.mark.usefixtures("impatient")
def test_a_byte_now_and_then_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    slow = "sends less than 20 kB a second"
    with (
        serving(HEAD + b"Content-Length: 9000\r\n\r\n", b"x", pause=0.05, endless=True) as url,
        pytest.raises(Unreachable, match=slow),
    ):
        download.fetch(f"{url}/a.gz", tmp_path / "a.gz", "", 10_000, quiet)
    with (
        serving(HEAD, b"X: 1\r\n", pause=0.05, endless=True) as url,
        pytest.raises(Unreachable, match="no answer in time"),
    ):
        download.read(f"{url}/SHA256SUMS")
    assert time.monotonic() - began < 20


def test_an_endless_checksum_file_is_not_read_to_its_end(project: Project, tmp_path: Path) -> None:
    long = "it has more than 1,048,576 bytes"
    with (
        serving(HEAD + b"\r\n", b"x" * 65_536, endless=True) as url,
        pytest.raises(UserError, match=long),
    ):
        datasets.ensure(project, ["imdb_gru"], url, quiet)
    (tmp_path / "SHA256SUMS").write_bytes(bytes(2**21))
    with pytest.raises(UserError, match=long):
        datasets.ensure(project, ["imdb_gru"], str(tmp_path), quiet)
    (tmp_path / "SHA256SUMS").unlink()
    (tmp_path / "SHA256SUMS").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="it is not a file"):
        datasets.ensure(project, ["imdb_gru"], str(tmp_path), quiet)


@pytest.mark.parametrize("length", ["", "banana", "-5", "1e3", "٣", "9" * 30])
def test_a_length_that_is_no_number_is_left_to_the_checksum(tmp_path: Path, length: str) -> None:
    content = b"content"
    said = f"Content-Length: {length}\r\n\r\n".encode()
    with serving(HEAD + said + content) as url:
        file = tmp_path / "a.gz"
        download.fetch(f"{url}/a.gz", file, hashlib.sha256(content).hexdigest(), 1000, quiet)
        assert file.read_bytes() == content


@pytest.mark.parametrize(
    "answer", [HEAD + b"Content-Length: 999999\r\n\r\n", HEAD + b"\r\n" + b"x" * 5000]
)
def test_more_than_is_promised_is_not_kept(tmp_path: Path, answer: bytes) -> None:
    with serving(answer) as url, pytest.raises(Damaged, match="and should not have 1,000"):
        download.fetch(f"{url}/a.gz", tmp_path / "a.gz", "", 1000, quiet)
    assert not list(tmp_path.iterdir())


def test_an_unasked_416_is_an_answer_like_others(tmp_path: Path) -> None:
    with serving(b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n") as url:
        with pytest.raises(Unreachable, match="answered 416"):
            download.fetch(f"{url}/a.gz", tmp_path / "a.gz", "", 1000, quiet)
        with pytest.raises(Unreachable, match="answered 416"):
            download.read(f"{url}/SHA256SUMS")


@pytest.mark.slow
@given(st.binary(max_size=60))
@settings(max_examples=40, deadline=None)
def test_whatever_a_server_answers_is_said_in_words(answer: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "TIMEOUT", 0.5)
        patch.setattr(download, "PATIENCE", 2.0)
        for content in (answer, HEAD + answer):
            with serving(content) as url, contextlib.suppress(Unreachable, Damaged):
                download.fetch(f"{url}/a.gz", Path(folder) / "a.gz", "", 1000, quiet)


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://", "http://a b/", "http://\udcff/", "http://" + "a" * 70 + ".b/"]
)
def test_what_is_no_address_is_called_that(project: Project, url: str) -> None:
    with pytest.raises(UserError, match="the mirror's SHA256SUMS cannot be read"):
        datasets.ensure(project, ["imdb_gru"], url, quiet)
