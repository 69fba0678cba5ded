"""Writes golden.json: inputs, and what independent tools say about them. The tests of libs/stats compare to it.

Run by hand after changing it (no test runs Python):
    python3 -m venv VENV
    VENV/bin/pip install numpy==2.4.6 pandas==2.3.3 scipy==1.17.1 scikit-learn==1.9.1 fairlearn==0.15.0 statsmodels==0.15.0 \
        evidently==0.7.23 nannyml==0.13.1 aif360==0.6.1 ddsketch==3.0.1
    VENV/bin/python make_golden.py
Every number is computed by the named tool, none by code of this repository. Long samples are not stored: both sides
compute x_i = (i * 0.618033988749895) mod 1, which is the same in every IEEE arithmetic.
"""

import json
import os
import pathlib
import warnings
from importlib.metadata import version

os.environ["DO_NOT_TRACK"] = "1"  # Evidently and NannyML report their use otherwise
os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
warnings.filterwarnings("ignore")

import numpy as np
import pandas as pd
from scipy import special, stats
from scipy.spatial.distance import jensenshannon

rng = np.random.default_rng(20150101)
GOLDEN_RATIO = 0.618033988749895
golden = {}


def plain(value):
    """numpy -> JSON; infinities and NaN as strings, because JSON has neither."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray, pd.Series)):
        return [plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else str(float(value))
    return value


def ratio_sequence(n, offset=0):
    return np.mod((np.arange(n) + offset) * GOLDEN_RATIO, 1.0)


def special_functions():
    xs = [1e-8, 0.1, 0.5, 0.9, 1, 1.5, 2, 2.5, 3.7, 11.9, 12.1, 50, 171.5, 1e4, 1e7]
    zs = [-38, -8.3, -5, -2.5, -1.96, -1, -0.3, 0, 1e-6, 0.7, 1.2816, 3, 6, 9.5, 20, 37]
    gammas = [(a, a * t) for a in (0.5, 1, 2.5, 10, 100.5, 5000, 500000) for t in (0.01, 0.5, 0.9, 0.99, 1, 1.01, 1.1, 1.5, 3)]
    gammas += [(0.5, 30), (0.5, 200), (3, 80)]
    betas = [(a, b, x) for a, b in ((0.5, 0.5), (1, 3), (2.5, 11), (20, 30), (300, 5), (5000, 7000), (400000, 600000))
             for x in (1e-6, 0.01, 0.2, 0.399, 0.4, 0.42, 0.7, 0.99)]
    ps = [1e-300, 1e-30, 1e-9, 1e-4, 0.01, 0.025, 0.2, 0.5, 0.6, 0.975, 0.999999]
    ts = [(t, d) for t in (-3, -0.5, 0, 0.1, 1, 2.5, 12, 60) for d in (1, 3, 10, 200, 1e5)]
    return {
        "logGamma": [(x, special.gammaln(x)) for x in xs],
        "erf": [(z, special.erf(z)) for z in zs],
        "erfc": [(z, special.erfc(z)) for z in zs if z < 26],
        "gamma": [(a, x, special.gammainc(a, x), special.gammaincc(a, x)) for a, x in gammas],
        "beta": [(a, b, x, special.betainc(a, b, x)) for a, b, x in betas],
        "betaInverse": [(a, b, p, special.betaincinv(a, b, p)) for a, b in ((0.5, 0.5), (1, 3), (20, 30), (5000, 7000)) for p in (1e-8, 0.025, 0.5, 0.975)],
        "normal": [(z, stats.norm.cdf(z), stats.norm.sf(z)) for z in zs if abs(z) < 37.5],
        "normalQuantile": [(p, stats.norm.ppf(p)) for p in ps],
        "student": [(t, d, stats.t.sf(t, d)) for t, d in ts],
        "chiSquare": [(x, d, stats.chi2.sf(x, d)) for d in (1, 2, 9, 127, 10000) for x in (0.1, 1, 3.84, 20, 150, 10400)],
        "kolmogorov": [(n, x, stats.kstwo.sf(x, n)) for n in (1, 2, 10, 100, 140, 141, 1000, 9000, 50000, 500000)
                       for x in [t / np.sqrt(n) for t in (0.3, 0.5, 0.8, 1.0, 1.36, 1.47, 1.49, 1.99, 2.5, 4, 9)] if x < 1],
    }


def samples():
    """Named pairs (reference, current), rounded so that the file stays small and ties occur."""
    pairs = {
        "normalShift": (rng.normal(50, 10, 400), rng.normal(53, 10, 300)),
        "sameSizes": (rng.normal(0, 1, 200), rng.normal(0.2, 1.2, 200)),
        "lognormal": (rng.lognormal(1, 0.8, 500), rng.lognormal(1.3, 0.6, 120)),
        "noDrift": (rng.normal(0, 1, 350), rng.normal(0, 1, 275)),
        "outside": (rng.uniform(0, 1, 150), rng.uniform(0.5, 2.5, 90)),
        "integers": (rng.poisson(30, 300).astype(float), rng.poisson(33, 250).astype(float)),
        "fewValues": (rng.integers(0, 8, 300).astype(float), rng.integers(1, 9, 200).astype(float)),
        "tiny": (rng.normal(0, 1, 7), rng.normal(1, 1, 4)),
    }
    return {name: (np.round(r, 3), np.round(c, 3)) for name, (r, c) in pairs.items()}


def evidently_value(name, reference, current, kind):
    from evidently.legacy.calculations import stattests
    from evidently.legacy.core import ColumnType
    tests = {"psi": stattests.psi_stat_test, "hellinger": stattests.hellinger_stat_test, "jensenshannon": stattests.jensenshannon_stat_test,
             "wasserstein": stattests.wasserstein_stat_test, "chisquare": stattests.chi_stat_test, "z": stattests.z_stat_test}
    column_type = ColumnType.Numerical if kind == "num" else ColumnType.Categorical
    return tests[name](reference.copy(), current.copy(), column_type, None).drift_score


def nannyml_value(key, reference, current, kind):
    from nannyml.drift.univariate.methods import FeatureType, MethodFactory
    from nannyml.chunk import DefaultChunker
    from nannyml.thresholds import StandardDeviationThreshold
    feature_type = FeatureType.CONTINUOUS if kind == "num" else FeatureType.CATEGORICAL
    method = MethodFactory.create(key=key, feature_type=feature_type, chunker=DefaultChunker(), threshold=StandardDeviationThreshold(),
                                  computation_params={"calculation_method": "exact", "n_bins": 10000})
    method._fit(reference)
    return method._calculate(current)


def numeric_drift():
    rows = {}
    for name, (reference, current) in samples().items():
        r, c = pd.Series(reference), pd.Series(current)
        auto = stats.ks_2samp(reference, current)
        asymptotic = stats.ks_2samp(reference, current, method="asymp")
        rows[name] = {
            "reference": reference, "current": current,
            "ks": {"statistic": auto.statistic, "exact": auto.pvalue, "asymptotic": asymptotic.pvalue},
            "wasserstein": stats.wasserstein_distance(reference, current),
            "sturges": np.histogram_bin_edges(np.concatenate([reference, current]), "sturges"),
            "doane": np.histogram_bin_edges(reference, "doane"),
            "histogram": np.histogram(current, np.histogram_bin_edges(reference, "doane"))[0],
            "evidently": {test: evidently_value(test, r, c, "num") for test in ("psi", "jensenshannon", "hellinger", "wasserstein")},
            "nannyml": {key: nannyml_value(key, r, c, "num")
                        for key in ("jensen_shannon", "kolmogorov_smirnov", "wasserstein", "hellinger")},
        }
    return rows


def long_ks():
    """(n, m, factor, ...): reference = sequence of n, current = factor * sequence of m from n on."""
    rows = []
    for n, m, factor in ((2500, 1999, 0.97), (9973, 700, 0.96), (20000, 15000, 0.995), (40000, 30, 0.8), (200000, 150000, 0.997)):
        reference, current = ratio_sequence(n), factor * ratio_sequence(m, n)
        auto = stats.ks_2samp(reference, current)
        rows.append((n, m, factor, auto.statistic, auto.pvalue, stats.wasserstein_distance(reference, current)))
    return rows


def exact_ks_tails():
    """p-values of given statistics (k / lcm), exact and tiny ones included; from scipy's own exact routine."""
    from scipy.stats._stats_py import _attempt_exact_2kssamp
    rows = []
    for n, m, h in ((7, 5, 12), (7, 5, 35), (30, 20, 25), (30, 30, 3), (30, 30, 20), (100, 80, 200), (100, 80, 330), (997, 13, 9000), (500, 499, 25000)):
        g = int(np.gcd(n, m))
        lcm = n // g * m
        _, d, p = _attempt_exact_2kssamp(n, m, g, h / lcm, "two-sided")
        rows.append((n, m, d, p))
    return rows


