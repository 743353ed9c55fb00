"""The work of ``seedstream models compare``: reads, compares, prints."""

from rich.console import Console

from contract.process import EXIT_FAILED, EXIT_OK, configure_logging
from contract.settings import warn_of_unknown_variables
from seedstream.lanes.comparison_report import as_json as to_json
from seedstream.lanes.comparison_report import print_report
from seedstream.lanes.lane_comparison import NothingToCompareError, Question, compare_lanes
from seedstream.results.results_settings import ResultsSettings


def run_compare(settings: ResultsSettings, question: Question, *, as_json: bool) -> int:
    """Compare two lanes and print what was found.

    Returns:
        Exit code: 1 where there is nothing to compare.

    Raises:
        ConfigurationError: Both are the same lane, or Redis refuses access.
        UnavailableError: Redis does not answer.
    """
    configure_logging("compare", settings.log_level, settings.log_format)
    warn_of_unknown_variables(type(settings))
    try:
        found = compare_lanes(question)
    except NothingToCompareError as error:
        Console(stderr=True).print(f"seedstream: {error}", markup=False, soft_wrap=True)
        return EXIT_FAILED
    if as_json:
        print(to_json(found))
    else:
        print_report(found, Console(highlight=False))
    return EXIT_OK
