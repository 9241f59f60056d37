"""What an audit can be pointed at, and which packages its options choose."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from conda_prune.audit.item import item_at, redacted
from conda_prune.audit.sources import Directory, Subdir, Url, UrlList, parse_sources
from conda_prune.errors import UsageError
from conda_prune.report.audit.key import in_shard

from ..channels import SUBDIR, index_with_rattler
from ..corpus.entries import PackageSpec
from ..corpus.packages import write_package
from .conftest import audit, judgement, names, results
from .servers import FaultyServer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("conda-forge", "name its subdir"),
        ("linux-64", "name its channel"),
        ("missing", "missing is neither a file nor a directory; if it is a channel, name its subdir, as missing/linux"),
        ("./missing", "does not exist"),
        ("/missing/linux-64", "/missing/linux-64 does not exist; check the path"),
        ("~/missing/linux-64", "does not exist"),
        ("missing.conda", "does not exist"),
        ("https://user:secret@example.org/channel", "https://example.org/channel is a channel; name its"),
    ],
)
def test_an_argument_that_names_no_source_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        parse_sources([text], [])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("options", [["--package", "nothere"], ["--since", "2099-01-01"], ["--latest"]])
@pytest.mark.parametrize(
    "sources", [["channel/linux-64"], ["urls.txt"], ["https://example.org/c/linux-64/a-1-0.conda"]]
)
def test_a_filter_that_needs_an_index_is_refused_without_one(
    options: list[str], sources: list[str], channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "channel" / "linux-64").mkdir(parents=True)
    (tmp_path / "urls.txt").write_text("https://example.org/c/linux-64/a-1-0.conda\n")
    for named in (sources, ["conda-forge/noarch", *sources]):
        done = audit(tmp_path / "out.jsonl", *named, *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"error: {options[0]} needs the index of a channel, and {sources[0]} is read without one; "
            "leave it out, or name the channel by its URL\n"
        )
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        (["output"], "--subdir is for channels, and output is not named as one; leave it out"),
        (["conda-forge", "output"], "--subdir is for channels, and output is not named as one; leave it out"),
        (["https://u:p@h/c/a-1-0.conda"], "--subdir is for channels, and https://h/c/a-1-0.conda is not named as one"),
        (["conda-forge/noarch"], "--subdir is for channels that are named without a subdir; leave it out"),
    ],
)
def test_a_subdir_that_applies_to_no_channel_is_refused(
    sources: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "output").mkdir()
    with pytest.raises(UsageError) as caught:
        parse_sources(sources, ["linux-64"])
    assert str(caught.value).startswith(reason)
    assert parse_sources(["conda-forge/noarch", "robostack"], ["linux-64"]) == [
        Subdir("conda-forge", "noarch"),
        Subdir("robostack", "linux-64"),
    ]


def test_a_local_channel_is_read_by_its_index(channel: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    source = f"{channel.as_uri()}/{SUBDIR}"
    options = ("--package", "stray-3", "--package", "clean-4", "--latest")
    assert audit(output, source, *options).returncode == 0
    found = results(output)
    assert {result["package"]["name"] for result in found.values()} == {"stray-3", "clean-4"}
    assert audit(tmp_path / "files.jsonl", channel).returncode == 0
    for name, expected in results(tmp_path / "files.jsonl").items():
        if name in found:
            assert judgement(found[name]) == judgement(expected)
            assert found[name]["sha256"] == expected["sha256"]
    done = audit(output, source, *options, "--resume")
    assert "(2 were already in the results file)" in done.stdout


def test_filters_that_choose_nothing_are_named(channel: Path, tmp_path: Path) -> None:
    done = audit(tmp_path / "out.jsonl", f"{channel.as_uri()}/{SUBDIR}", "--package", "nothere", "--latest")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no package of the sources matches --package and --latest; check the filters\n"


def test_sources_are_recognized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "output").mkdir()
    (tmp_path / "a.conda").touch()
    (tmp_path / "urls.txt").touch()
    texts = {
        "conda-forge/linux-64": Subdir("conda-forge", "linux-64"),
        "conda-forge/label/rc/noarch": Subdir("conda-forge/label/rc", "noarch"),
        "https://example.org/t/token/channel/win-64/": Subdir("https://example.org/t/token/channel", "win-64"),
        "s3://bucket/channel/osx-arm64": Subdir("s3://bucket/channel", "osx-arm64"),
        "https://example.org/c/linux-64/a-1-0.conda": Url("https://example.org/c/linux-64/a-1-0.conda"),
        "file:///srv/a%20b.conda": Directory(os.path.normpath("/srv/a b.conda")),
        "output": Directory("output"),
        "a.conda": Directory("a.conda"),
        "urls.txt": UrlList("urls.txt"),
    }
    assert parse_sources(list(texts), []) == list(texts.values())
    assert parse_sources(["robostack"], ["linux-64", "noarch"]) == [
        Subdir("robostack", "linux-64"),
        Subdir("robostack", "noarch"),
    ]
    assert parse_sources(["output", "output"], []) == [Directory("output")]


def test_a_package_url_says_its_channel_without_secrets() -> None:
    item = item_at("https://me:secret@example.org/t/tk-123/main/linux-64/a-1-0.conda?X-Amz-Signature=abc")
    assert (item.channel, item.subdir, item.file_name) == ("https://example.org/t/…/main", "linux-64", "a-1-0.conda")
    assert item.shown == "https://example.org/t/…/main/linux-64/a-1-0.conda"
    message = redacted("HTTP status client error (404 Not Found) for url (https://me:secret@example.org/t/x/y)")
    assert message == "HTTP status client error (404 Not Found) for url (https://example.org/t/…/y)"


def test_urls_lists_and_directories_are_judged_alike(channel: Path, tmp_path: Path) -> None:
    with FaultyServer(channel).running() as server:
        some = sorted(names(channel, ".conda"))[:10]
        urls = [f"{server.url}/{SUBDIR}/{name}" for name in some]
        listed = tmp_path / "urls.txt"
        listed.write_text("# some packages\n\n" + "".join(f"{url}\n" for url in urls[3:]) + "not a url\n")
        done = audit(tmp_path / "remote.jsonl", *urls[:3], listed)
    assert done.returncode == 3
    assert "urls.txt:10: 'not a url' is not the URL of a package" in done.stdout
    remote = results(tmp_path / "remote.jsonl")
    assert audit(tmp_path / "local.jsonl", channel).returncode == 0
    local = results(tmp_path / "local.jsonl")
    assert local.keys() == names(channel)
    for name in some:
        assert judgement(remote[name]) == judgement(local[name])
        assert remote[name]["sha256"] is None
        assert local[name]["channel"] == str(channel)
        assert local[name]["subdir"] == SUBDIR
    done = audit(tmp_path / "local.jsonl", channel, "--resume")
    assert f"({len(names(channel))} were already in the results file)" in done.stdout


_USELESS = {
    "http://[::1/linux-64/a-1-0.conda": "its host is invalid",
    "http://me:secret@example.invalid\u2100.org/linux-64/a-1-0.conda": "its host is invalid",
    "file:///tmp/%00/a-1-0.conda": "its path contains a NUL",
}


@pytest.mark.parametrize(("url", "reason"), _USELESS.items())
def test_a_url_at_which_nothing_can_be_costs_no_other_package(url: str, reason: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_package(PackageSpec(name), tmp_path)
    good = sorted(path.as_uri() for path in tmp_path.glob("*.conda"))
    (tmp_path / "urls.txt").write_text(f"{good[0]}\n{url}\n{good[1]}\n", "utf-8")
    done = audit(tmp_path / "out.jsonl", tmp_path / "urls.txt")
    assert done.returncode == 3
    assert done.stdout.startswith("2 packages judged")
    assert f"urls.txt:2: '{redacted(url)}' cannot be read: {reason}" in done.stdout.replace("\\x00", "\0")
    assert "secret" not in done.stdout + (tmp_path / "out.jsonl").read_text()


@pytest.mark.parametrize(
    ("url", "reason"), [*_USELESS.items(), ("http://[::1/linux-64", "its host is invalid"), ("http://[::1/c", "host")]
)
def test_an_argument_at_which_nothing_can_be_is_wrong_usage(url: str, reason: str, tmp_path: Path) -> None:
    done = audit(tmp_path / "out.jsonl", url)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert reason in done.stderr
    assert "check the URL" in done.stderr
    assert "secret" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_a_channel_is_read_by_name_from_its_shards(url: str, tmp_path: Path) -> None:
    done = audit(tmp_path / "out.jsonl", url, "--subdir", SUBDIR, "--package", "stray-3", "--package", "clean-4")
    assert done.returncode == 0
    assert {result["package"]["name"] for result in results(tmp_path / "out.jsonl").values()} == {"stray-3", "clean-4"}


def test_a_channel_that_has_shards_only_is_listed(channel: Path, tmp_path: Path) -> None:
    def fault(request: object) -> str:
        return "404" if "repodata.json" in str(request) else ""

    with FaultyServer(channel, fault).running() as server:
        assert audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}").returncode == 0
    assert results(tmp_path / "out.jsonl").keys() == names(channel)


def test_a_channel_without_shards_is_read_by_name(channel: Path, tmp_path: Path) -> None:
    with FaultyServer(channel, lambda request: "404" if "shards" in request.path else "").running() as server:
        done = audit(tmp_path / "out.jsonl", f"{server.url}/{SUBDIR}", "--package", "stray-3")
    assert done.returncode == 0
    assert len(results(tmp_path / "out.jsonl")) == 1


def test_the_newest_versions_and_uploads_are_chosen(tmp_path: Path) -> None:
    subdir = tmp_path / "channel" / SUBDIR
    subdir.mkdir(parents=True)
    for version, day in (("1.9", 1), ("1.10", 2)):
        for build in ("py311_0", "py312_0"):
            timestamp = {"timestamp": 1704067200000 + day * 86400000}
            write_package(PackageSpec("a", version, build, index_extra=timestamp), subdir)
    index_with_rattler(tmp_path / "channel")
    # The indexer notes the present as the time of upload: without that, the time of the build counts.
    repodata = json.loads((subdir / "repodata.json").read_text())
    for record in repodata["packages.conda"].values():
        del record["indexed_timestamp"]
    for path in subdir.glob("repodata*"):
        path.unlink()
    (subdir / "repodata.json").write_text(json.dumps(repodata))
    with FaultyServer(tmp_path / "channel").running() as server:
        newest = {"a-1.10-py311_0.conda", "a-1.10-py312_0.conda"}
        for number, options in enumerate((["--latest"], ["--since", "2024-01-03"], ["--since", "2024-01-02T12:00Z"])):
            output = tmp_path / f"{number}.jsonl"
            assert audit(output, f"{server.url}/{SUBDIR}", *options).returncode == 0
            assert results(output).keys() == newest
        assert results(output)["a-1.10-py311_0.conda"]["uploaded"] == "2024-01-03T00:00:00Z"


def test_shards_together_give_what_one_run_gives(channel: Path, tmp_path: Path) -> None:
    def lines(*outputs: Path) -> list[str]:
        found = [json.loads(line) | {"seconds": 0} for path in outputs for line in path.read_text().splitlines()]
        return sorted(map(json.dumps, found))

    with FaultyServer(channel).running() as server:
        audit(tmp_path / "whole.jsonl", f"{server.url}/{SUBDIR}")
        parts = [tmp_path / f"part-{number}.jsonl" for number in (1, 2, 3)]
        for number, part in enumerate(parts, 1):
            assert audit(part, f"{server.url}/{SUBDIR}", "--shard", f"{number}/3").returncode == 0
            assert part.stat().st_size > 0
    assert lines(*parts) == lines(tmp_path / "whole.jsonl")


def test_a_shard_depends_on_the_file_name_alone() -> None:
    """These numbers must never change: a run of which a part is repeated by a later version would have gaps."""

    def shard(name: str) -> int:
        return next(number for number in range(1, 9) if in_shard(name, number, 8))

    assert [shard("a-1-0.conda"), shard("b-1-0.conda")] == [1, 3]


@pytest.mark.parametrize("value", ["0/3", "4/3", "x", "1/0"])
def test_a_shard_that_does_not_exist_is_refused(value: str, tmp_path: Path) -> None:
    done = audit(tmp_path / "out.jsonl", "conda-forge/linux-64", "--shard", value)
    assert done.returncode == 2
    assert "is not a shard" in done.stderr


def test_results_hold_no_credentials(channel: Path, tmp_path: Path) -> None:
    shutil.copytree(channel, tmp_path / "served" / "t" / "token-123" / "channel")
    with FaultyServer(
        tmp_path / "served", lambda request: "500" if "clean-1-" in request.path else ""
    ).running() as server:
        address = server.url.replace("://", "://me:secret@")
        source = f"{address}/t/token-123/channel/{SUBDIR}"
        done = audit(tmp_path / "out.jsonl", source, f"{address}/t/token-123/missing/{SUBDIR}", "--retries", 0)
    text = (tmp_path / "out.jsonl").read_text() + done.stdout + done.stderr
    assert len(text.splitlines()) > len(names(channel))
    assert "secret" not in text
    assert "token-123" not in text
    assert set(os.listdir(tmp_path)) == {"served", "out.jsonl"}
