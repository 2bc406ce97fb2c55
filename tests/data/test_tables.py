"""Tables with a yes or a no: what a file may bring, and what its categories become."""

import numpy as np
import pytest

from mini_repr.data import DataError, load
from mini_repr.data.generated.clicks import clicks

LINES = [
    "site,device,age,clicked",
    "a,x,1.5,yes",
    "b,y,2,no",
    "a,y,3,yes",
    '"c,d",x,4,no',
    "a,x,-5e1,yes",
    "e,x,1,no",
    ",y,3,no",
]
DECLARED = {"categories": "site,device", "numbers": ["age"]}


def written(path, lines, text=None):
    path.write_text("\n".join(lines) if text is None else text, encoding="utf-8")
    return path


def test_a_csv_becomes_numbers_of_values_and_numbers(tmp_path):
    data = load(written(tmp_path / "t.csv", LINES), **DECLARED)
    assert [field.name for field in data.train.fields] == ["site", "device", "age"]
    # Rows 0 and 5 are test: "e" is in no training row.
    assert data.train.fields[0].values == ("(other)", "", "a", "b", "c,d") and data.train.fields[2].values is None
    np.testing.assert_array_equal(data.train.rows[:, 0], [3, 2, 4, 2, 1])
    np.testing.assert_array_equal(data.test.rows, [[2, 1, 1.5], [0, 1, 1]])
    assert data.train.label_names == ("no", "yes") and data.train.labels.tolist() == [0, 1, 0, 1, 0]


def test_tabs_bom_line_ends_and_rare_values(tmp_path):
    text = "\ufeff" + "\r\n".join(line.replace('"c,d"', "c").replace(",", "\t") for line in LINES) + "\r\n"
    path = tmp_path / "t.tsv"
    path.write_bytes(text.encode())
    data = load(path, **DECLARED, least=2)
    assert data.train.fields[0].values == ("(other)", "a")
    np.testing.assert_array_equal(data.train.rows[:, 0], [0, 1, 0, 1, 0])


def test_crosses_are_values_of_two_together(tmp_path):
    data = load(written(tmp_path / "t.csv", LINES), **DECLARED, crosses="site*device")
    assert data.train.fields[2].name == "site*device" and "a*y" in data.train.fields[2].values
    with pytest.raises(DataError, match=r"crosses: got 'site\*age', expected two categories.*there are site, device"):
        load(tmp_path / "t.csv", **DECLARED, crosses="site*age")


@pytest.mark.parametrize(
    "lines, options, message",
    [
        (LINES, {"categories": "site,devic"}, "no column 'devic', expected one of site, device, age, clicked"),
        (LINES, {"categories": "site,site"}, "column 'site' is declared twice"),
        (LINES, {"numbers": "device"}, "line 2: device is 'x', expected a number such as 1.5$"),
        (LINES, {"numbers": "age", "label": "site"}, r"label site has 5 different entries \('', 'a'.*\), expected two"),
        ([*LINES, "a,y,,no"], {"numbers": "age"}, "line 9: age is '', expected a number such as 1.5; fill empty ones"),
        ([*LINES, "a,y,nan,no"], {"numbers": "age"}, "line 9: age is 'nan', expected a number"),
        ([*LINES, 'a,y,"1,5",no'], {"numbers": "age"}, "line 9: age is '1,5', expected a number such as 1.5$"),
        ([*LINES, "a,y,3"], {"numbers": "age"}, "line 9: 3 fields, expected 4"),
        (["a,b", "1,2"], {"numbers": "a"}, "columns a, b, expected one of yes and no: --set data.label=NAME"),
        (["a,a,click", "1,2,0"], {"numbers": "a"}, "header a, a, click, expected distinct names"),
        (LINES[:1], {"numbers": "age"}, "no line below the header"),
        (LINES, {"numbers": "age", "least": 0}, "option least is 0, expected a whole number from 1"),
        (LINES, {"numbers": ""}, "no column is declared, expected --set data.categories=... or"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, lines, options, message):
    with pytest.raises(DataError, match=rf"t.csv: .*{message}"):
        load(written(tmp_path / "t.csv", lines), **options)


def test_files_of_pairs_stay_files_of_pairs(tmp_path):
    path = written(tmp_path / "p.csv", ["a,b", "one,two", "three,four"])
    assert load(path).train.b == ["four"]
    with pytest.raises(DataError, match="option 'least' of read_pairs"):
        load(path, least=2)


def test_clicks_depend_on_what_they_should():
    drawn = clicks(40000, np.random.default_rng(0))
    even = drawn.codes[6] % 2 == drawn.codes[7] % 2
    assert drawn.clicked[even].mean() - drawn.clicked[~even].mean() > 0.2
    for code in (6, 7):
        odd = drawn.codes[code] % 2 == 1
        assert abs(drawn.clicked[odd].mean() - drawn.clicked[~odd].mean()) < 0.1
    up = (np.sin(3 * drawn.numbers) > 0.5).astype(bool)
    assert drawn.clicked[up[0]].mean() - drawn.clicked[~up[0]].mean() > 0.2
    assert abs(drawn.clicked[up[1]].mean() - drawn.clicked[~up[1]].mean()) < 0.02
    data = load("clicks", count=400, crosses="c6*c7")
    assert (len(data.train), len(data.test)) == (400, 100) and data.train.fields[12].name == "c6*c7"
