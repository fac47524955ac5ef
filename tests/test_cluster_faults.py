"""What may befall a cluster: what was finished is kept, and nothing is left behind."""

import json
import re
import signal
import subprocess
import threading
import time
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from dask_cluster import Cluster, cluster_of, wait_until
from small_project import add_row, fill, living, options, record_of, start
from test_cluster import listing, nothing_is_left, run

from rosetta.errors import UserError
from rosetta.project import Project
from rosetta.runs import cluster, pool, runner, travel

pytestmark = pytest.mark.slow


def kill_the_worker_of(on: Cluster) -> None:
    """Kill the worker that executes the endless notebook, as for want of memory."""
    (running,) = on.wait_for_a_kernel().values()
    running.parent().kill()
    wait_until(lambda: not running.is_running() or running.status() == psutil.STATUS_ZOMBIE, 30)


def start_client(project: Project, on: Cluster, *arguments: str) -> subprocess.Popen[str]:
    return start(project, "--scheduler", on.address, *arguments)


def test_a_worker_killed_in_a_run(project: Project, tmp_path: Path) -> None:
    """Its run is given to another worker, once; if that is killed too, it has failed."""
    fill(project, {"a": "ok_record", "b": "endless_loop"})
    with cluster_of(tmp_path / "cluster", project, "one", "two") as on:
        client = start_client(project, on)
        wait_until(lambda: list(project.results.glob("*/*/*/a.json")))
        kill_the_worker_of(on)
        kill_the_worker_of(on)
        said, _ = client.communicate(timeout=90)
        assert client.returncode == runner.FAILED, said
        assert said.count("was lost while it ran cifar10_cnn b: once more") == 1
        assert record_of(project, "a")["status"] == "ok"
        record = record_of(project, "b")
        assert record["status"] == "failed"
        assert record["reason"].startswith("its worker was lost 2 times while it ran: killed, or")
        nothing_is_left(project, on)


def test_a_worker_that_is_slow_to_hand_over_what_it_made(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine whose cores are all busy: it is waited for, not taken for lost."""
    fill(project, {"a": "ok_record"})
    with cluster_of(tmp_path / "cluster", project, "one") as on:
        workers = pool.Pool(on.address, *travel.pack(project), print)
        (worker,) = workers.refresh()
        described = {"ask": "describe", "options": asdict(options(python=None))}
        workers.ask(worker, json.loads(json.dumps(described)), "this", leased=True)
        (asked,) = workers._asked.values()
        wait_until(lambda: asked.future.status == "finished")
        monkeypatch.setattr(pool, "CONNECT_SECONDS", 1.0)
        on.processes[-1].send_signal(signal.SIGSTOP)
        try:
            assert workers.reply() is None
            assert workers.waiting
            assert worker.busy
        finally:
            on.processes[-1].send_signal(signal.SIGCONT)
        monkeypatch.setattr(pool, "CONNECT_SECONDS", 30.0)
        reply = workers.reply()
        assert (reply.about, reply.lost, reply.fault) == ("this", False, None)
        assert "answer.json" in reply.files
        assert not worker.busy
        workers.close()


def test_no_worker_is_left(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run waits for one a while, and then says how to start one."""
    monkeypatch.setattr(cluster, "WAIT_SECONDS", 3.0)
    fill(project, {"a": "endless_loop", "b": "ok_record"})
    with cluster_of(tmp_path / "cluster", project, "one") as on:
        killer = threading.Thread(target=kill_the_worker_of, args=(on,))
        killer.start()
        with pytest.raises(UserError) as error:
            run(project, on)
        killer.join()
        assert re.search(
            r"no worker is left for 2 notebooks on \S+: start one with 'dask worker tcp:.*"
            r"What was finished is recorded; the same command goes on from there",
            str(error.value),
        )
        nothing_is_left(project, on)
        fill(project, {"a": "ok_record"})
        on.start_worker("one")
        on.wait_for_workers(1)
        assert run(project, on)[0] == runner.OK


def test_the_disk_of_a_host_is_full(project: Project, tmp_path: Path) -> None:
    """That host is set aside, the others do its work; where there is none, the run ends."""
    full = tmp_path / "cluster" / "full"
    full.mkdir(parents=True)
    mounted = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(full)]
    if subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("only root can make a small disk")
    fill(project, {"a": "ok_record", "b": "ok_record"})
    try:
        with cluster_of(tmp_path / "cluster", project, "full") as on:
            with pytest.raises(UserError, match=r"no worker is of use: .* the disk is full: make"):
                run(project, on)
            on.start_worker("two")
            on.wait_for_workers(2)
            code, said = run(project, on)
            assert code == runner.OK
            assert re.search(r"is set aside: \S+: the disk is full: make room there", said)
            assert said.count("set aside") == 1
            assert {record_of(project, row)["status"] for row in "ab"} == {"ok"}
            nothing_is_left(project, on)
            assert not list(full.glob("checkouts/*"))
    finally:
        subprocess.run(["umount", str(full)], check=True)


