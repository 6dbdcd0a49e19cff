#!/usr/bin/env python3
"""Writes data/*.json: small tokenizers and the ids Hugging Face `tokenizers` gives for them.

    pip install tokenizers
    python make_fixtures.py [--smollm2 models/smollm2-135m/tokenizer.json] [--random N --out DIR]

--smollm2 also writes the expected ids of the real SmolLM2 tokenizer (the tokenizer itself is not committed).
--random writes N random texts a tokenizer to DIR instead, for a longer comparison than the committed one:
SHARDRIFT_TOKENIZER_FIXTURES=DIR test_tokenizer.
"""
import argparse
import copy
import hashlib
import json
import pathlib
import random
import unicodedata

import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent / "data"

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = [r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s?\p{L}+", r"[一-龥ࠀ-一가-퟿]+", r"\s+$"]
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

# Classes in classes (the first is Viking's), complements in classes, intersections, signs that mean nothing there.
NESTED = [r" ?[^(\s|[.,!?…。，、।۔،])]+", r"[^\W\d_]+|[\W\d]", r"[a-f[^a-z\s]]+", r"[^a-f[^a-z]]+", r"[a-z&&[^aeiou]]+",
          r"[^a-z&&[^aeiou]]+", r"[\w&&\D&&[^A-Z]]+", r"[-a[-b-c]^]+", r"[a[b[c-e]]&&[b-z]]+", r"[[a-c][x-z]-]+"]

TEXTS = [
    "", " ", "  ", "a", " a", "a ", "\n", "\n\n\n", "\t", "\r\n", " \n", "\n ", "   \n\t  \r\n  x",
    "Hello, world! It's 2024, isn't it? I'll say they've DON'T 'S 'Ll 're'd.",
    "The quick brown fox jumps over the lazy dog.", "  leading and trailing   ",
    "3.14159 and 1234567890 and 1,000,000 or 0x1F; 12ab34", "Ⅷ ½ ² ① ٣٤٥ ४५६ 12٣",
    "def f(x):\n    if x > 0:\n\treturn x**2  # comment\n\n\nclass A: pass\n", "a=b+c;//!?#$%^&*()_+{}|:<>~`[]\\",
    "机器学习模型在多个设备上运行时，结果会不同吗？", "東京タワーは、高さ333メートルです。ひらがなカタカナ漢字",
    "مرحبا بالعالم، كيف حالك؟ العدد ١٢٣", "Привет, мир! Ёлка. Ελληνικά γράμματα", "हिन्दी में लिखा हुआ पाठ। ไทยไม่มีวรรค 한국어 문장입니다.",
    "naïve café façade Ångström coöperate — “quoted” … e\u0301 a\u0308o\u0302", "I\u0307stanbul ſtraße ﬁ Dž 'ſ it'ſ K 'K Å",
    "👩‍👩‍👧‍👦 family 👍🏽 🇩🇪 ❤️ 🏳️‍🌈 smile😀😀", "zero\u200bwidth\u200djoin\u00a0nbsp\u0085nel\u180emvs\u2028ls\u2029ps\u3000wide\u1680ogham\u202f\u205f",
    "\u00a0\u00a0x \u180e y\u2028\u2028z \u0085\u0085 q\x0b\x0cw\x1c\x1d\x1e\x1fv", "nul\x00byte \x01\x02\x7f\x80\x9f",
    "𝒜𝓁𝑔𝑒𝒷𝓇𝒶 𐍈 𠜎𠜱", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", " " * 57, "x" + " " * 31 + "y", "\n" * 17 + "z",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|endoftext|>", "a<|endoftext|>b  <|endoftext|>  c",
    "<|im_start|><|im_start|>", "<|im_start", "<|im_start|", "|im_start|>", "<|endoftext|><|endoftext|> ", "<s>x</s>", "[L] [L]x  [L]  y",
    "[R]  x [R]\n\ty", " [B] x  [B]\n[B] ", "word[W]word [W] word _[W] [W]. (W) [W]\u200d \u0301[W] é[W] 5[W]", "[N]x[NN]y[NNN] [N",
    "[L][R] [L] [R]  [B]  [L]\n[W][W] [W]", "{{ template }} {% if %}", "https://example.org/a?b=c&d=%20#e",
    "The-end…\n\n  - item 1\n  - item 2\n\n1. a\n10. b", "MixedCASE camelCase snake_case SCREAMING_CASE x1y2", "'s 't 'd 'm 're 've 'll 'S 'RE ' s",
    "\ufeffbom \ufffd replaced", "a\u0300\u0301\u0302b", "tab\tsep\tvalues\n1\t2\t3", "ends with cr\r", "!!!???...", "—–-−", "$€£¥ 50% §7",
]

# For the variants alone: what they are trained on stays as it is.
MORE = ["m² x³ ½ ¼ ¹a ⁴ ₂ ① Ⅷ", "a-b^c-a|b(c) abc-xyz aeiou bcd BCD [x] 12_3", "Åström e\u0301\u0323 o\u0302\u0301 \u1100\u1161\u11a8 각 Å ｶﾞ ﬁ",
        "q\u0307\u0323 \u1e9b\u0323 \u0928\u093c \u0627\u0653 \u09c7\u09be \U000110a5\U000110ba \u0344 \u212b\u2126 \u0b47\u0b56",
        "e\u08d3\u0301 \u09fe\u0323 \U00011935\U00011930 x\u1abf\u0323\u0301", "«a» ¡b! c‽ d⸺e ⸢f⸥ 「g」 ؛ ।x᙭ ༄ $+<=>^`|~ ¬±×÷"]

CORPUS = TEXTS + [
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness.",
    "Tensor parallel inference splits every matrix over several devices and sums the partial results afterwards.",
    "机器学习模型在多个设备上运行。机器学习很有趣。", "東京は日本の首都です。東京タワー。", "Привет, мир! Привет, друзья!",
    "int main() {\n    return 0;\n}\n" * 2, "for i in range(10):\n    print(i)\n" * 2, "I'll don't it's they've we're you'd",
]

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def added():
    make = tokenizers.AddedToken
    return [
        make("[L]", lstrip=True, normalized=False), make("[R]", rstrip=True, normalized=False),
        make("[B]", lstrip=True, rstrip=True, normalized=False), make("[W]", single_word=True, normalized=False),
        make("[N]", normalized=True), make("[NN]", normalized=True), make("[N]x", normalized=False), make("   ", normalized=False),
    ]


def train(pre_tokenizer, vocab_size, with_bos):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens(added())
    if with_bos:
        template = processors.TemplateProcessing(single="<|endoftext|> $A <|im_end|>",
                                                 special_tokens=[("<|endoftext|>", 0), ("<|im_end|>", 2)])
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return json.loads(tokenizer.to_str())


def split(pattern, behavior, invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def variants():
    """Merge patches of small.json: every pre-tokenizer setting and both spellings of merges."""
    for behavior in ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]:
        for invert in [False, True]:
            yield f"{behavior} {invert}", {"pre_tokenizer": sequence(split(r"\s|\d|[aeiou]", behavior, invert), byte_level())}
    yield "string pattern", {"pre_tokenizer": sequence(split(".", "MergedWithPrevious", kind="String"), byte_level())}
    yield "word class", {"pre_tokenizer": sequence(split(r"\w+|[^\w\s]+", "Isolated"), byte_level())}
    yield "no word class", {"pre_tokenizer": sequence(split(r"\W+|[\S\n]", "Isolated"), byte_level())}
    yield "numbers that are words", {"pre_tokenizer": sequence(split(r"\w+|[^\w\s]+|\s+", "Isolated"), byte_level())}
    yield "punctuation", {"pre_tokenizer": sequence({"type": "Punctuation"}, byte_level())}
    yield "punctuation together", {"pre_tokenizer": sequence({"type": "Punctuation", "behavior": "Contiguous"}, byte_level())}
    for pattern in NESTED:
        yield f"class {pattern}", {"pre_tokenizer": sequence(split(pattern, "Isolated"), byte_level())}
    yield "NFC", {"normalizer": {"type": "NFC"}, "pre_tokenizer": byte_level(False, True)}
    yield "NFC in a sequence", {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]}}
    yield "lines", {"pre_tokenizer": sequence(split(r"^.|.$|^$", "Isolated"), byte_level())}
    yield "empty matches", {"pre_tokenizer": sequence(split(r"x*|(?=\p{Lu})", "Isolated"), byte_level())}
    yield "scripts", {"pre_tokenizer": sequence(split(r"\p{Han}+|[\p{Hiragana}\p{Katakana}]+|\P{Greek}\p{^Nd}", "Isolated"), byte_level())}
    yield "folded", {"pre_tokenizer": sequence(split(r"(?i:'s|re|k|[aeio]l+)", "Isolated"), byte_level())}
    yield "digits together", {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": False}, byte_level(False, True))}
    yield "prefix space", {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, byte_level(True, True))}
    yield "byte level alone", {"pre_tokenizer": byte_level(False, True)}
    yield "byte level first", {"pre_tokenizer": sequence(byte_level(False, False), split("Ġ", "MergedWithNext", kind="String"))}
    yield "deepseek", {"pre_tokenizer": sequence(split(r"[\r\n]", "Isolated"), *[split(p, "Isolated") for p in DEEPSEEK],
                                                 {"type": "Digits", "individual_digits": True}, byte_level())}
    yield "gpt-4o", {"pre_tokenizer": sequence(split(GPT4O, "Removed", True), byte_level())}
    yield "ignore merges", {"model": {"ignore_merges": True}, "pre_tokenizer": byte_level(False, True)}


