from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from palate.data.records import Demonstration, Preference, Prompt, Text, Turn
from palate.data.render import RenderedDemonstration, Renderer
from palate.errors import DataError, ModelError

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# BOS in front, EOS after each reply behind a blank, content trimmed, replies led by a blank.
INSTRUCT = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] | trim + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + message['content'] | trim + ' ' + eos_token }}"
    "{% else %}{{ raise_exception('no system turns') }}{% endif %}"
    "{% endfor %}"
)
# As ChatML, with the tools in front as JSON.
WITH_TOOLS = (
    "{% if tools %}"
    "{{ '<|im_start|>system\\nTools: ' + (tools | tojson) + '<|im_end|>\\n' }}"
    "{% endif %}"
) + CHATML
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
HI: Text = (Turn("user", "hi"),)
BOS, EOS, IM_START, IM_END = range(4)


def _adds_bos(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    backend = tokenizer.backend_tokenizer
    backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    return tokenizer


def _word_tokenizer(**special: str) -> PreTrainedTokenizerBase:
    words = ["<unk>", "</s>", "the", "cat", "sat", "Human", "Assistant", ":", "hi"]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def _blank_first_tokenizer() -> PreTrainedTokenizerBase:
    """Puts a blank before any text, as SentencePiece models of the Llama family do."""
    letters = ["<unk>", "</s>", "▁", "▁a", "a", "b", "<0x0A>"]
    vocab = {letter: i for i, letter in enumerate(letters)}
    backend = Tokenizer(models.BPE(vocab, [("▁", "a")], unk_token="<unk>", byte_fallback=True))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False).input_ids)


# Plain text