def categorical_drift():
    rows = {}
    for name, (reference, current) in {
        "five": ([120, 80, 60, 30, 10], [70, 70, 50, 40, 20]),
        "unseen": ([100, 50, 50, 0], [60, 40, 30, 7]),
        "gone": ([100, 50, 50, 3], [60, 40, 30, 0]),
        "two": ([300, 100], [180, 90]),
        "large": ([500000, 300000, 199000, 1000], [50300, 30100, 19500, 100]),
        "same": ([40, 30, 20], [40, 30, 20]),
    }.items():
        keys = [f"k{i}" for i in range(len(reference))]
        r, c = pd.Series(np.repeat(keys, reference)), pd.Series(np.repeat(keys, current))
        table = np.array([reference, current])
        contingency = stats.chi2_contingency(table)
        rows[name] = {
            "reference": reference, "current": current,
            "contingency": {"statistic": contingency.statistic, "pValue": contingency.pvalue, "dof": contingency.dof},
            "cramersV": stats.contingency.association(table, method="cramer"),
            "evidently": {test: evidently_value(test, r, c, "cat") for test in ("psi", "jensenshannon", "hellinger", "chisquare")},
            "nannyml": {key: nannyml_value(key, r, c, "cat") for key in ("jensen_shannon", "l_infinity", "hellinger")},
        }
        if len(keys) == 2:
            rows[name]["evidently"]["z"] = evidently_value("z", r, c, "cat")
    return rows


