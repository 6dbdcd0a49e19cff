#!/usr/bin/env python3
"""Writes data/chat.cases.json: chat templates in the shape of the named models', and what transformers makes of them.

    pip install transformers==5.24.0 jinja2==3.1.6 torch tokenizers
    python make_chat_cases.py
"""
import json
import pathlib
import tempfile

import transformers
from transformers import AutoTokenizer

HERE = pathlib.Path(__file__).parent / "data"

QWEN25 = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}{{- tools | tojson }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant") %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

QWEN3 = """{%- set ns = namespace(last=messages|length - 1, seen=false) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if not ns.seen and message.role == "user" and message.content is string %}
        {%- set ns.seen = true %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in message.content %}
            {%- set reasoning = message.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' }}
        {%- if loop.index0 > ns.last and reasoning %}{{- '<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' }}{%- endif %}
        {{- message.content.split('</think>')[-1].lstrip('\\n') + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Cutting Knowledge Date: December 2023\\nToday Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('After the optional system message, conversation roles must alternate user/assistant') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {%- if loop.first and system_message is defined %}
            {{- ' [INST] ' + system_message + '\\n\\n' + message['content'] + ' [/INST]' }}
        {%- else %}
            {{- ' [INST] ' + message['content'] + ' [/INST]' }}
        {%- endif %}
    {%- elif message['role'] == 'assistant' %}
        {% generation %}{{- ' ' + message['content'] + eos_token}}{% endgeneration %}
    {%- endif %}
{%- endfor %}
"""

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}\
{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}\
{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}"""

PHI3 = """{% for message in messages %}
{% if message['role'] == 'system' and message['content'] %}
{{'<|system|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'user' %}
    {{'<|user|>
' + message['content'] + '<|end|>
'}}
{% elif message['role'] == 'assistant' %}
  {%- if loop.last %}{% continue %}{% endif %}
{{'<|assistant|>
' + message['content'] + '<|end|>
'}}
{% else %}{% break %}{% endif %}
{% endfor %}
{% if add_generation_prompt %}{{ '<|assistant|>
' }}{% else %}{{ eos_token }}{% endif %}
{{ {'b': '<é>', 'a': [1, none, true]} | tojson }} {{ dict(x=1).x }} {{ dict.fromkeys(['k'])['k'] }}
"""

USER = {"role": "user", "content": " 为什么 sums <differ> & \"drift\"? 👩‍👩‍👧 "}
SYSTEM = {"role": "system", "content": " Be brief. "}
ASSISTANT = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nRounding.", "reasoning": "really"}
CHATS = [[USER], [SYSTEM, USER], [USER, ASSISTANT, USER], [USER, ASSISTANT]]
TOKENS = {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False, "rstrip": False, "normalized": False, "special": True,
                                           "single_word": False, "__type": "AddedToken"}, "pad_token": None}
CASES = [("qwen2.5", QWEN25, {}), ("qwen3", QWEN3, {}), ("qwen3 without thinking", QWEN3, {"enable_thinking": False}),
         ("llama 3", LLAMA3, {"date_string": "29 Nov 2026"}), ("mistral", MISTRAL, {}), ("gemma", GEMMA, {}), ("phi-3", PHI3, {})]


def rendered(tokenizer, chat, generation_prompt, variables):
    try:
        return tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=generation_prompt, **variables)
    except Exception as error:
        return {"error": str(error)}


def ids_of(tokenizer, name, chat, generation_prompt, variables):
    """Where data/small.tokenizer.json has all that the template writes: the ids, for tokenizer_test.cpp."""
    if not name.startswith("qwen"):
        return {}
    made = tokenizer.apply_chat_template(chat, tokenize=True, add_generation_prompt=generation_prompt, return_dict=True, **variables)
    return {"ids": json.dumps(made["input_ids"])}


def main():
    rows = []
    model = json.loads((HERE / "small.tokenizer.json").read_text(encoding="utf-8"))
    for name, template, variables in CASES:
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "tokenizer.json").write_text(json.dumps(model), encoding="utf-8")
            config = {"tokenizer_class": "PreTrainedTokenizerFast", **TOKENS, "chat_template": template}
            (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
            tokenizer = AutoTokenizer.from_pretrained(folder)
            rows.append({"name": name, "config": config, "variables": variables,
                         "chats": [{"messages": chat, "generation": g, "expected": rendered(tokenizer, chat, g, variables)}
                                   | ids_of(tokenizer, name, chat, g, variables) for chat in CHATS for g in [True, False]]})
    document = {"made_by": f"transformers {transformers.__version__}", "cases": rows}
    (HERE / "chat.cases.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