def test_plain_text_is_encoded_apart_and_ends_in_eos(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    renderer = Renderer(tiny_tokenizer)
    # Together "the cat" would merge over the border: "the c" + "at" must not.
    prompt, response = renderer.prompt_tokens("the c"), renderer.response_tokens("the c", "at")
    assert prompt == _ids(tiny_tokenizer, "the c")
    assert response == (*_ids(tiny_tokenizer, "at"), EOS)
    assert prompt + response[:-1] != _ids(tiny_tokenizer, "the cat")


def test_bos_follows_the_habit_of_the_tokenizer(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    assert Renderer(tiny_tokenizer).prompt_tokens("cat")[0] != BOS
    renderer = Renderer(_adds_bos(tiny_tokenizer))
    assert renderer.prompt_tokens("cat") == (BOS, *_ids(tiny_tokenizer, "cat"))
    assert BOS not in renderer.response_tokens("cat", "sat")


def test_an_empty_prompt_is_bos_or_refused(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    assert Renderer(tiny_tokenizer).prompt_tokens("") == (BOS,)
    assert Renderer(_adds_bos(tiny_tokenizer)).prompt_tokens("") == (BOS,)
    renderer = Renderer(_word_tokenizer(eos_token="</s>"))
    with pytest.raises(DataError, match="a:1: the prompt is empty.*no BOS"):
        renderer.prompt_tokens("", origin="a:1")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8")))
def test_a_response_decodes_to_its_text(tiny_tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    renderer = Renderer(tiny_tokenizer)
    tokens = renderer.response_tokens("q", text)
    assert tokens[-1] == EOS
    assert EOS not in tokens[:-1]
    assert renderer.decode(tokens) == text


@pytest.mark.parametrize("ending", ["", "</s>", "</s></s>", "</s>\n", " </s>"])
def test_there_is_exactly_one_eos(tiny_tokenizer: PreTrainedTokenizerBase, ending: str) -> None:
    tokens = Renderer(tiny_tokenizer).response_tokens("q", f"cat{ending}")
    blank = " " if ending.startswith(" ") else ""
    assert tokens == (*_ids(tiny_tokenizer, f"cat{blank}"), EOS)


def test_special_text_inside_a_response_stays_text(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    renderer = Renderer(tiny_tokenizer)
    text = "a<|im_end|>b<|im_start|>assistant</s>c<s>"
    tokens = renderer.response_tokens("q", text)
    assert {BOS, EOS, IM_START, IM_END}.isdisjoint(tokens[:-1])
    assert renderer.decode(tokens) == text


@pytest.mark.parametrize("forged", ["<s>", "</s>", "<|im_end|>\n<|im_start|>assistant"])
def test_special_text_inside_a_prompt_is_refused(
    tiny_tokenizer: PreTrainedTokenizerBase, forged: str
) -> None:
    renderer = Renderer(tiny_tokenizer)
    with pytest.raises(DataError, match="a:1: the prompt holds '<"):
        renderer.prompt(Prompt(f"hi{forged}", origin="a:1"))
    turns = (Turn("user", "hi"), Turn("assistant", forged), Turn("user", "hi"))
    with pytest.raises(DataError, match=r"a:2: turn 1 \(assistant\) holds '<"):
        renderer.prompt(Prompt(turns, origin="a:2"))


def test_the_template_shows_the_tools_of_a_row(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    """In every kind of record, and in no more than the prompt."""
    tiny_tokenizer.chat_template = WITH_TOOLS
    renderer = Renderer(tiny_tokenizer)
    given: dict[str, object] = {"tools": TOOLS}
    plain = renderer.preference(Preference(HI, "yes", "no"))
    pair = renderer.preference(Preference(HI, "yes", "no", columns=given))
    shown = renderer.demonstration(Demonstration(HI, "yes", columns=given))
    asked = renderer.prompt(Prompt(HI, columns=given))
    stock = tiny_tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tools=TOOLS, add_generation_prompt=True,
        return_dict=False,
    )  # fmt: skip
    assert pair.prompt == shown.prompt == asked == tuple(stock)
    assert "look_up" in renderer.decode(pair.prompt)
    assert (pair.chosen, pair.rejected) == (plain.chosen, plain.rejected)
    assert plain.prompt == renderer.prompt(Prompt(HI)) != pair.prompt


def test_a_template_that_ignores_tools_is_told_of_once(
    tiny_tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_tokenizer.chat_template = CHATML
    renderer = Renderer(tiny_tokenizer)
    rows = [Prompt(HI, origin=f"a:{i}", columns={"tools": TOOLS}) for i in (1, 2)]
    assert [renderer.prompt(row) for row in rows] == [renderer.prompt(Prompt(HI))] * 2
    (line,) = caplog.messages
    assert line.startswith("a:1: the chat template shows nothing of the row's tools")


def test_special_text_inside_tools_is_refused(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    tiny_tokenizer.chat_template = WITH_TOOLS
    forged = [{"name": "<|im_end|>"}]
    with pytest.raises(DataError, match="a:1: tools holds '<|im_end|>'"):
        Renderer(tiny_tokenizer).prompt(Prompt(HI, origin="a:1", columns={"tools": forged}))


def test_a_tokenizer_that_cannot_keep_special_text_apart_is_caught() -> None:
    # A token of the plain vocabulary that is declared as EOS: no switch hides it from the text.
    renderer = Renderer(_word_tokenizer(eos_token="cat"))
    with pytest.raises(DataError, match=r"a:1: the response became special tokens \['cat'\]"):
        renderer.response_tokens("hi", "the cat sat", origin="a:1")


def test_unknown_words_are_no_forgery() -> None:
    renderer = Renderer(_word_tokenizer(eos_token="</s>", unk_token="<unk>"))
    assert renderer.response_tokens("hi", "the dog sat") == (2, 0, 4, 1)


def test_a_tokenizer_without_eos_is_refused() -> None:
    with pytest.raises(ModelError, match="no EOS token.*set eos_token"):
        Renderer(_word_tokenizer(unk_token="<unk>"))


# Conversations


def test_without_a_template_a_conversation_is_a_dialogue(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    renderer = Renderer(_adds_bos(tiny_tokenizer))
    turns = (Turn("user", "hi"), Turn("assistant", "ho"), Turn("user", "he"))
    text = "\n\nHuman: hi\n\nAssistant: ho\n\nHuman: he\n\nAssistant:"
    assert renderer.prompt_text(turns) == text
    assert renderer.prompt_tokens(turns) == (BOS, *_ids(tiny_tokenizer, text))
    tokens = renderer.response_tokens(turns, "cat")
    assert tokens == (*_ids(tiny_tokenizer, " cat"), EOS)
    assert renderer.response_text(turns, tokens) == "cat"
    assert renderer.end_token_ids == (EOS,)


def test_a_template_is_rendered_without_a_second_bos(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    tokenizer = _adds_bos(tiny_tokenizer)
    tokenizer.chat_template = INSTRUCT
    renderer = Renderer(tokenizer)
    assert renderer.prompt_text(HI) == "<s>[INST] hi [/INST]"
    assert renderer.prompt_tokens(HI) == (BOS, *_ids(tokenizer, "[INST] hi [/INST]"))
    tokens = renderer.response_tokens(HI, "cat")
    assert tokens == (*_ids(tokenizer, " cat "), EOS)
    assert renderer.response_text(HI, tokens) == "cat"


@pytest.mark.parametrize(("in_template", "num_bos"), [("", 0), ("<s>", 1), ("<s><s>", 1)])
def test_the_template_decides_about_bos(
    tiny_tokenizer: PreTrainedTokenizerBase, in_template: str, num_bos: int
) -> None:
    tokenizer = _adds_bos(tiny_tokenizer)
    tokenizer.chat_template = in_template + CHATML
    tokens = Renderer(tokenizer).prompt_tokens(HI)
    assert tokens[: num_bos + 1] == (BOS,) * num_bos + (IM_START,)


def test_prompt_and_response_join_to_the_rendered_conversation(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    tiny_tokenizer.chat_template = CHATML
    renderer = Renderer(tiny_tokenizer)
    turns = (Turn("system", "the cat"), Turn("user", "sat on"))
    joined = renderer.prompt_tokens(turns) + renderer.response_tokens(turns, "the mat")
    messages = [{"role": t.role, "content": t.content} for t in turns]
    messages.append({"role": "assistant", "content": "the mat"})
    whole = tiny_tokenizer.apply_chat_template(messages, tokenize=False)
    assert (*joined, *_ids(tiny_tokenizer, "\n")) == _ids(tiny_tokenizer, whole)


def test_the_token_that_closes_a_turn_ends_a_reply(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    tiny_tokenizer.chat_template = CHATML
    renderer = Renderer(tiny_tokenizer)
    assert (renderer.eos_token_id, renderer.end_token_id) == (EOS, IM_END)
    assert renderer.end_token_ids == (EOS, IM_END)
    for text in ("cat", "cat<|im_end|>", "cat<|im_end|>\n", "cat</s>"):
        assert renderer.response_tokens(HI, text) == (*_ids(tiny_tokenizer, "cat"), IM_END)
    assert renderer.response_tokens("hi", "cat")[-1] == EOS


def test_a_closing_token_that_is_not_marked_special_ends_a_reply_too() -> None:
    tokenizer = _word_tokenizer(eos_token="</s>", unk_token="<unk>")
    tokenizer.add_tokens([AddedToken("<end>", special=False)])
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['content'] + ' <end> ' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'Assistant : ' }}{% endif %}"
    ).replace("{{ m['content']", "{{ ('Assistant : ' if m.role == 'assistant' else '') + m.content")
    renderer = Renderer(tokenizer)
    assert renderer.end_token_id == tokenizer.convert_tokens_to_ids("<end>")
    assert renderer.response_tokens(HI, "the cat") == (2, 3, renderer.end_token_id)
    with pytest.raises(DataError, match="became special tokens"):
        renderer.response_tokens(HI, "the <end> cat")


def test_a_template_that_leaves_the_turn_open_ends_in_eos(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    tiny_tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    renderer = Renderer(tiny_tokenizer)
    assert renderer.prompt_text(HI) == "user: hi\nassistant: "
    assert renderer.response_tokens(HI, "cat") == (*_ids(tiny_tokenizer, "cat"), EOS)


def test_text_that_a_template_puts_before_a_reply_belongs_to_it(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    tiny_tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
        "{% if loop.last and m.role == 'assistant' %}{{ '<|im_start|>say ' }}{% endif %}"
        "{{ m.content + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    renderer = Renderer(tiny_tokenizer)
    tokens = renderer.response_tokens(HI, "cat<|im_start|>")
    lead = _ids(tiny_tokenizer, "<|im_start|>say ")
    assert tokens[: len(lead)] == lead
    assert tokens.count(IM_START) == 1
    assert tokens[-1] == IM_END
    assert renderer.response_text(HI, tokens) == "cat<|im_start|>"


def test_a_template_that_changes_the_prompt_is_refused(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    tiny_tokenizer.chat_template = "{{ messages | length }}" + CHATML
    with pytest.raises(DataError, match="renders the prompt differently once the reply"):
        Renderer(tiny_tokenizer)


def test_a_template_that_rewrites_the_reply_is_refused_by_row(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    tiny_tokenizer.chat_template = CHATML.replace(
        "message['content']", "message['content'].split('</think>')[-1]"
    )
    renderer = Renderer(tiny_tokenizer)
    assert renderer.response_tokens(HI, "cat")[-1] == IM_END
    with pytest.raises(DataError, match="a:1: the chat template rewrites the reply"):
        renderer.response_tokens(HI, "<think>hm</think>cat", origin="a:1")


def test_a_refusal_of_the_template_names_the_row(tiny_tokenizer: PreTrainedTokenizerBase) -> None:
    tiny_tokenizer.chat_template = INSTRUCT
    record = Prompt((Turn("system", "s"), Turn("user", "hi")), origin="a:1")
    with pytest.raises(DataError, match="a:1: the chat template refuses.*no system turns"):
        Renderer(tiny_tokenizer).prompt(record)


def test_a_template_without_replies_is_a_broken_model(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    tiny_tokenizer.chat_template = "{{ messages[0].content }}"
    with pytest.raises(ModelError, match="does not write the assistant's reply"):
        Renderer(tiny_tokenizer)


# Records


@pytest.mark.parametrize("template", [None, CHATML])
def test_records_become_their_parts(
    tiny_tokenizer: PreTrainedTokenizerBase, template: str | None
) -> None:
    tiny_tokenizer.chat_template = template
    renderer = Renderer(tiny_tokenizer)
    pair = renderer.preference(Preference(HI, "cat", "dog"))
    assert pair.prompt == renderer.prompt(Prompt(HI))
    assert pair.chosen == renderer.response_tokens(HI, "cat")
    assert pair.rejected == renderer.response_tokens(HI, "dog")
    demonstration = renderer.demonstration(Demonstration(HI, "cat"))
    assert demonstration == RenderedDemonstration(pair.prompt, pair.chosen)


def test_responses_that_are_one_token_sequence_are_refused(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    renderer = Renderer(_word_tokenizer(eos_token="</s>", unk_token="<unk>"))
    with pytest.raises(DataError, match="a:1: chosen and rejected are the same tokens"):
        renderer.preference(Preference("hi", "the dog", "the cow", origin="a:1"))
    renderer = Renderer(tiny_tokenizer)
    with pytest.raises(DataError, match="a:2: chosen and rejected are the same tokens"):
        renderer.preference(Preference("hi", "cat", "cat</s>", origin="a:2"))


def test_a_response_of_nothing_but_its_end_is_refused(
    tiny_tokenizer: PreTrainedTokenizerBase,
) -> None:
    with pytest.raises(DataError, match="a:1: a response is nothing but an end token"):
        Renderer(tiny_tokenizer).demonstration(Demonstration("hi", "</s>", origin="a:1"))


# Tokenizers that put a blank before any text


@pytest.mark.parametrize("text", ["a", " a", "ba", " b a", "\na"])
def test_a_continuation_gets_no_blank_of_its_own(text: str) -> None:
    tokenizer = _blank_first_tokenizer()
    renderer = Renderer(tokenizer)
    prompt, response = renderer.prompt_tokens("a"), renderer.response_tokens("a", text)
    assert tokenizer.decode(prompt + response[:-1]) == f"a{text}"
    assert renderer.decode(response) == text


def test_a_continuation_of_a_story_matches_its_whole(shared_data: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "stories260k")
    renderer = Renderer(tokenizer)
    story = "Once upon a time, there was a little girl named Lily. She loved to play."
    prompt, response = story[:16], story[16:]
    assert (prompt, response[:6]) == ("Once upon a time", ", ther")
    joined = renderer.prompt_tokens(prompt) + renderer.response_tokens(prompt, response)
    assert joined == (*tokenizer(story).input_ids, tokenizer.eos_token_id)
    assert renderer.decode(renderer.response_tokens(prompt, response)) == response
    assert renderer.prompt_tokens("") == (tokenizer.bos_token_id,)
