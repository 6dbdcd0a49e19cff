#!/usr/bin/env python3
"""scripts/chat-prompts: equal to transformers' apply_chat_template (data/chat.cases.json), and what it refuses."""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parents[2] / "scripts" / "python" / "chat_prompts.py"


class ChatPrompts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, content):
        text = content if isinstance(content, (str, bytes)) else json.dumps(content)
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(self.folder / name)

    def run_script(self, *arguments):
        return subprocess.run([sys.executable, str(SCRIPT), str(self.folder), *map(str, arguments)], capture_output=True, check=False)

    def prompts(self, *arguments):
        done = self.run_script(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return [json.loads(line) for line in done.stdout.decode().splitlines()]

    def refused(self, code, *parts, arguments=()):
        done = self.run_script(*arguments)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        self.assertEqual(done.stdout, b"")
        for part in parts:
            self.assertIn(part, done.stderr.decode())
        self.assertNotIn("Traceback", done.stderr.decode())

    def test_texts_are_those_of_transformers(self):
        cases = json.loads((HERE / "data" / "chat.cases.json").read_text(encoding="utf-8"))["cases"]
        self.assertGreaterEqual(len(cases), 7)
        for case in cases:
            self.write("tokenizer_config.json", case["config"])
            sets = [f"--set={key}={json.dumps(value)}" for key, value in case["variables"].items()]
            for generation in (True, False):
                chats = [c for c in case["chats"] if c["generation"] == generation]
                good = [c for c in chats if isinstance(c["expected"], str)]
                questions = self.write("q.jsonl", "".join(json.dumps({"messages": c["messages"]}) + "\n" for c in good))
                made = self.prompts(questions, *sets, *([] if generation else ["--no-generation-prompt"]))
                self.assertEqual([p["text"] for p in made], [c["expected"] for c in good], case["name"])
                for bad in (c for c in chats if c not in good):
                    questions = self.write("bad.jsonl", json.dumps({"messages": bad["messages"]}))
                    self.refused(65, "bad.jsonl line 1", bad["expected"]["error"], arguments=[questions, *sets])

    SIMPLE = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}>{% endif %}"

    def test_questions_of_a_text_file(self):
        self.write("tokenizer_config.json", {"chat_template": self.SIMPLE, "bos_token": "<s>"})
        questions = self.write("q.txt", "First?\r\n\n  Zweite \u00bd?\n")
        self.assertEqual(self.prompts(questions), [
            {"id": "q1", "text": "<s>[user]First?>", "special_tokens": False},
            {"id": "q2", "text": "<s>[user]  Zweite \u00bd?>", "special_tokens": False}])
        made = self.prompts(questions, "--system", "Be brief.", "--no-generation-prompt")
        self.assertEqual(made[0]["text"], "<s>[system]Be brief.[user]First?")
        done = self.run_script(questions, "-o", self.folder / "out.jsonl")
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertIn("\u00bd", (self.folder / "out.jsonl").read_text(encoding="utf-8"))

    def test_a_byte_order_mark_is_no_part_of_a_question(self):
        self.write("tokenizer_config.json", {"chat_template": self.SIMPLE})
        self.assertEqual(self.prompts(self.write("q.txt", b"\xef\xbb\xbfA\n"))[0]["text"], "[user]A>")

    def test_what_the_template_is_given_besides(self):
        self.write("tokenizer_config.json", {"chat_template": "{{ tools | tojson }}{{ add_generation_prompt }}"})
        questions = self.write("q.txt", "A")
        self.assertEqual(self.prompts(questions)[0]["text"], "nullTrue")
        self.assertEqual(self.prompts(questions, "--set", 'tools=[{"name": "f"}]', "--set", "add_generation_prompt=false")[0]["text"],
                         '[{"name": "f"}]False')
        self.refused(64, "messages", "QUESTIONS", arguments=[questions, "--set", "messages=[]"])

    def test_questions_of_a_jsonl_file(self):
        self.write("tokenizer_config.json", {"chat_template": self.SIMPLE})
        system = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
        questions = self.write("q.jsonl", "\n".join(map(json.dumps, [{"id": "a", "question": "A"}, {"id": "b", "messages": system}])))
        self.assertEqual([p["text"] for p in self.prompts(questions, "--system", "other")],
                         ["[system]other[user]A>", "[system]S[user]U>"])

    def test_where_templates_lie(self):
        questions = self.write("q.txt", "x")
        self.write("tokenizer_config.json", {"chat_template": [{"name": "default", "template": "D"}, {"name": "rag", "template": "R"}]})
        self.assertEqual(self.prompts(questions)[0]["text"], "D")
        self.assertEqual(self.prompts(questions, "--template", "rag")[0]["text"], "R")
        self.refused(65, "no chat template 'tool'", "default, rag", arguments=[questions, "--template", "tool"])
        self.write("chat_template.jinja", "J")
        self.write("additional_chat_templates/more.jinja", "M")
        self.assertEqual(self.prompts(questions)[0]["text"], "J")
        self.assertEqual(self.prompts(questions, "--template", "more")[0]["text"], "M")
        self.write("chat_template.jinja", "{{ strftime_now('%d %b %Y') }}")
        self.assertEqual(self.prompts(questions, "--date", "2026-11-29")[0]["text"], "29 Nov 2026")
        self.write("chat_template.jinja", "{{ eos_token }}")
        self.write("special_tokens_map.json", {"eos_token": {"content": "</s>"}})
        self.assertEqual(self.prompts(questions)[0]["text"], "</s>")

    def test_refused_questions(self):
        self.write("tokenizer_config.json", {"chat_template": self.SIMPLE})
        for text, parts in [
            ("", ["holds no question"]),
            ("{}", ["line 1", "either"]),
            ('{"id": "a", "question": "x"}\n{"id": "a", "question": "y"}', ["line 2", "used twice", "line 1"]),
            ('{"id": "../a", "question": "x"}', ["line 1", "'../a'"]),
            ('{"id": 3, "question": "x"}', ["line 1", "id 3"]),
            ('\n{"id": "a", "question": ""}', ["line 2", "question is ''"]),
            ('{"id": "a", "messages": []}', ["messages"]),
            ('{"id": "a", "messages": [{"content": "x"}]}', ["messages[0] has no role"]),
            ("[1]", ["line 1", "object"]),
            ("{", ["line 1", "not valid JSON"]),
            (b'{"question": "x"}\n{"question": "\xff"}', ["line 2", "not UTF-8", "0xFF"]),
            (r'{"question": "\ud800"}', ["surrogate"]),
        ]:
            self.refused(65, *parts, arguments=[self.write("q.jsonl", text)])
        self.refused(65, "cannot be read", arguments=["/nonexistent"])

    def test_refused_models(self):
        questions = self.write("q.txt", "x")
        self.refused(65, "no chat template", "chat_template.jinja", "tokenizer_config.json", arguments=[questions])
        for template, parts in [("{% for %}", ["chat_template", "line 1 of the template"]),
                                ("{{ raise_exception('no such role') }}", ["q.txt line 1", "no such role"]),
                                ("{{ messages[7].content }}", ["q.txt line 1"]),
                                ("{{ messages.append(1) }}", ["q.txt line 1", "unsafe"]),
                                ("{{ ''.__class__.__mro__ }}", ["q.txt line 1", "unsafe"]),
                                ("{{ range(10**9) }}", ["q.txt line 1", "Range"]),
                                ("{{ 1 / 0 }}", ["q.txt line 1", "zero"])]:
            self.write("tokenizer_config.json", {"chat_template": template})
            self.refused(65, *parts, arguments=[questions])
        self.write("tokenizer_config.json", {"chat_template": 7})
        self.refused(65, "a text is expected", arguments=[questions])
        self.write("tokenizer_config.json", {"chat_template": "x", "bos_token": 7})
        self.refused(65, "bos_token is 7", arguments=[questions])
        self.write("tokenizer_config.json", "{")
        self.refused(65, "tokenizer_config.json", "not valid JSON", arguments=[questions])
        self.refused(64, "NAME=VALUE", arguments=[questions, "--set", "x"])
        self.refused(64, "required", arguments=[])

    def test_a_gguf_files_template_is_the_directorys(self):
        try:
            import gguf
        except ImportError:
            self.skipTest("the gguf package is not installed")
        config = {"chat_template": self.SIMPLE, "bos_token": "<s>"}
        self.write("tokenizer_config.json", config)
        questions = self.write("q.txt", "What?\nWhy?\n")
        wanted = self.prompts(questions)
        writer = gguf.GGUFWriter(self.folder / "model.gguf", "llama")
        writer.add_token_list(["<unk>", "<s>"])
        writer.add_bos_token_id(1)
        writer.add_chat_template(self.SIMPLE)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        self.folder = self.folder / "model.gguf"
        self.assertEqual(self.prompts(questions), wanted)
        self.folder.write_bytes(b"GGUF" + bytes(3))
        self.refused(65, "model.gguf", arguments=[questions])


if __name__ == "__main__":
    # A GPU machine may come without; scripts/test installs it and insists.
    if importlib.util.find_spec("jinja2") is None and "SHARDRIFT_REQUIRE_TOOLS" not in os.environ:
        print("skipped: jinja2 is not there: run scripts/setup")
        sys.exit(77)
    unittest.main()
