"""scripts/chat-prompts: questions as a prompts file, in the chat template that a model's directory brings along."""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.sandbox

NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
REASONING = ("reasoning_content", "thinking", "reasoning")
ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def fail(text: str) -> NoReturn:
    print(f"chat-prompts: error: {text}", file=sys.stderr)
    sys.exit(65)


def read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        fail(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        fail(f"{path} line {line}: is not UTF-8: byte 0x{error.object[error.start]:02X}: save the file as UTF-8")


def read_object(path: Path, text: str, where: str) -> dict:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        fail(f"{where}: not valid JSON: {error}")
    if not isinstance(value, dict):
        fail(f"{where}: a JSON object is expected")
    return value


def gguf_settings(path: Path) -> dict:
    """What tokenizer_config.json would say, out of a GGUF file's keys."""
    try:
        import gguf
    except ImportError:
        fail(f"{path}: reading a GGUF file takes the gguf package: scripts/setup installs it")
    try:
        fields = gguf.GGUFReader(path).fields
        tokens = fields["tokenizer.ggml.tokens"] if "tokenizer.ggml.tokens" in fields else None
        template = fields.get("tokenizer.chat_template")
        if template is None:
            fail(f"{path}: no chat template (key tokenizer.chat_template): this is no chat model's file")
        settings: dict[str, Any] = {"chat_template": template.contents()}
        others = {key.removeprefix("tokenizer.chat_template."): field.contents() for key, field in fields.items()
                  if key.startswith("tokenizer.chat_template.")}
        if others:
            settings["chat_template"] = {"default": template.contents(), **others}
        for name, key in (("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding")):
            field = fields.get(f"tokenizer.ggml.{key}_token_id")
            if field is not None and tokens is not None:
                settings[name] = tokens.contents(int(field.contents()))
    except (ValueError, KeyError, IndexError, OSError, UnicodeDecodeError) as error:
        fail(f"{path}: cannot be read as a GGUF file: {error}")
    return settings


# -- the template --------------------------------------------------------------------------------------------


class Generation(jinja2.ext.Extension):
    """{% generation %} marks what an assistant said, for training: here its body as it is."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Dictionary:
    """dict and dict.fromkeys, and no other way to Python's type."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict:
        return dict.fromkeys(*args)


def raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None,
           sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def compile_template(source: str, now: datetime.datetime) -> jinja2.Template:
    """As transformers sets up Jinja: sandboxed, since a template comes with a model from anywhere."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": now.strftime, "dict": Dictionary()}
    return environment.from_string(source)


def template_source(directory: Path, config: dict, name: str | None) -> tuple[str, str]:
    """The template and where it stands; chat_template.jinja counts before tokenizer_config.json."""
    file = directory / "chat_template.jinja"
    folder = directory / "additional_chat_templates"
    where = f"{directory / 'tokenizer_config.json'}: chat_template"
    found = config.get("chat_template")
    if isinstance(found, list):  # [{"name": "default", "template": "…"}, …]
        found = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
    templates = found if isinstance(found, dict) else {"default": found} if found is not None else {}
    places = {key: f"{where} {key}" if isinstance(found, dict) else where for key in templates}
    if file.exists():
        templates, places = {"default": read(file)}, {"default": str(file)}
        for extra in sorted(folder.glob("*.jinja")):
            templates[extra.stem], places[extra.stem] = read(extra), str(extra)
    wanted = name or "default"
    if wanted not in templates:
        others = f"; there are {', '.join(map(str, templates))}: name one with --template" if templates else ""
        fail(f"{directory}: no chat template {wanted!r} in chat_template.jinja or tokenizer_config.json{others}"
             if templates or name else
             f"{directory}: no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json; "
             "this is no chat model's directory, or its files are not all here")
    if not isinstance(templates[wanted], str):
        fail(f"{places[wanted]}: a text is expected")
    return templates[wanted], places[wanted]


def named_tokens(directory: Path, config: dict) -> dict[str, str]:
    path = directory / "special_tokens_map.json"
    older = read_object(path, read(path), str(path)) if path.exists() else {}
    tokens = {}
    for key in NAMED_TOKENS:
        value = config[key] if key in config else older.get(key)
        value = value.get("content") if isinstance(value, dict) else value
        if value is not None and not isinstance(value, str):
            fail(f"{directory / 'tokenizer_config.json'}: {key} is {value!r}; a text, or an object with content, is expected")
        if value is not None:
            tokens[key] = value
    return tokens


# -- the questions -------------------------------------------------------------------------------------------


def check_messages(messages: Any, where: str) -> list[dict]:
    if not isinstance(messages, list) or not messages:
        fail(f"{where}: messages: a list of {{\"role\", \"content\"}} is expected")
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            fail(f"{where}: messages[{i}] has no role: {{\"role\": \"user\", \"content\": \"…\"}} is expected")
    return messages


def line_of_questions(path: Path, text: str, where: str) -> tuple[str | None, list[dict]]:
    line = read_object(path, text, where)
    if ("question" in line) == ("messages" in line):
        fail(f"{where}: either \"question\" or \"messages\" is expected")
    if "messages" in line:
        return line.get("id"), check_messages(line["messages"], where)
    if not isinstance(line["question"], str) or not line["question"]:
        fail(f"{where}: question is {line['question']!r}; a text is expected")
    return line.get("id"), [{"role": "user", "content": line["question"]}]


def read_questions(path: Path) -> list[tuple[str, str, list[dict]]]:
    """(where, id, messages) of each question."""
    questions: list[tuple[str, str, list[dict]]] = []
    seen: dict[str, str] = {}
    for number, text in enumerate(read(path).removeprefix("\ufeff").split("\n"), 1):
        where = f"{path} line {number}"
        if not text.strip():
            continue
        if path.suffix == ".jsonl":
            name, messages = line_of_questions(path, text, where)
        else:
            name, messages = None, [{"role": "user", "content": text.removesuffix("\r")}]
        name = f"q{len(questions) + 1}" if name is None else name
        if not isinstance(name, str) or not ID.fullmatch(name):
            fail(f"{where}: id {name!r}: use letters, digits, '.', '_' and '-', at most 64, not starting with '.'")
        if name in seen:
            fail(f"{where}: id {name!r} is used twice, first at {seen[name]}: give each question an id of its own")
        seen[name] = where
        questions.append((where, name, messages))
    if not questions:
        fail(f"{path}: holds no question: one a line is expected")
    return questions


def aliased(message: dict) -> dict:
    """A message's reasoning under the names that templates read, as transformers does."""
    reasoning = next((message[key] for key in REASONING if message.get(key) is not None), None)
    return message if reasoning is None else {"thinking": reasoning, **message, "reasoning_content": reasoning}


def prompts(arguments: argparse.Namespace) -> list[dict]:
    directory: Path = arguments.directory
    if directory.is_file():
        config = gguf_settings(directory)
    elif directory.is_dir():
        path = directory / "tokenizer_config.json"
        config = read_object(path, read(path), str(path)) if path.exists() else {}
    else:
        fail(f"{directory}: no directory: give a model's, with tokenizer_config.json, or a GGUF file")
    source, where = template_source(directory, config, arguments.template)
    questions = read_questions(arguments.questions)
    variables = {"tools": None, "documents": None, "add_generation_prompt": not arguments.no_generation_prompt,
                 **named_tokens(directory, config), **dict(arguments.set)}
    written = []
    try:
        template = compile_template(source, arguments.date)
    except jinja2.TemplateSyntaxError as error:
        fail(f"{where}: line {error.lineno} of the template: {error.message}")
    for place, name, messages in questions:
        if arguments.system is not None and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": arguments.system}, *messages]
        try:
            text = template.render(messages=[aliased(message) for message in messages], **variables)
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            fail(f"{place}: the template ({where}) refuses it: {error}")
        # The template has written the special tokens: encoding must not add them again.
        written.append({"id": name, "text": text, "special_tokens": False})
    return written


# -- the command line ----------------------------------------------------------------------------------------


def assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"'{text}': NAME=VALUE is expected")
    if name == "messages":
        raise argparse.ArgumentTypeError("messages are the questions': give them in QUESTIONS")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"chat-prompts: error: {message}", file=sys.stderr)
        sys.exit(64)


