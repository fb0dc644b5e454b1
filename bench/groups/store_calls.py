"""Round trips to the store before the call to Gemini, by the time that is added to each: counted in virtual time."""

from lib import counts
from lib.measure import Row


def run(suite):
    found = suite.raw["counts"] = counts.read()
    rows = []
    for state, most in (("warm", 0), ("cold", 1)):
        slope = found[f"store: slope in hundredths, {state}"] / 100
        rows.append(
            Row(
                "store round trips, each 5 and 20 ms slower than none",
                f"slope, {state}",
                f"{slope:g}",
                required=f"{most}",
                met=slope <= most,
            )
        )
    return rows
