import pytest


@pytest.fixture
def table(tmp_path):
    """Write a CSV file and return its path."""

    def write(data, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write
