"""The human study: its questions as files, its answers as numbers, and its pages filled in by a browser."""

import json
import shutil
import sys
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import timm
import torch

from sightglass import study
from sightglass.press import cli
from sightglass.show import published
from sightglass.study import figures, numbers
from sightglass.study.items import pictures

METHODS = ("VITAL", "MACO", "Fourier")


def image(seed):
    return torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(seed))


def sections():
    """Make a small study in which every picture is another one."""
    seeds = iter(range(10_000))
    few = lambda n: [image(next(seeds)) for _ in range(n)]  # noqa: E731
    by_method = lambda n=1: {method: few(n) if n > 1 else image(next(seeds)) for method in METHODS}  # noqa: E731
    return {
        "words": {"zebra": by_method(), "lady bird's": by_method()},
        "references": {"channel 10": (torch.stack(few(3)), by_method(2)), "channel 9": (few(4), by_method())},
        "describe": {"owl": by_method(), "car": by_method(), "bee": by_method()},
        "demonstration": {"cat": (few(2), {"real": few(2)})},
        "classes": {"bus": (few(2), by_method(2)), "owl": (few(2), by_method(2))},
        "inner": {"channel 3": (few(2), by_method(2))},
    }


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    return study.write_items(tmp_path_factory.mktemp("items"), sections(), network="resnet50")


@pytest.fixture(scope="module")
def site(tmp_path_factory, items):
    return study.build_study(tmp_path_factory.mktemp("out") / "site", items, contact="ann@example.org")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_questions_come_back_with_their_pictures_and_the_files_tell_nothing(items):
    found, given = study.read_items(items), sections()
    assert found["about"] == {"network": "resnet50"}
    assert {s: [q["name"] for q in qs] for s, qs in found["sections"].items()} == {s: [*q] for s, q in given.items()}
    zebra, nine = found["sections"]["words"][0], found["sections"]["references"][1]
    pixels = torch.from_numpy(plt.imread(items / zebra["images"]["MACO"][0])[..., :3]).permute(2, 0, 1)
    assert (pixels - given["words"]["zebra"]["MACO"]).abs().max() < 1 / 255
    assert len(nine["beside"]) == 4 and len(found["sections"]["classes"][0]["images"]["VITAL"]) == 2
    assert all(set(name) <= set("images/0123456789abcdef.pn") for name in pictures(found))


def test_a_site_is_whole_and_is_made_anew_in_its_place(site, items, tmp_path):
    text = (site / "items.js").read_text()
    held = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert held["contact"] == "ann@example.org" and held["methods"]["describe"] == list(METHODS)
    assert {p.name for p in (site / "images").iterdir()} == {n.split("/")[1] for n in pictures(held)}
    for page in ("index.html", "ratings.html", "choice.html"):
        assert "http" not in (site / page).read_text().replace("http-equiv", "")
    again = shutil.copytree(site, tmp_path / "site")
    (again / "images/old.png").touch()
    study.build_study(again, items)
    assert not (again / "images/old.png").exists()
    assert held["build"] in (again / "items.js").read_text()  # who is told doesn't change the questions


def test_another_picture_makes_another_build(items, tmp_path):
    changed = sections()
    changed["words"]["zebra"]["VITAL"] = image(99_999)
    study.build_study(tmp_path / "b", study.write_items(tmp_path / "a", changed))
    study.build_study(tmp_path / "c", items)
    builds = [(tmp_path / f / "items.js").read_text().split('"build": ')[1][:14] for f in "bc"]
    assert builds[0] != builds[1]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = timm.create_model("resnet18", channels=(8, 8, 16, 16), num_classes=4)
    model.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    return model.eval().requires_grad_(False)


def test_the_pair_has_the_best_and_the_dullest_piece_covered(network):
    picture, scores, covered = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(5)), [], []
    for top in (0, 10, 20):
        for left in (0, 10, 20):
            one = picture.clone()
            one[:, top : top + 12, left : left + 12] = picture.mean((1, 2))[:, None, None]
            covered.append(one)
            scores.append(float(network((one[None] - 0.5) / 0.25)[0, 2]))
    pair = study.occluded_pair(network, picture, 2, share=12 / 32, steps=3)
    torch.testing.assert_close(pair, torch.stack([covered[int(np.argmax(scores))], covered[int(np.argmin(scores))]]))
    direction = torch.eye(4)[2]
    torch.testing.assert_close(study.occluded_pair(network, picture, direction, share=12 / 32, steps=3), pair)
    assert not network.fc._forward_hooks