ADDED_TEXTS = ["x QQ y", "xQQyRR", "x<|im_end|>y", "théQ e\u0301Q \u00e9Q", "the QQQ RRQQ", " QQ  RR "]


def added_lists(first):
    """Lists of added tokens that `tokenizers` reads otherwise than they are written."""
    def token(content, id_, **flags):
        return {"id": id_, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": False} | flags
    none, nfc = {}, {"normalizer": {"type": "NFC"}}
    yield "listed twice", none, first + [first[2]]
    yield "far id", none, first + [token("QQ", 700)]
    yield "id of another", none, first + [token("QQ", 5)]
    yield "one id for two", none, first + [token("QQ", 600), token("RR", 600)]
    yield "out of order", none, first + [token("QQ", 601), token("RR", 600)]
    yield "twice with other ids", none, first + [token("QQ", 600), token("QQ", 601), token("RR", 602)]
    yield "twice with other flags", none, first + [token("QQ", 600), token("QQ", 600, lstrip=True)]
    yield "in the vocabulary", none, first + [token("the", 900), token("QQ", 600)]
    yield "nothing before", none, [token("QQ", 3)]
    yield "empty", none, first + [token("", 600), token("QQ", 600)]
    yield "normalized", nfc, first + [token("e\u0301Q", 600, normalized=True)]
    yield "not normalized", nfc, first + [token("e\u0301Q", 600)]


def characters():
    return (chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)


def ranges_of(some):
    ranges = []
    for c in some:
        if ranges and ranges[-1][1] == ord(c) - 1:
            ranges[-1][1] = ord(c)
        else:
            ranges.append([ord(c), ord(c)])
    return ranges


def members(removing):
    """Ranges of the characters that a pre-tokenizer removes."""
    return ranges_of(c for c in characters() if not removing.pre_tokenize_str(c))


MARKS = "\u0334\u093c\u3099\u094d\u05b0\u0e38\u0f71\u0321\u0323\u0301\u0315\u035c\u0345\u302a\u1dce"


def form_sha256(form):
    """Over every character of the planes in use, before and after marks of every kind, in a form; tokenizer_test.cpp makes
    the same."""
    normalizer, digest = getattr(normalizers, form)(), hashlib.sha256()
    for c in (c for c in characters() if ord(c) < 0x40000 or 0xE0000 <= ord(c) < 0xE0200):
        digest.update(normalizer.normalize_str(c + "|" + "".join(f"a{m}{c}|a{c}{m}|" for m in MARKS)).encode())
    return digest.hexdigest()


def small_letters_sha256():
    """Over every character of Unicode 14, which this Python and every utf8proc in use know."""
    normalizer, digest = normalizers.Lowercase(), hashlib.sha256()
    for c in characters():
        if unicodedata.category(c) != "Cn":
            digest.update(normalizer.normalize_str(c).encode())
    return digest.hexdigest()


def unassigned():
    """Ranges of the characters that Unicode 14 does not have."""
    assert unicodedata.unidata_version == "14.0.0", "run this with Python 3.11"
    return ranges_of(c for c in characters() if unicodedata.category(c) == "Cn")


def merge_patch(document, patch):
    result = copy.deepcopy(document)
    for key, value in patch.items():
        result[key] = merge_patch(result[key], value) if isinstance(value, dict) and key == "model" else value
    return result


def cases(document, texts):
    tokenizer = Tokenizer.from_str(json.dumps(document))
    rows = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        rows.append({"text": text, "ids": ids, "plain": tokenizer.encode(text, add_special_tokens=False).ids,
                     "decoded": tokenizer.decode(ids, skip_special_tokens=False)})
    return rows


def random_texts(count, seed):
    rng = random.Random(seed)
    pool = "".join(TEXTS) + "\u0085\u00a0\u200b\u200c\u200d\u180e\u2028\u2029\ufeff\u00ad\u0345\u0370ǅʰªº²½Ⅷ①KſΣςıİ"
    words = [w for t in TEXTS for w in t.split(" ")] + SPECIAL + [a.content for a in added()]
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(1, 12)):
            kind = rng.random()
            if kind < 0.4:
                parts.append(rng.choice(words))
            elif kind < 0.6:
                parts.append("".join(rng.choice(pool) for _ in range(rng.randint(1, 6))))
            elif kind < 0.9:
                parts.append(rng.choice([" ", "  ", "\n", "\t", "   ", "\r\n", "'", "'s", "'LL", "1", "23", "456", ".", "_"]))
            else:  # assigned long ago: the two libraries' Unicode versions differ
                parts.append(chr(rng.choice([rng.randint(0, 0x17FF), rng.randint(0x1E00, 0x33FF), rng.randint(0x1F300, 0x1F5FF)])))
        yield "".join(parts)


