"""The table of modalities: each name has a row, and each row names what is there."""

from importlib import import_module

import pytest

from embedsearch.modalities import MODALITIES, UNITS, Reader, modality_of
from embedsearch.models.catalog import known
from embedsearch.records import Modality, Unit


def test_every_modality_and_every_unit_has_one_row():
    """The names of `records` are the keys of the table, and a unit stands under one modality."""
    assert set(MODALITIES) == set(Modality)
    assert set(UNITS) == set(Unit)
    assert sorted(unit.unit for row in MODALITIES.values() for unit in row.units) == sorted(Unit)
    assert all(modality_of(unit.unit) is row for row in MODALITIES.values() for unit in row.units)


@pytest.mark.parametrize("unit", Unit)
def test_every_name_in_a_row_leads_to_something(unit):
    """What a row names can be imported, and its bundled model is one that reads it."""
    row, modality = UNITS[unit], modality_of(unit)
    named = [row.encoder, row.splitter, row.tower, row.spec, modality.size, modality.facts]
    for name in filter(None, named):
        module, attribute = name.split(":")
        assert callable(getattr(import_module(module), attribute)), name
    if modality.reader is Reader.NONE:
        assert not modality.default_model
        return
    model = known(modality.default_model)
    assert model is not None
    assert model.package
    # the texts among the columns of a table are read by a model of texts
    reads = Reader.TOKENIZER if modality.reader is Reader.COLUMNS else modality.reader
    assert MODALITIES[model.modality].reader is reads