def record(name="ann", build="b1", **changes):
    """Make a file of answers as the pages save it."""
    score = {"zebra": 5, "lady bird's": 3}
    answers = [{"section": "words", "question": q, "method": m, "score": s - (m != "VITAL"), "order": 1, "position": 1}
               for q, s in score.items() for m in METHODS]  # fmt: skip
    answers.append({"section": "describe", "question": "owl", "method": "VITAL", "word": "a bird", "order": 1})
    return {"format": "sightglass study 1", "study": "ratings", "build": build, "participant": name, "automated": False,
            "started": "2026-01-01T10:00:00Z", "saved": "2026-01-01T10:09:00Z", "subset": "#", "age": "25-34",
            "gender": "female", "answers": answers} | changes  # fmt: skip


def choices(name="ann", right=("preferred", "preferred"), **changes):
    answers = [{"section": "classes", "question": q, "method": "VITAL", "chosen": c, "confidence": 3, "order": 1,
                "position": 2} for q, c in zip(("bus", "owl"), right, strict=True)]  # fmt: skip
    return record(name, study="choice", answers=answers, **changes)


def put(folder, *records):
    folder.mkdir(exist_ok=True)
    for i, content in enumerate(records):
        (folder / f"{i}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_answers_are_read_with_each_participant_once(tmp_path):
    later = record("ann", saved="2026-01-01T11:00:00Z", age="")
    found = study.read(put(tmp_path / "f", later, record("ann"), record("bob"), choices("ann")))
    assert found.count("ratings") == 2 and found.count("choice") == 1
    assert len(found.of("words")) == 12 and found.of("classes")["correct"].tolist() == [1, 1]
    assert found.left_out == ("1.json is an older file of the same participant",)
    assert found.people.set_index(["study", "participant"]).loc[("ratings", "ann"), "age"] == ""
    assert found.of("words")["method"].unique().tolist() == list(METHODS)  # in the order of the book


def test_what_a_program_filled_in_is_no_persons_answer(tmp_path):
    folder = put(tmp_path / "f", record("robot", automated=True))
    found = study.read(folder)
    assert not len(found.people) and found.left_out == ("0.json was filled in by a program, not by a person",)
    assert study.read(folder, programs=True).count("ratings") == 1


def without(key, content):
    return {k: v for k, v in content.items() if k != key}


def first_answer(**changes):
    content = record()
    content["answers"][0] |= changes
    return content


@pytest.mark.parametrize(("content", "words"), [
    ("{", r"0.json isn't a file of answers.*it can't be read"),
    ([], "it doesn't say format"),
    (record(format="other"), "it doesn't say format: 'sightglass study 1'"),
    (record(study="poll"), "the study 'poll' is none of ratings, choice"),
    (without("automated", record()), "automated"),
    (record(saved=""), "participant, saved or automated is missing"),
    (record(answers=[]), "it holds no answers"),
    (first_answer(score=6), "answer 1: score is 6"),
    (first_answer(section="inner"), "answer 1: there is no section 'inner'"),
    (first_answer(question=""), "answer 1: question or method is missing"),
    (record(answers=[{"section": "describe", "question": "a", "method": "b", "word": " "}]), "word is ' '"),
    (choices(right=("preferred", "left")), "answer 2: chosen is 'left'"),
])  # fmt: skip
def test_files_that_are_no_answers_are_refused_by_name(tmp_path, content, words):
    with pytest.raises(ValueError, match=words):
        study.read(put(tmp_path / "f", content))


def test_answers_to_two_builds_are_not_mixed(tmp_path):
    with pytest.raises(ValueError, match=r"2 different builds.*b1: 1, such as 0.json; b2: 1, such as 1.json"):
        study.read(put(tmp_path / "f", record(), record("bob", build="b2")))


@pytest.fixture(scope="module")
def encode():
    return study.encoder("world/clip")


def test_similarity_is_the_cosine_and_unknown_words_count_nothing(encode):
    same = study.similarity(["zebra", "Zebras!", "toadstool", "hot air balloon", "stawberry"],
                            ["zebra", "zebra", "agaric", "balloon", "strawberry"], encode)  # fmt: skip
    torch.testing.assert_close(same, torch.ones(5), rtol=0, atol=1e-5)
    other = study.similarity(["horse", "qwzx", "the", "?"], ["zebra"] * 4, encode)
    assert 0 < other[0] < 0.9 and torch.equal(other[1:], torch.zeros(3))
    assert torch.equal(study.similarity(["qwzx"], ["xzwq"], encode), torch.zeros(1))
    assert len(study.similarity([], [], encode)) == 0


def test_similarity_equals_the_networks_own_vectors(encode):
    from sightglass import zoo

    a, b = zoo.model("world/clip").phrases(["a small red car", "bus"])
    near = study.similarity(["a small red car"], ["bus"], encode)
    torch.testing.assert_close(near[0], a @ b)


def test_another_encoder_is_taken_where_it_is_installed(monkeypatch):
    with pytest.raises(ModuleNotFoundError, match="'all-MiniLM-L6-v2' needs sentence-transformers"):
        monkeypatch.setitem(sys.modules, "sentence_transformers", None)
        study.encoder("all-MiniLM-L6-v2")
    vectors = {"dog": [1.0, 0.0], "puppy": [0.6, 0.8]}
    fake = SimpleNamespace(encode=lambda texts, **how: torch.tensor([vectors[t] for t in texts]))
    module = SimpleNamespace(SentenceTransformer=lambda name: fake)
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    assert float(study.similarity(["puppy"], ["dog"], study.encoder("any"))) == pytest.approx(0.6)


def panel(n=30, seed=0):
    """Make answers of participants who differ: each gives all of one method's images the same score."""
    draw = np.random.default_rng(seed)
    rows = [{"participant": p, "question": q, "method": m, "score": s} for p in range(n)
            for m, s in zip("AB", draw.integers(1, 6, 2), strict=True) for q in range(10)]  # fmt: skip
    return pd.DataFrame(rows)


def test_intervals_are_as_wide_as_participants_differ():
    answers = panel()
    found = numbers.means(answers, "score").set_index("method")
    each = answers.groupby(["method", "participant"])["score"].first()["A"]
    wide = 1.96 * each.std(ddof=0) / 30**0.5  # ten answers of one person are one
    row = found.loc["A"]
    assert (row["low"], row["high"]) == pytest.approx((row["score"] - wide, row["score"] + wide), abs=0.08)
    assert row["score"] == pytest.approx(each.mean()) and row["answers"] == 300
    shares = numbers.shares(answers).pivot(index="method", columns="score", values="share")
    assert np.allclose(shares.sum(axis=1), 1) and shares.loc["A", 3] == pytest.approx((each == 3).mean())


def test_quantiles_are_numpys():
    values = np.random.default_rng(1).random(200)
    answers = pd.DataFrame({"participant": range(200), "method": "A", "similarity": values})
    row = numbers.quantiles(answers).iloc[0]
    assert (row["5 %"], row["median"], row["95 %"]) == pytest.approx(np.quantile(values, [0.05, 0.5, 0.95]))
    assert row["low"] < row["median"] < row["high"]


def test_right_choices_and_confidence(tmp_path):
    records = [choices(f"p{i}", ("preferred", "other") if i else ("preferred", "preferred")) for i in range(10)]
    found = study.read(put(tmp_path / "f", *records)).of("classes")
    row = numbers.correctness(found).iloc[0]
    assert row["correct"] == pytest.approx(11 / 20) and row["confidence"] == 3 and row["low"] < 0.55 < row["high"]
    each = numbers.correctness(found, ("question", "method")).set_index("question")
    assert each.loc["bus", "correct"] == 1 and each.loc["bus", "low"] == pytest.approx(10 / (10 + 1.96**2), abs=1e-3)


def test_the_papers_participants_give_the_papers_shares():
    ages = ["18-24"] * 10 + ["25-34"] * 41 + ["35-44"] * 6 + [""]
    genders = ["male"] * 35 + ["female"] * 20 + ["other"] * 2 + [""]
    found = numbers.demographics(pd.DataFrame({"age": ages, "gender": genders})).set_index("value")["share"]
    paper = published("fig-vital-15").set_index("row")["value"]
    assert (found * 100).round(1).to_dict() == pytest.approx(paper.to_dict())


def test_figures_are_drawn_with_answers_and_say_so_without(tmp_path, encode):
    nothing = study.read(tmp_path / "nowhere")
    assert not len(nothing.answers) and not len(nothing.people)
    folder = put(tmp_path / "f", *(record(f"p{i}") for i in range(6)), *(choices(f"p{i}") for i in range(6)))
    for answers in (nothing, study.read(folder)):
        described = numbers.with_similarity(answers.of("describe"), encode)
        drawn = [
            figures.summary(answers.of("words"), answers.of("references"), described),
            figures.scores_by_question(answers.of("words")), figures.similarity_by_question(described),
            figures.choices(answers.of("classes"), answers.of("inner")),
            figures.people_bars(numbers.demographics(answers.people)),
        ]  # fmt: skip
        said = [any("nobody was asked" in text.get_text() for ax in f.axes for text in ax.texts) for f in drawn]
        # the six answered no question about references or inner neurons
        assert said == ([True] * 5 if answers is nothing else [True, False, False, True, False])
        for figure in drawn:
            figure.draw_without_rendering()
            assert figure.get_figwidth() <= 8


def test_published_numbers_are_drawn_the_same_way():
    paper = published("fig-vital-44").pivot(index="row", columns="column", values="value")
    rows = paper[paper.index.str.startswith("class neurons")]
    found = rows.reset_index().assign(correct=rows["correct"].to_numpy() / 100)
    found["method"] = found["row"].str.split(" / ").str[1]
    _, axes = plt.subplots()
    study.drawing.correct_bars(axes, found)
    assert [t.get_text() for t in axes.texts][-1].startswith("100%") and len(axes.patches) == 4


@pytest.mark.parametrize("page", ["words", "references", "subset", "describe", "classes", "welcome"])
def test_a_page_is_sketched_where_there_is_no_browser(site, page):
    figure, by_browser = study.page_figure(site, page, browser="")
    assert not by_browser and 0 < figure.get_figwidth() <= 8
    figure.draw_without_rendering()


@pytest.mark.parametrize(("change", "error", "words"), [
    (lambda s: s | {"wrods": {}}, KeyError, "unknown section of the study 'wrods': did you mean words"),
    (lambda s: {"demonstration": s["demonstration"]}, ValueError, "there is no question to ask"),
    (lambda s: s | {"words": {"owl": {}}}, ValueError, "words: 'owl' has no image to show"),
    (lambda s: s | {"references": {"c": ([], {"VITAL": image(0)})}}, ValueError, "'c' needs some images beside"),
    (lambda s: s | {"classes": {"c": ([image(0)], {"VITAL": image(0)})}}, ValueError, "'c' needs 2 images.*got 1"),
    (lambda s: s | {"describe": s["describe"] | {"cat": {"VITAL": image(0)}}}, ValueError, "the same methods.*'cat'"),
])  # fmt: skip
def test_questions_that_cannot_be_asked_are_refused(tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        study.write_items(tmp_path / "items", change(sections()))


def test_other_mistakes_are_answered_in_words(items, site, tmp_path, network):
    with pytest.raises(FileNotFoundError, match="items.json isn't there"):
        study.read_items(tmp_path)
    with pytest.raises(ValueError, match="isn't a file of questions"):
        (tmp_path / "items.json").write_text("{}")
        study.read_items(tmp_path)
    with pytest.raises(FileExistsError, match="isn't a study: name a new folder"):
        study.build_study(tmp_path, items)
    with pytest.raises(KeyError, match="unknown page of the study 'wods': did you mean words"):
        study.page_figure(site, "wods")
    with pytest.raises(ValueError, match="unknown section of this study 'inner'"):
        words = study.write_items(tmp_path / "few", {"words": sections()["words"]})
        few = study.build_study(tmp_path / "few-site", words)
        assert (few / "ratings.html").is_file() and not (few / "choice.html").exists()
        study.page_figure(few, "inner")
    with pytest.raises(ValueError, match="target is 4, logits has channels 0 to 3"):
        study.occluded_pair(network, torch.rand(3, 32, 32), 4)
    with pytest.raises(ValueError, match="2 answers need as many"):
        study.similarity(["a", "b"], ["a"], len)


def test_the_commands_build_and_read(book, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = ["--root", str(book)]
    assert cli.main([*root, "study", "out"]) == 2
    assert "no pictures for the study yet" in capsys.readouterr().err
    study.write_items(book / "runs/world/vital/study", sections())
    assert cli.main([*root, "study", "out", "--contact", "bob"]) == 0
    assert (tmp_path / "out/index.html").is_file() and '"bob"' in (tmp_path / "out/items.js").read_text()
    put(tmp_path / "answers", *(record(f"p{i}") for i in range(3)), record("r", automated=True))
    assert cli.main(["study", "read", "answers"]) == 0
    told = capsys.readouterr().out
    assert "left out: 3.json was filled in by a program" in told and "ratings: 3 people" in told and "VITAL" in told
    made = {p.name for p in (tmp_path / "answers/results").iterdir()}
    assert {"fig-vital-7.png", "fig-vital-44.png", "scores-words-each.csv", "similarity.csv"} <= made


@pytest.mark.parametrize(("command", "words"), [
    ("study read nowhere", "nowhere isn't a folder of answers"),
    ("study read", "`study read FOLDER` reads a folder of answers"),
    ("study one two", "`study OUT` writes the pages"),
    ("study read empty", "nobody was asked: empty holds no file"),
    ("study read broken", "0.json isn't a file of answers"),
    ("study read fine --encoder nothing-such", "needs sentence-transformers"),
    ("study read fine --encoder world/clop", "clip"),
])  # fmt: skip
def test_commands_that_cannot_work_say_why(command, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    put(tmp_path / "empty"), put(tmp_path / "broken", "{"), put(tmp_path / "fine", record())
    assert cli.main(command.split()) == 2
    assert words in capsys.readouterr().err