def test_the_scheduler_is_lost(project: Project, tmp_path: Path) -> None:
    fill(project, {"a": "ok_record", "b": "endless_loop"})
    with cluster_of(tmp_path / "cluster", project, "one", "two") as on:
        client = start_client(project, on)
        wait_until(lambda: list(project.results.glob("*/*/*/a.json")))
        on.wait_for_a_kernel()
        on.scheduler.kill()
        said, _ = client.communicate(timeout=90)
        assert client.returncode == runner.BAD_INPUT, said
        assert f"run_all.py: the scheduler at {on.address} is lost: start it and its" in said
        assert "Traceback" not in said and "set aside" not in said
        assert record_of(project, "a")["status"] == "ok"
        assert not list(project.results.glob("*/*/*/b.*"))
        nothing_is_left(project, on)
        fill(project, {"b": "ok_record"})
        on.start_scheduler()
        on.start_worker("three")
        on.wait_for_workers(1)
        code, said = run(project, on)
        assert (code, "2 notebooks, 1 to run, 1 up to date" in said) == (runner.OK, True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_client_is_killed_and_started_again(
    project: Project, tmp_path: Path, number: signal.Signals
) -> None:
    """The workers stop what nobody waits for; the next client goes on at once."""
    fill(project, {"a": "ok_record", "b": "endless_loop", "c": "endless_loop"})
    with cluster_of(tmp_path / "cluster", project, "one", "two") as on:
        client = start_client(project, on)
        wait_until(lambda: list(project.results.glob("*/*/*/a.json")))
        wait_until(lambda: len(on.answering()) == 2)
        on.wait_for_a_kernel()
        client.send_signal(number)
        said, _ = client.communicate(timeout=60)
        expected = runner.INTERRUPTED if number == signal.SIGINT else -number
        assert client.returncode == expected, said
        fill(project, {"b": "ok_record", "c": "ok_record"})
        code, said = run(project, on)  # at once: the workers have yet to stop
        assert (code, "3 notebooks, 2 to run, 1 up to date" in said) == (runner.OK, True)
        nothing_is_left(project, on)


def test_a_kernel_that_hangs(project: Project, tmp_path: Path) -> None:
    fill(project, {"a": "endless_loop", "b": "ok_record"})
    with cluster_of(tmp_path / "cluster", project, "one") as on:
        code, _ = run(project, on, timeout=15.0)
        assert code == runner.FAILED
        assert record_of(project, "a")["reason"] == "exceeded the limit of 15 s (in train)"
        assert record_of(project, "b")["status"] == "ok"
        nothing_is_left(project, on)


def test_two_clients_on_one_scheduler(project: Project, tmp_path: Path) -> None:
    """Each gets all of its own, and no worker does two runs at a time."""
    other = Project(tmp_path / "other")
    for folder in (other.frameworks, other.notebooks, other.common):
        folder.mkdir(parents=True)
    fill(project, {"a": "slow", "b": "slow"})
    fill(other, {"a": "slow", "c": "slow"})
    with cluster_of(tmp_path / "cluster", project, "one") as on:
        clients = [start_client(each, on) for each in (project, other)]
        most = 0
        while any(client.poll() is None for client in clients):
            most = max(most, kernels(on))
            time.sleep(0.05)
        said = [client.communicate()[0] for client in clients]
        assert [client.returncode for client in clients] == [runner.OK, runner.OK], said
        assert most == 1
        assert record_of(other, "c")["status"] == record_of(project, "b")["status"] == "ok"
        nothing_is_left(project, on)


def kernels(on: Cluster) -> int:
    """How many kernels execute notebooks now."""
    found = 0
    for process in psutil.process_iter():
        try:
            here = process.environ().get("ROSETTA_WORK", "").startswith(str(on.folder))
            found += here and "start_kernel" in " ".join(process.cmdline())
        except psutil.Error:
            continue
    return found


def test_one_device_given_to_two_workers(project: Project, tmp_path: Path) -> None:
    """Two workers of one host that were not told apart: still one run at a time."""
    fill(project, {"a": "slow", "b": "slow", "c": "slow"})
    with cluster_of(tmp_path / "cluster", project, "host") as on:
        on.start_worker("host")
        on.wait_for_workers(2)
        client = start_client(project, on)
        most = 0
        while client.poll() is None:
            most = max(most, kernels(on))
            time.sleep(0.05)
        said = client.communicate()[0]
        assert (client.returncode, most) == (runner.OK, 1), said
        assert len(set(re.findall(r"on (tcp://\S+) \.\.\.", said))) == 2


def test_a_worker_whose_copy_of_the_checkout_was_changed(project: Project, tmp_path: Path) -> None:
    """It is set aside: what it would run is not what this checkout holds."""
    fill(project, {"a": "ok_record"})
    with cluster_of(tmp_path / "cluster", project, "one") as on:
        assert run(project, on)[0] == runner.OK
        (copy,) = on.folder.glob("one/checkouts/*")
        (copy / "common" / "tasks.py").write_text("x = 1\n")
        with pytest.raises(
            UserError, match=r"common/tasks.py in it was changed: remove the folder"
        ):
            run(project, on, force=True)
        on.start_worker("two")
        on.wait_for_workers(2)
        code, said = run(project, on, force=True)
        assert (code, said.count("is set aside")) == (runner.OK, 1)


def test_a_record_of_another_version_is_not_taken(project: Project, tmp_path: Path) -> None:
    fill(project, {"a": "ok_record"})
    with cluster_of(tmp_path / "cluster", project, "one") as on:
        listing(project, on)
        (copy,) = on.folder.glob("one/checkouts/*")
        (copy / "common" / "more.py").write_text("x = 1\n")
        with pytest.raises(UserError, match=r"it ran another version of this checkout: remove"):
            run(project, on)
        assert not project.results.exists()


def test_a_host_without_the_interpreter_of_a_row(project: Project, tmp_path: Path) -> None:
    """Other hosts are asked; where none has it, that is recorded and is no failure."""
    fill(project, {"a": "ok_record"})
    add_row(project, "a")
    file = project.frameworks / "a.toml"
    file.write_text(re.sub(r'python = ".*"', 'python = "3.1"', file.read_text()))
    with cluster_of(tmp_path / "cluster", project, "one", "two") as on:
        code, said = run(project, on, python=None)
        assert code == runner.OK
        assert len(set(re.findall(r"on (tcp://\S+) \.\.\.", said))) == 2
        record = record_of(project, "a")
        assert record["status"] == "unavailable"
        assert record["reason"].startswith("needs Python 3.1, which is not on the PATH")
        nothing_is_left(project, on)


def test_living_sees_the_kernels_of_a_worker(project: Project, tmp_path: Path) -> None:
    """Otherwise the tests above would prove nothing of what is left behind."""
    fill(project, {"a": "endless_loop"})
    with cluster_of(tmp_path / "cluster", project, "one") as on:
        client = start_client(project, on)
        on.wait_for_a_kernel()
        assert any("start_kernel" in each for each in living(project))
        client.send_signal(signal.SIGTERM)
        client.communicate(timeout=60)
        assert client.returncode == runner.INTERRUPTED
        nothing_is_left(project, on)