def intervals():
    from statsmodels.stats.proportion import confint_proportions_2indep
    rows = {"one": [], "two": []}
    for k, n in ((0, 10), (1, 10), (5, 10), (10, 10), (3, 1000), (812, 1000), (123456, 1000000)):
        for confidence in (0.9, 0.95, 0.999):
            test = stats.binomtest(k, n)
            wilson, exact = test.proportion_ci(confidence, "wilson"), test.proportion_ci(confidence, "exact")
            rows["one"].append((k, n, confidence, wilson.low, wilson.high, exact.low, exact.high))
    for k1, n1, k2, n2 in ((56, 70, 48, 80), (9, 10, 3, 10), (10, 10, 0, 20), (5, 56, 0, 29), (31, 100, 9000, 10000)):
        for confidence in (0.95, 0.99):
            low, high = confint_proportions_2indep(k1, n1, k2, n2, method="newcomb", compare="diff", alpha=1 - confidence)
            rows["two"].append((k1, n1, k2, n2, confidence, low, high))
    return rows


def false_discovery():
    ps = np.round(np.concatenate([rng.uniform(0, 1, 20), rng.uniform(0, 0.01, 6), [0.04, 0.04, 1.0]]), 5)
    return {"pValues": ps, "adjusted": stats.false_discovery_control(ps, method="bh")}


