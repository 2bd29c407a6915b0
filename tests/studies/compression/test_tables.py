"""Tables of the paper's numbers and ours."""

import dataclasses

import numpy as np

from lcjax.studies.compression.tables import result_table, verdict_table
from lcjax.studies.compression.verdicts import Verdict


def test_numbers_stand_beside_the_papers(study):
    result = dataclasses.replace(study.result, data="libsvm:dna.scale", model="1 hidden of 50")
    table = result_table(result)
    assert table.title.startswith("libsvm:dna.scale, 1 hidden of 50: 910 parameters; largest class 0.")
    first = table.rows[0]
    assert [first[i] for i in (3, 5, 7, 10, 13)] == ["0.851", "0.845", "1.8", "", ""]
    loss = result.losses[0]
    assert first[:3] == ["H", "rate=0.1", f"{loss.accuracy.mean():.3f} ± {loss.accuracy.std():.3f}"]
    assert first[4] == f"{loss.pruned_accuracy.mean():.3f} ± {loss.pruned_accuracy.std():.3f}"
    low, high = loss.ratio.min(), loss.ratio.max()
    assert first[6] == f"{np.sqrt(low * high):.1f} ({low:.1f} to {high:.1f})"
    assert first[9] == f"{loss.quantized_accuracy.mean():.3f} ± {loss.quantized_accuracy.std():.3f}"
    assert first[11] == f"{loss.quantized_bits.mean():.1f} ± {loss.quantized_bits.std():.1f}"
    assert first[12] == f"{np.sqrt(np.prod(loss.quantized_ratio)):.2f}"
    assert "l1=" in table.rows[1][1]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_verdicts_are_rows():
    verdict = Verdict("digits", "net", "claim", "H -> H+LCA", 1.0, 2.0, 0.03, True)
    table = verdict_table([verdict, verdict._replace(holds=False)])
    assert table.rows[0] == ["net", "claim", "H -> H+LCA", "1", "2", "0.03", "yes"]
    assert table.rows[1][-1] == "no"
