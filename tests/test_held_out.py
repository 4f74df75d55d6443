"""What is noted of held-out photos."""

from colorization.data import held_out


def test_held_out_photos_are_noted_where_their_files_are(tmp_path):
    """Also where another photo has got the name."""
    first, second = tmp_path / "1.jpg", tmp_path / "2.jpg"
    first.write_bytes(b"one")
    noted = held_out.identify([str(first)])
    assert held_out.with_current_paths(noted, [str(second)]) == noted
    first.rename(second)
    first.write_bytes(b"other")
    (now,) = held_out.with_current_paths(noted, [str(first), str(second)])
    assert (now.path, now.sha256) == (str(second), noted[0].sha256)
