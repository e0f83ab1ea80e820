"""The specification's Benchmarks, as written."""


def test_benchmarks(capsys):
    from memorygraph.benchmark import run_all

    report = run_all(sizes=[1000])
    print(report.to_markdown())

    # It "measures throughput (ops/s) and latency (ms/op)" of all of these.
    page = capsys.readouterr().out
    assert "| operation | nodes | ops/s | ms/op |" in page
    for operation in ("remember", "recall", "reason", "similarity_search", "save", "load"):
        assert f"\n| {operation}" in page
