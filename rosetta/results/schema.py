"""What a record may hold: one schema for what a notebook hands over and for what a file says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
from msgspec import Meta

# Texts that a table shows on one line, and the one that explains a row.
Text = Annotated[str, Meta(max_length=500)]
Notes = Annotated[str, Meta(max_length=2000)]
# A part of a path, which leads nowhere else.
Name = Annotated[str, Meta(max_length=100, pattern=r"\A\w[\w.+-]*\Z")]
Key = Annotated[str, Meta(max_length=200)]
Hash = Annotated[str, Meta(max_length=100, pattern=r"\A[\w.+-]*\Z")]
Time = Annotated[str, Meta(pattern=r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")]
Unit = Annotated[str, Meta(pattern=r"\A[a-z]{1,30}\Z")]
LARGEST = 2**63 - 1
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
# Whole numbers stay whole, so that a record that is read and written again is the same.
Amount = Annotated[int, Meta(ge=0, le=LARGEST)] | Annotated[float, Meta(ge=0, le=1e24)]
Number = Annotated[int, Meta(ge=-LARGEST, le=LARGEST)] | Annotated[float, Meta(ge=-1e24, le=1e24)]
Spread = Annotated[list[Number], Meta(min_length=2, max_length=2)]
Losses = Annotated[list[Number | None], Meta(max_length=1_000_000)]


class Machine(TypedDict):
    name: Name
    processor: Text
    vectors: NotRequired[Text | None]
    cores: Count
    threads: Count
    memory_bytes: Count
    accelerator: NotRequired[Text | None]
    accelerator_memory_bytes: NotRequired[Count | None]
    driver: NotRequired[Text | None]
    cuda: NotRequired[Text | None]
    system: Text
    matmul_gflops: NotRequired[Amount | None]  # the best that its run saw
    matmul_last_gflops: NotRequired[Amount | None]  # the last before the row
    accelerator_gflops: NotRequired[dict[Key, Amount | None] | None]


class Difference(TypedDict):
    found: Text | None
    locked: Text | None


class Environment(TypedDict):
    here: NotRequired[bool]
    python: NotRequired[Text]
    packages: NotRequired[dict[Key, Text | None]]
    differs: NotRequired[dict[Key, Difference]]
    libraries: NotRequired[dict[Key, Text | None]]
    variables: NotRequired[dict[Key, Text]]  # those that the row sets
    build_seconds: NotRequired[Count]  # what was not in uv's cache was fetched, too
    bytes: NotRequired[Count]


class Check(TypedDict):
    error: Amount
    limit: Amount


class Seconds(TypedDict):
    seconds: Amount
    cell_seconds: Amount
    sections: NotRequired[dict[Key, Amount]]  # of each section of the notebook, by its tag
    other_cores: NotRequired[Amount]  # busy with other work meanwhile, on average


class Source(TypedDict):
    """Where a data set or the weights came from: the publisher's own file, or a mirror's."""

    kind: Literal["published", "mirror", "synthetic"]
    sha256: NotRequired[Hash | None]


class LastTry(TypedDict):
    """A run that failed after the one whose figures the record keeps."""

    status: Literal["failed"]
    reason: Notes
    started: Time


class Record(TypedDict):
    schema: Literal[1]
    task: Literal["cifar10_cnn", "imdb_gru", "resnet50_features"]
    framework: Name
    notebook: Name
    trains: NotRequired[bool]  # false where a row only runs what others have trained
    status: Literal["ok", "failed", "unavailable"]
    reason: Notes | None
    profile: Literal["smoke", "quick", "full"]
    device: NotRequired[Literal["cpu", "gpu"]]
    data: Literal["real", "synthetic"]
    weights: Literal["initial", "pretrained", "random"]
    data_source: NotRequired[Source | None]
    weights_source: NotRequired[Source | None]
    started: Time
    key: Hash
    key_parts: NotRequired[dict[Key, Hash]]
    parameters: NotRequired[dict[Key, Any]]  # as they are: their hash is a part of the key
    machine: Machine
    environment: Environment
    repeats: NotRequired[Annotated[int, Meta(ge=1, le=1_000_000)]]
    workers: NotRequired[Count]  # of a cluster, which have shared the repeats
    run: NotRequired[Seconds]
    last_try: NotRequired[LastTry]
    # What the notebook says.
    versions: dict[Key, Text]
    checks: dict[Key, Check]
    dialect: dict[Key, Text]
    dialect_losses: NotRequired[Amount | None]
    metrics: dict[Key, Number | None]
    spread: NotRequired[dict[Key, Spread]]
    unit: NotRequired[Unit]
    seed: NotRequired[Count | None]
    threads: NotRequired[Count | None]
    batch_size: NotRequired[Count | None]
    flops_per_example: NotRequired[Amount | None]
    inference_flops_per_example: NotRequired[Amount | None]
    epochs: NotRequired[list[dict[Key, Number | None]]]
    check_losses: NotRequired[Losses | None]
    trained_weights_sha256: NotRequired[str | None]
    notes: NotRequired[Notes | None]
    losses: Losses


_DECODER = msgspec.json.Decoder(Record)


def read(content: bytes) -> dict[str, Any]:
    """Return the record in the bytes of a file, without what the schema does not know.

    Raises ValueError that says what keeps them from being one, and where, whatever their numbers
    and however deep they go.
    """
    try:
        record = _DECODER.decode(content)
    except RecursionError:
        raise ValueError("it is too deeply nested") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except msgspec.MsgspecError as error:
        raise ValueError(_other_schema(content) or _in_words(str(error))) from None
    why = next(_contradictions(record), None)
    if why:
        raise ValueError(why)
    return dict(record)


def _other_schema(content: bytes) -> str | None:
    """Return that a file is of another version, if that is what is wrong with it."""
    try:
        found = msgspec.json.decode(content)["schema"]
    except (msgspec.MsgspecError, RecursionError, LookupError, TypeError):
        return None
    return None if found == 1 else f"schema is {str(found)[:20]}, this version reads 1"


def _contradictions(record: Record) -> Iterator[str]:
    if record["status"] != "ok":
        if not record["reason"]:
            yield f"status is '{record['status']}' without a reason"
        return
    if "unit" not in record:
        yield "'unit' is missing"
    accuracy = record["metrics"].get("accuracy")
    if accuracy is not None and not 0 <= accuracy <= 1:
        yield f"metrics.accuracy is {accuracy:g}, not from 0 to 1"
    for name, value in record["metrics"].items():
        if value is not None and value < 0 and name != "final_loss":
            yield f"metrics.{name} is {value:g}, less than 0"


def _in_words(message: str) -> str:
    """Return msgspec's message as a reader of JSON would say it: "metrics.accuracy: ..."."""
    what, _, where = message.partition(" - at `$")
    what = what.replace("Object missing required field", "missing:").replace("`", "'")
    where = where.rstrip("`").lstrip(".").replace("[...]", "")
    return f"{where}: {what}" if where else what