def write(path, document, indent=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    separators = (",", ":") if indent is None else None
    path.write_text(json.dumps(document, ensure_ascii=False, indent=indent, separators=separators) + "\n", encoding="utf-8")
    print(path, path.stat().st_size)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smollm2", type=pathlib.Path)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    args = parser.parse_args()
    texts = list(random_texts(args.random, 1)) if args.random else TEXTS
    smollm2_like = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    llama3_like = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                                           pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    small = train(smollm2_like, 600, with_bos=False)
    llama3 = train(llama3_like, 700, with_bos=True)
    # The older spelling of merges, so that both are tested.
    llama3["model"]["merges"] = [" ".join(pair) for pair in llama3["model"]["merges"]]
    made = f"tokenizers {tokenizers.__version__}"
    write(args.out / "small.tokenizer.json", small)
    write(args.out / "llama3.tokenizer.json", llama3)
    write(args.out / "small.ids.json", {"made_by": made, "cases": cases(small, texts)})
    write(args.out / "llama3.ids.json", {"made_by": made, "cases": cases(llama3, texts)})
    few = texts if args.random else [TEXTS[i] for i in [11, 12, 13, 16, 18, 20, 23, 26, 28, 29, 36, 42, 50]] + MORE
    rows = [{"name": name, "patch": patch, "cases": [{"text": c["text"], "ids": c["ids"]} for c in cases(merge_patch(small, patch), few)]}
            for name, patch in variants()]
    write(args.out / "variants.ids.json", {"made_by": made, "variants": rows})
    rows = [{"name": name, "added_tokens": list_, "cases": [{"text": c["text"], "ids": c["ids"]} for c in cases({**small, **patch, "added_tokens": list_}, ADDED_TEXTS)]}
            for name, patch, list_ in added_lists(small["added_tokens"][:3])]
    write(args.out / "added.ids.json", {"made_by": made, "lists": rows})
    write(args.out / "unicode.json", {"made_by": made, "word": members(pre_tokenizers.Split(Regex(r"\w"), "removed")),
                                      "word in a class": members(pre_tokenizers.Split(Regex(r"[\w]"), "removed")),
                                      "unassigned": unassigned(),
                                      "punctuation": members(pre_tokenizers.Punctuation("removed")), "forms": {form: form_sha256(form) for form in ["NFC", "NFD", "NFKC", "NFKD"]},
                                      "small": small_letters_sha256()})
    if args.smollm2:
        document = json.loads(args.smollm2.read_text(encoding="utf-8"))
        write(args.out / "smollm2.ids.json", {"made_by": made, "cases": cases(document, texts)})


if __name__ == "__main__":
    main()