def fairness():
    import fairlearn.metrics as fl
    from sklearn.metrics import accuracy_score, precision_score
    n = 1200
    group = rng.choice(["a", "b", "c & d"], n, p=[0.5, 0.3, 0.2])
    sex = rng.choice(["1", "2"], n)
    base = pd.Series(group).map({"a": 0.6, "b": 0.45, "c & d": 0.3}).to_numpy()
    label = (rng.uniform(size=n) < base).astype(int)
    rate = np.where(label == 1, np.where(group == "a", 0.9, 0.6), np.where(sex == "1", 0.25, 0.15))
    decided = (rng.uniform(size=n) < rate).astype(int)
    metrics = {"selectionRate": fl.selection_rate, "truePositiveRate": fl.true_positive_rate, "falsePositiveRate": fl.false_positive_rate,
               "trueNegativeRate": fl.true_negative_rate, "falseNegativeRate": fl.false_negative_rate,
               "accuracy": accuracy_score, "precision": precision_score}
    rows = {"group": group, "sex": sex, "label": label, "decided": decided, "groupings": {}}
    for name, sensitive in (("group", pd.Series(group)), ("sex", pd.Series(sex)), ("group*sex", pd.DataFrame({"group": group, "sex": sex}))):
        frame = fl.MetricFrame(metrics=metrics, y_true=label, y_pred=decided, sensitive_features=sensitive)
        by_group = {}
        for key, row in frame.by_group.iterrows():
            text = key if isinstance(key, str) else " & ".join(json.dumps(part) if "&" in part else part for part in key)
            by_group[text] = row.to_dict()
        named = {}
        for method in ("between_groups", "to_overall"):
            call = {"y_true": label, "y_pred": decided, "sensitive_features": sensitive, "method": method}
            named[method] = {
                "demographicParityDifference": fl.demographic_parity_difference(**call),
                "demographicParityRatio": fl.demographic_parity_ratio(**call),
                "equalizedOddsDifference": fl.equalized_odds_difference(**call),
                "equalizedOddsRatio": fl.equalized_odds_ratio(**call),
                "equalizedOddsDifferenceMean": fl.equalized_odds_difference(**call, agg="mean"),
                "equalizedOddsRatioMean": fl.equalized_odds_ratio(**call, agg="mean"),
                "equalOpportunityDifference": fl.equal_opportunity_difference(**call),
                "equalOpportunityRatio": fl.equal_opportunity_ratio(**call),
                "accuracyDifference": frame.difference(method=method)["accuracy"],
                "precisionDifference": frame.difference(method=method)["precision"],
            }
        rows["groupings"][name] = {"byGroup": by_group, "named": named}

    from aif360.datasets import BinaryLabelDataset
    from aif360.metrics import ClassificationMetric

    def dataset(values):
        data = pd.DataFrame({"group": (group == "a").astype(float), "label": values.astype(float)})
        return BinaryLabelDataset(df=data, label_names=["label"], protected_attribute_names=["group"])

    metric = ClassificationMetric(dataset(label), dataset(decided), unprivileged_groups=[{"group": 0}], privileged_groups=[{"group": 1}])
    rows["aif360"] = {
        "statisticalParityDifference": metric.statistical_parity_difference(),
        "disparateImpact": metric.disparate_impact(),
        "averageOddsDifference": metric.average_odds_difference(),
        "equalOpportunityDifference": metric.equal_opportunity_difference(),
    }
    return rows


