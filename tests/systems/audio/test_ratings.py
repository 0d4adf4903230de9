from pathlib import Path

import pytest

from sparring.errors import BadInput
from sparring.systems.audio import ratings

FILES = Path(__file__).parent / "files"


def test_sheet_ratings_are_averaged_over_listeners():
    found = ratings.read(FILES / "sheet.csv")
    assert found.format == "SHEET"
    assert found.paths == ("sysA/one.wav", "sysB/two.wav")
    assert found.scores == ((4.5,), (2.0,))
    assert found.columns["system_id"] == ("A", "B")


@pytest.mark.parametrize("name", ["voicemos_train.txt", "voicemos_mos.txt"])
def test_both_lists_of_voicemos_give_the_same_means_and_systems(name):
    found = ratings.read(FILES / name)
    assert found.format == "BVCC"
    assert found.paths == ("sys1-utt1.wav", "sys2-utt1.wav")
    assert found.scores == ((3.5,), (1.0,))
    assert found.columns["system"] == ("sys1", "sys2")


def test_aes_lists_have_four_axes():
    found = ratings.read(FILES / "aes_list.csv")
    assert found.format == "AES"
    assert found.axes == ratings.AES
    assert found.scores[1] == (8.0, 6.5, 7.0, 7.5)


def test_aes_lines_of_raters_are_averaged():
    found = ratings.read(FILES / "aes_raters.jsonl")
    assert found.scores[0] == (7.0, 3.0, 5.0, 6.5)
    assert found.columns["system"] == ("sysX", "sys0v1wm")


def test_nisqa_has_five_axes_and_its_databases_as_a_column():
    found = ratings.read(FILES / "nisqa.csv")
    assert found.format == "NISQA"
    assert found.axes == ("mos", "noi", "dis", "col", "loud")
    assert found.scores[1] == (1.4, 3.5, 1.6, 3.0, 4.0)
    assert found.columns["con_description"] == ("low-pass", "packet loss")


def test_a_plain_table_with_its_own_scale_is_brought_to_one_to_five(tmp_path):
    path = tmp_path / "mushra.csv"
    path.write_text("path,dataset,score,score_min,score_max\na.wav,codec,50,0,100\nb.wav,mos,5,1,5\n")
    found = ratings.read(path)
    assert found.scores == ((3.0,), (5.0,))
    assert found.columns["dataset"] == ("codec", "mos")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("a,b\n1,2\n", "no known header"),
        ("path,score\n", "no ratings"),
        ("path,score\na.wav,loud\n", "line 2: score 'loud' is no finite number"),
        ("path,score\na.wav,nan\n", "no finite number"),
        ("path,score\na.wav\n", "line 2: 2 cells"),
        ("path,score\n,3\n", "line 2: path is empty"),
        ("wav_path,mos\na.wav,3\n", "SHEET ratings need the column 'score'"),
        ("path,score,score_min,score_max\na.wav,3,5,1\n", "score_min 5 is not below"),
        ('{"data_path": "a.wav"}\n', "line 1: lacks 'Production_Quality'"),
        ("{nonsense\n", "line 1: is no JSON"),
        ("a.wav\n", "give system,clip.wav,score"),
    ],
)
def test_bad_ratings_are_named_with_their_line(tmp_path, text, says):
    path = tmp_path / "ratings.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=says):
        ratings.read(path)


def test_what_is_no_text_and_what_is_not_there_are_named(tmp_path):
    path = tmp_path / "sound.wav"
    path.write_bytes(b"\xff\xfe\x00RIFF")
    with pytest.raises(BadInput, match="no text in UTF-8"):
        ratings.read(path)
    with pytest.raises(BadInput, match="cannot be read"):
        ratings.read(tmp_path / "none.csv")


def test_clips_are_found_below_the_authors_folders_and_in_wav(tmp_path):
    (tmp_path / "LibriTTS").mkdir()
    for name in ("a.flac", "LibriTTS/a.flac"):
        (tmp_path / name).touch()
    (tmp_path / "MUSDB18").mkdir()
    (tmp_path / "MUSDB18" / "b.flac").touch()
    found = ratings.locate(ratings.read(FILES / "aes_list.csv"), FILES / "aes_list.csv", tmp_path)
    assert found == (tmp_path / "LibriTTS" / "a.flac", tmp_path / "MUSDB18" / "b.flac")


def test_missing_clips_are_counted_and_the_first_is_named():
    with pytest.raises(BadInput, match=r"2 of 2 clips are not there, the first is sysA/one.wav; .*--audio"):
        ratings.locate(ratings.read(FILES / "sheet.csv"), FILES / "sheet.csv")


@pytest.mark.shared
def test_the_human_ratings_and_the_published_aes_lists_are_read(shared_audio):
    people = ratings.read(shared_audio / "human_rated.csv")
    assert len(people) == 310
    assert all(1 <= score <= 5 for (score,) in people.scores)
    assert len(ratings.locate(people, shared_audio / "human_rated.csv")) == 310
    train = ratings.read(shared_audio / "aes_labels" / "audiomos2025-track2-train_list.csv")
    assert (len(train), train.axes) == (2700, ratings.AES)
    raters = ratings.read(shared_audio / "aes_labels" / "audiomos2025_track2_human_annotations.jsonl")
    assert len(set(raters.columns["system"])) == 36