def main() -> None:
    parser = Parser(
        prog="scripts/chat-prompts", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Writes a prompts file: each question in the chat template of the model in DIR, as transformers'\n"
                    "apply_chat_template writes it, up to where the assistant begins to answer.",
        epilog="example: scripts/chat-prompts models/Qwen3-8B questions.txt --set enable_thinking=false -o prompts.jsonl")
    parser.add_argument("directory", metavar="DIR", type=Path, help="the model's: tokenizer_config.json, chat_template.jinja; or a GGUF file")
    parser.add_argument("questions", metavar="QUESTIONS", type=Path,
                        help="a text, one question a line; or *.jsonl: {\"id\": …, \"question\": …} or {\"id\": …, \"messages\": "
                             "[{\"role\": …, \"content\": …}]} a line")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="the prompts file (default: standard output)")
    parser.add_argument("--system", metavar="TEXT", help="a system message before each chat that begins with none")
    parser.add_argument("--template", metavar="NAME", help="which one, where the directory has several (default: default)")
    parser.add_argument("--set", metavar="NAME=VALUE", type=assignment, action="append", default=[],
                        help="a variable of the template, JSON or text: enable_thinking=false")
    parser.add_argument("--date", metavar="YYYY-MM-DD", type=datetime.datetime.fromisoformat, default=datetime.datetime.now(),
                        help="what a template that writes the date takes for today, so that prompts can be made again")
    parser.add_argument("--no-generation-prompt", action="store_true", help="ends with the last message")
    arguments = parser.parse_args()
    lines = "".join(json.dumps(prompt, ensure_ascii=False) + "\n" for prompt in prompts(arguments))
    try:
        encoded = lines.encode("utf-8")
    except UnicodeEncodeError:
        fail(f"{arguments.questions}: has half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    try:
        if arguments.output is None:
            sys.stdout.buffer.write(encoded)
        else:
            arguments.output.write_bytes(encoded)
    except OSError as error:
        fail(f"{arguments.output or 'standard output'}: cannot be written: {error.strerror}")


if __name__ == "__main__":
    main()