def performance():
    from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, mean_absolute_error, mean_squared_error, r2_score, roc_auc_score
    from sklearn.calibration import calibration_curve
    from sklearn.isotonic import IsotonicRegression
    from nannyml.performance_estimation.confidence_based import metrics as cbpe
    n = 600
    score = np.round(rng.beta(1.2, 1.5, n), 3)
    label = (rng.uniform(size=n) < score ** 1.3).astype(int)
    decided = (score >= 0.5).astype(int)
    # Distinct scores for the estimated AUC: NannyML orders ties by chance, ours counts them half.
    distinct = np.round(rng.permutation(np.linspace(0.01, 0.98, 400)), 6)
    positive_share, mean_score = calibration_curve(label, score, n_bins=10)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(score, label)
    grid = np.round(np.concatenate([np.linspace(-0.1, 1.1, 61), score[:40]]), 4)
    target, forecast = np.round(rng.normal(10, 3, 200), 3), np.round(rng.normal(10, 3, 200), 3)
    return {
        "score": score, "label": label,
        "accuracy": accuracy_score(label, decided), "logLoss": log_loss(label, score), "brier": brier_score_loss(label, score),
        "logLossExtreme": log_loss([1, 0, 1, 0], [0.0, 1.0, 1.0, 0.2]), "auc": roc_auc_score(label, score),
        "cbpe": {
            "accuracy": cbpe.estimate_accuracy(decided, score), "precision": cbpe.estimate_precision(decided, score),
            "recall": cbpe.estimate_recall(decided, score), "specificity": cbpe.estimate_specificity(decided, score),
            "f1": cbpe.estimate_f1(decided, score),
            "distinct": distinct, "auc": cbpe.estimate_roc_auc(distinct, distinct),
        },
        "calibration": {"positiveShare": positive_share, "meanScore": mean_score},
        "isotonic": {"at": grid, "values": isotonic.predict(grid)},
        "regression": {"target": target, "forecast": forecast, "mae": mean_absolute_error(target, forecast),
                       "rmse": np.sqrt(mean_squared_error(target, forecast)), "r2": r2_score(target, forecast)},
    }


def quantile_sketch():
    from ddsketch import DDSketch
    values = np.round(np.concatenate([rng.lognormal(0, 2, 800), -rng.lognormal(0, 1, 150), np.zeros(50)]), 4)
    sketch = DDSketch(0.01)
    for value in values:
        sketch.add(float(value))
    return {"values": values, "quantiles": [(q, sketch.get_quantile_value(q)) for q in (0, 0.01, 0.1, 0.17, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1)]}


def sequential():
    """The mixture boundary solved with scipy's own beta function and root finder."""
    from scipy.optimize import brentq
    rows = []
    for x, n in ((0, 20), (1, 30), (7, 1000), (50, 100), (4000, 200000), (99, 100)):
        for alpha in (0.05, 0.001):
            mixture = special.betaln(x + 0.5, n - x + 0.5) - special.betaln(0.5, 0.5)
            excess = lambda p: mixture - special.xlogy(x, p) - special.xlog1py(n - x, -p) + np.log(alpha)
            low = brentq(excess, 1e-15, x / n, xtol=1e-15) if x > 0 else 0.0
            rows.append((x, n, alpha, low, brentq(excess, x / n, 1 - 1e-15, xtol=1e-15)))
    return {"confidenceSequence": rows}


golden["versions"] = {name: version(name) for name in
                      ("numpy", "pandas", "scipy", "scikit-learn", "fairlearn", "statsmodels", "evidently", "nannyml", "aif360", "ddsketch")}
golden["special"] = special_functions()
golden["numericDrift"] = numeric_drift()
golden["longKs"] = long_ks()
golden["exactKs"] = exact_ks_tails()
golden["categoricalDrift"] = categorical_drift()
golden["intervals"] = intervals()
golden["falseDiscovery"] = false_discovery()
golden["fairness"] = fairness()
golden["performance"] = performance()
golden["quantileSketch"] = quantile_sketch()
golden["sequential"] = sequential()

path = pathlib.Path(__file__).with_name("golden.json")
path.write_text(json.dumps(plain(golden), separators=(",", ":"), allow_nan=False) + "\n")
print(f"{path.name}: {path.stat().st_size} bytes")
