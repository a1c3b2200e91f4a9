"""Finds what a query names that the catalogue does not have: a panel, a rule or a page that drifted from it shows nothing, for ever."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from clew.model.catalogue import BY_NAME, CATALOGUE
from clew.model.catalogue.metric import OTHER, Metric

_SAMPLES: Final[dict[str, Metric]] = {sample: metric for metric in CATALOGUE for sample in metric.samples}
_OF_SERIES: Final = ("job", "instance", "__name__")
"""Labels that Prometheus adds itself."""

_STRING: Final = r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\]|\\.)*'"
_SELECTOR: Final = re.compile(rf"([a-zA-Z_:][\w:]*)\s*(\{{(?:[^{{}}\"']|{_STRING})*\}})?")
_MATCHER: Final = re.compile(rf"([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*({_STRING})")
_GROUPING: Final = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_WORDS: Final = frozenset(
    [
        "and",
        "or",
        "unless",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "offset",
        "bool",
        "inf",
        "nan",
        "start",
        "end",
        "sum",
        "avg",
        "min",
        "max",
        "count",
        "stddev",
        "stdvar",
        "topk",
        "bottomk",
        "quantile",
        "count_values",
        "group",
        "abs",
        "absent",
        "absent_over_time",
        "ceil",
        "changes",
        "clamp",
        "clamp_max",
        "clamp_min",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
        "delta",
        "deriv",
        "exp",
        "floor",
        "histogram_quantile",
        "histogram_avg",
        "histogram_count",
        "histogram_sum",
        "holt_winters",
        "hour",
        "idelta",
        "increase",
        "irate",
        "label_join",
        "label_replace",
        "ln",
        "log2",
        "log10",
        "minute",
        "month",
        "predict_linear",
        "rate",
        "resets",
        "round",
        "scalar",
        "sgn",
        "sort",
        "sort_desc",
        "sqrt",
        "time",
        "timestamp",
        "vector",
        "year",
        "avg_over_time",
        "min_over_time",
        "max_over_time",
        "sum_over_time",
        "count_over_time",
        "quantile_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "last_over_time",
        "present_over_time",
        "up",
        "ALERTS",
        "ALERTS_FOR_STATE",
    ]
)
_DURATION: Final = re.compile(r"\[[^\]]*\]|\boffset\s+\S+")
_OPEN_VALUE: Final = re.compile(r"[\\.^$*+?()[\]{}]|\$")
"""In a matcher's value: a pattern or a variable of a dashboard, which no closed set can be compared with."""


def problems(query: str, known: Iterable[str] = ()) -> list[str]:
    """What is wrong with a PromQL query: metrics, labels and label values that the catalogue does not have. Empty when nothing is.

    :param known: further metrics that may be named: of other exporters, or of recording rules
    """
    found = []
    text = _DURATION.sub(" ", query)
    grouped = set()
    for _, names in _GROUPING.findall(text):
        grouped |= {name.strip() for name in names.split(",") if name.strip()}
    text = _GROUPING.sub(" ", text)
    metrics = []
    for name, matchers in _selectors(text):
        metric = _SAMPLES.get(name) or BY_NAME.get(name)
        if name in known or (metric is None and name in _WORDS):
            continue
        if metric is None:
            near = get_close_matches(name, _SAMPLES, n=1)
            found.append(f"the catalogue has no metric {name}{f'; did you mean {near[0]}?' if near else ''}")
        elif name not in metric.samples and metric.type in ("histogram", "summary"):
            found.append(f"{name} is a {metric.type}: it has no series of that name, only {', '.join(metric.samples)}")
        else:
            metrics.append((name, metric))
            found += _matched(name, metric, matchers)
    if metrics and len(metrics) == len(list(_selectors(text, only=known))):
        missing = grouped - _OF_SERIES_SET - {label for name, metric in metrics for label in _labels(name, metric)}
        found += [f"no metric of the query has the label {label}" for label in sorted(missing)]
    return found


_OF_SERIES_SET: Final = frozenset(_OF_SERIES)


def named(text: str) -> set[str]:
    """Metrics of the catalogue that a text names."""
    return {_SAMPLES[word].name for word in re.findall(r"[a-zA-Z_:][\w:]*", text) if word in _SAMPLES} | {
        word for word in re.findall(r"[a-zA-Z_:][\w:]*", text) if word in BY_NAME
    }


def _selectors(text: str, only: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    bare = re.sub(_STRING, lambda string: string[0] if _in_braces(text, string.start()) else '""', text)
    for match in _SELECTOR.finditer(bare):
        name, matchers = match[1], match[2] or ""
        called = bare[match.end() :].lstrip().startswith("(")
        if not (called or name.lower() in _WORDS or _in_braces(bare, match.start()) or _in_string(bare, match.start())) or name in only:
            yield name, matchers


def _in_braces(text: str, at: int) -> bool:
    return text.rfind("{", 0, at) > text.rfind("}", 0, at)


def _in_string(text: str, at: int) -> bool:
    return text.count('"', 0, at) % 2 == 1


def _labels(name: str, metric: Metric) -> tuple[str, ...]:
    more = ("le",) if name.endswith("_bucket") else ("quantile",) if metric.type == "summary" else ()
    return (*metric.label_names, *more)


def _matched(name: str, metric: Metric, matchers: str) -> list[str]:
    found = []
    for label, _, quoted in _MATCHER.findall(matchers):
        value = quoted[1:-1]
        if label in _OF_SERIES:
            continue
        if label not in _labels(name, metric):
            found.append(f"{name} has no label {label}; it has {', '.join(_labels(name, metric)) or 'none'}")
            continue
        declared = next((each for each in metric.labels if each.name == label), None)
        if declared is None or not declared.values:
            continue
        for one in value.split("|"):
            if one and not _OPEN_VALUE.search(one) and one not in (*declared.values, declared.default, OTHER):
                found.append(f'{name} has no {label}="{one}"; it has {", ".join(declared.values)}')
    return found
