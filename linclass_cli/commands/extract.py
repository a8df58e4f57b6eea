"""``linclass extract``: from images to features in the store."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from linclass_cli.commands.session import Session, command
from linclass_cli.show.compiling import compiling_shown
from linclass_cli.show.progress import progress
from linclass_cli.show.tables import folded, print_line, rows_of, seconds


def add(app: typer.Typer) -> None:
    @command(app, "data", "feature", "memory", "cluster", panel="From images to figures")
    def extract(
        session: Session,
        force: Annotated[
            bool, typer.Option("--force", help="compute them again, even if they are there")
        ] = False,
    ) -> None:
        """Compute the features of a dataset and keep them in the store.

        Plain hog is scikit-image's default: 9 orientations, 8 × 8 cells, 3 × 3 blocks, L2-Hys, on the mean of
        the channels. What is in the store already, intact, is not computed again.

        Example: linclass extract --data cifar10 --feature hog --orientations 12
        """
        from linclass_cli.cluster import use_cluster
        from linclass_cli.extract import extract as fill_store
        from linclass_cli.feature_plan import plan_features
        from linclass_cli.threads import use_threads

        config = session.config
        feature, plan = config.feature.name, plan_features(config)
        with (
            use_threads(config.threads),
            use_cluster(config.cluster, session.notice) as cluster,
            compiling_shown(session.quiet),
            progress(f"extract {feature}", rows_of(feature), session.quiet) as advance,
        ):
            done = fill_store(plan, config, advance, force, session.notice, cluster)

        def show() -> None:
            rows = rows_of(done.feature)
            rate = (
                f"{done.images_per_second:,.0f} {rows}/s" if done.images_per_second is not None else "cached"
            )
            what = f"{done.n_train:,} + {done.n_test:,} {rows}, {done.d} features each"
            of = f"{done.feature} of {done.dataset}: "
            print_line(folded("", f"{of}{what}, {rate}, {seconds(done.seconds)}", "  "))
            print_line(f"  {done.path}")
            print_line(f"next: linclass train{session.typed}")

        session.answer(asdict(done), show)
