"""`python -m bench.learn [FILE …]`: make the weights of models/leads/classifier.py from labelled calls.

Only this program needs scikit-learn. It learns from the calls of bench/leads/learnt.jsonl and of the files
named, which `flask leads export-labelled` writes; never from bench/leads/held_out.jsonl. The same calls give
the same weights.

It learns from each call twice, as it is and with courtesies added (courtesies.jsonl): invented calls stop
when the matter is settled, and the opening and the end of a call must not influence the score.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from bench.leads import FOLDER
from models.leads.classifier import WEIGHTS, ngrams
from models.leads.scoring import Band

#: The number of features that are kept, those of the greatest weight: some fifty kilobytes.
FEATURES = 2_500
#: A feature must occur in this many calls; in fewer it may be chance.
FEWEST = 3
#: The inverse of the penalty on large weights; chosen, like FEATURES, by leaving rounds of calls out.
C = 10.0

#: The caller's words, turn by turn.
Call = list[str]
Courtesies = dict[str, list[str]]


def learn(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The lines of the weights' file, from the rows of the files of labelled calls."""
    courtesies = _courtesies()
    calls = [_caller(row) for row in rows]
    calls += [_longer(call, number, courtesies) for number, call in enumerate(calls)]
    hot = np.array([_is_hot(row) for row in rows] * 2)
    warm = np.array([_is_warm(row) for row in rows] * 2, dtype=object)

    vectors = TfidfVectorizer(analyzer=ngrams, sublinear_tf=True, min_df=FEWEST)
    weights = _fit(vectors.fit_transform(calls), hot, warm)
    spread = np.asarray(vectors.transform(calls).power(2).mean(axis=0)).ravel() ** 0.5
    most = np.argsort(-abs(weights[:, 1:]).max(axis=0) * spread, kind="stable")[:FEATURES]
    vectors = TfidfVectorizer(
        analyzer=ngrams, sublinear_tf=True, vocabulary=sorted(vectors.get_feature_names_out()[most])
    )
    weights = _fit(vectors.fit_transform(calls), hot, warm)
    names, idf = ["", *vectors.get_feature_names_out()], [1.0, *vectors.idf_]
    return [
        f"{name}\t{100 * of_name:.0f}\t{100 * of_hot:.0f}\t{100 * of_warm:.0f}"
        for name, of_name, of_hot, of_warm in zip(names, idf, *weights, strict=True)
    ]


def _fit(vectors: Any, hot: Any, warm: Any) -> Any:  # noqa: ANN401 (scikit-learn has no types)
    """Two rows, for "hot" and for "warm or hot": the intercept, then the weight of each feature."""
    told = np.array([label is not None for label in warm])
    models = (
        LogisticRegression(C=C, max_iter=2_000).fit(vectors, hot),
        LogisticRegression(C=C, max_iter=2_000).fit(vectors[told], warm[told].astype(bool)),
    )
    return np.array([[model.intercept_[0], *model.coef_[0]] for model in models])


def _is_hot(row: dict[str, Any]) -> bool:
    """Whether the call is hot. A booked call counts as hot even if staff judged it not worth a call."""
    if "label" in row:
        return bool(row["label"] == Band.HOT)
    return bool(row["worth_call"] or row["booked"])


def _is_warm(row: dict[str, Any]) -> bool | None:
    """Whether the call is warm or hot; None, for unknown, if it was neither booked nor worth a call."""
    if "label" in row:
        return bool(row["label"] != Band.COLD)
    return True if row["worth_call"] or row["booked"] else None


def _caller(row: dict[str, Any]) -> Call:
    return [each["message"] for each in row["messages"] if each["role"] == "user"]


def _courtesies() -> Courtesies:
    """The callers' words in calls of every kind: openings, pauses, requested details, goodbyes."""
    found = defaultdict[str, list[str]](list)
    for line in (FOLDER / "courtesies.jsonl").read_text("utf-8").rstrip("\n").split("\n"):
        row = json.loads(line)
        found[row["kind"]].append(row["caller"])
    return found


def _longer(call: Call, number: int, courtesies: Courtesies) -> Call:
    """The same call with a courtesy of each kind in its place; `number` decides which."""
    opening, pause, detail, goodbye = (
        courtesies[kind][number * step % len(courtesies[kind])]
        for kind, step in (("opening", 1), ("pause", 3), ("detail", 7), ("goodbye", 5))
    )
    middle = len(call) // 2
    return [opening, *call[:middle], pause, *call[middle:], detail, goodbye]


def main(files: Sequence[Path]) -> None:
    paths = (FOLDER / "learnt.jsonl", *files)
    rows = [json.loads(line) for path in paths for line in path.read_text("utf-8").rstrip("\n").split("\n")]
    lines = learn(rows)
    WEIGHTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines) - 1} features of {len(rows)} calls in {WEIGHTS}")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
