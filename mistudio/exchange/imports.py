"""Features that were computed elsewhere become an extraction: read, set aside, and written in one transaction."""

import time
from pathlib import Path

from sqlalchemy import Engine

from mistudio.exchange.features import FeatureImportConfig, FeatureImportReport, Incoming, write_extraction
from mistudio.exchange.features_jsonl import read_jsonl
from mistudio.exchange.lines import Read
from mistudio.exchange.neuronpedia import read_neuronpedia
from mistudio.store.staging import staging


def import_features(engine: Engine, path: Path | str, config: FeatureImportConfig | None = None,
                    on_read: Read = lambda _share, _where: None) -> FeatureImportReport:
    """Make an extraction of a features file (docs/features-file.md) or of a folder of Neuronpedia's export: all of it,
    or on any error nothing.

    Args:
        on_read: called now and then with the share of a file that is read, and where in it.

    Raises:
        ExchangeError: something cannot be read or does not fit; names file, line and field.
        StoreError: the temporary folder cannot be used.
    """
    path, started = Path(path), time.monotonic()
    with staging() as staged:
        incoming = Incoming(staged)
        told = (read_neuronpedia if path.is_dir() else read_jsonl)(path, incoming, on_read)
        return write_extraction(engine, incoming, told, config or FeatureImportConfig(), path, started)
