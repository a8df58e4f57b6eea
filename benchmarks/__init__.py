"""What measures linclass against its peers: ``python -m benchmarks NAME [--json]``.

Every entry (linclass, or a peer) lives in a process of its own, started once, and they take turns:
A B C A B C … Data and preparation are the same for all, imports and first calls are reported apart, and what
was reached is recomputed in float64, so that times are compared at an equal objective.

    measure.py    taking turns, statistics, hardware, versions
    workers.py    a process for every entry; processes.py: whole commands
    report.py     entries, groups, the table, the JSON
    data.py       CIFAR-10, or a stand-in of its shape
    exact.py      objectives in float64, and their optimum
    ours.py       linclass, as an entry
    peers.py      the peers of ``fit``, one function each; rivals.py: which loss has which
    machine.py    memory bandwidth and sgemm peak

and for each benchmark a file: hog, extract (extract_peer), passes (many), fit, cv (cv_peers), startup,
scaling.

The peers are the extra ``bench``: ``pip install -e '.[bench]'``; where one of them does not install, install
the others by name: whatever is not there is reported as such, and the rest is measured.
"""
