"""The tools of a row are seen wherever its prompt is."""

import json
from pathlib import Path

from tests.data.test_render import HI, TOOLS, WITH_TOOLS
from tests.models.fault_server import said, serving
from transformers import PreTrainedTokenizerBase

from palate.data.checks.reading import open_source
from palate.data.checks.rendering import render_row
from palate.data.records import Preference, Prompt, prompt_key
from palate.data.render import Renderer
from palate.experiments.answers import Asked, Draws, numbered
from palate.experiments.fit import choose_rows
from palate.experiments.probes import PROBES, probe_trees
from palate.experiments.remote_answers import RemoteSampler
from palate.models.endpoint import Endpoint
from palate.models.remote import RemoteClient

PAIR = Preference(HI, "yes it is", "no", columns={"tools": TOOLS})


def test_a_server_is_sent_the_tools_as_functions() -> None:
    bare = [TOOLS[0]["function"]]
    with serving([said("a"), said("b"), said("c")]) as script:
        sampler = RemoteSampler(RemoteClient(Endpoint(script.url, "tiny")))
        for columns in ({"tools": TOOLS}, {"tools": bare}, {}):
            sampler(
                [Asked(Prompt(HI, columns=columns))],
                Draws(num_samples=1, max_new_tokens=4, temperatures=(1.0,), seed=0),
            )
    with_tools, with_bare, without = script.asked
    assert with_tools["tools"] == with_bare["tools"] == TOOLS
    assert "tools" not in without
    assert with_tools["seed"] != without["seed"]


def test_the_same_words_with_other_tools_are_another_prompt() -> None:
    other = [{"name": "order"}]
    assert len({prompt_key(HI), prompt_key(HI, TOOLS), prompt_key(HI, other)}) == 3
    asked = numbered([Prompt(HI, columns={"tools": t}) for t in (TOOLS, other, TOOLS)])
    assert [one.occurrence for one in asked] == [0, 0, 1]


def test_the_fit_the_probes_and_the_check_show_what_training_shows(
    tiny_tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    tiny_tokenizer.chat_template = WITH_TOOLS
    renderer = Renderer(tiny_tokenizer)
    trained = renderer.preference(PAIR)
    turns = [{"role": "user", "content": "hi"}]
    row = {"prompt": turns, "chosen": "yes it is", "rejected": "no", "tools": TOOLS}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (tree,) = choose_rows(open_source(path), renderer, max_length=4096, num_rows=9).trees
    assert tree.prompt == trained.prompt
    assert tuple(one.tokens for one in tree.responses) == (trained.chosen, trained.rejected)
    for name in PROBES.keys() - {"wrong-prompt"}:
        for probed in probe_trees(name, [PAIR], renderer, max_length=4096):
            assert probed is not None
            assert probed.prompt == trained.prompt
    seen = render_row(PAIR, renderer, max_length=4096)
    assert seen.num_tokens == len(trained.prompt) + len(trained.chosen)
