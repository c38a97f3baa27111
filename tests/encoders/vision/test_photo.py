import io
from datetime import datetime

import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from embedsearch.encoders.vision.photo import fields_of


def exif(taken="2024:07:14 18:30:05", maker="Google", model="Pixel 8", orientation=1, place=True):
    """Return the metadata of a photo."""
    made = Image.Exif()
    made[ExifTags.Base.Make], made[ExifTags.Base.Model] = maker, model
    made[ExifTags.Base.Orientation] = orientation
    made.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    if place:
        gps = made.get_ifd(ExifTags.IFD.GPSInfo)
        gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLongitudeRef] = "N", "W"
        gps[ExifTags.GPS.GPSLatitude] = (IFDRational(47), IFDRational(22), IFDRational(1200, 100))
        gps[ExifTags.GPS.GPSLongitude] = (IFDRational(8), IFDRational(30), IFDRational(0))
    return made


def photo(kind="JPEG", size=(40, 30), **metadata):
    """Return the bytes of a photo with metadata."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, kind, exif=exif(**metadata))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "AVIF"])
def test_a_photo_tells_when_where_and_by_what(kind, tmp_path):
    """Date, camera, place and size come with types of their own, from bytes and from a file."""
    want = {
        "width": 40, "height": 30, "taken": datetime(2024, 7, 14, 18, 30, 5), "camera": "Google Pixel 8",
        "latitude": 47.37, "longitude": -8.5,
    }  # fmt: skip
    assert fields_of(photo(kind)) == want
    (tmp_path / "photo").write_bytes(photo(kind))
    assert fields_of(tmp_path / "photo") == want


def test_a_turned_photo_has_the_size_that_is_seen():
    """Width and height are those of the upright image."""
    found = fields_of(photo(orientation=6))
    assert (found["width"], found["height"]) == (30, 40)


@pytest.mark.parametrize(
    ("maker", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"), ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Apple\0\0", "iPhone 15 ", "Apple iPhone 15"), ("", "X100", "X100"),
    ],
)  # fmt: skip
def test_a_camera_is_named_once(maker, model, camera):
    """The maker stands before the model, unless the model begins with it."""
    assert fields_of(photo(maker=maker, model=model))["camera"] == camera


@pytest.mark.parametrize(
    "taken", ["0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday", "2024:13:01 00:00:00"]
)
def test_a_date_that_is_none_is_left_out(taken):
    """A clock that was never set gives no date, and the other fields all the same."""
    found = fields_of(photo(taken=taken, place=False))
    assert set(found) == {"width", "height", "camera"}


def test_a_place_that_is_none_is_left_out():
    """Without a fix, cameras write zero by zero or too few numbers: no place."""
    made = exif()
    made.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (IFDRational(0, 0),) * 3
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "JPEG", exif=made)
    assert "latitude" not in fields_of(buffer.getvalue())


def test_what_is_no_image_has_no_fields(tmp_path):
    """Damaged, missing and empty files have no fields, and are no error here."""
    assert fields_of(b"no image") == fields_of(b"") == fields_of(tmp_path / "nothing.jpg") == {}
    whole = photo()
    for at in range(2, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        fields_of(bytes(damaged))


def test_a_png_is_not_decoded(monkeypatch):
    """Of a PNG without metadata in front, the pixels are not decoded to look for some behind."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30)).save(buffer, "PNG")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", None)
    assert fields_of(buffer.getvalue()) == {"width": 40, "height": 30}
