"""Writes the words of 繁體中文 (Taiwan) from those of 简体中文, with OpenCC: `pip install -e '.[words]'`, then `make words`.

The book is widgets/src/shared/words/zh-CN.json; what Taiwan calls otherwise than OpenCC thinks is told below.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

BOOKS = Path(__file__).resolve().parent.parent / "widgets/src/shared/words"

# what OpenCC writes → what Taiwan writes, in this order
TERMS = {
    "單元格": "儲存格", "單擊": "按一下", "雙擊": "按兩下", "撤銷": "復原", "啟用函式": "激活函數", "函式": "函數", "歸一化": "正規化", "方差": "變異數", "均值": "平均值",
    "實時": "即時", "便籤": "便條", "標量": "純量", "查詢": "尋找", "斷點": "中斷點", "埠": "連接埠", "全域性": "全域", "區域性": "區域",
    "引數": "參數",
}
# sentences in which a row and a column are told apart: what is 行 on one side of the strait is 列 on the other
OWN: dict[str, str] = {
    "row": "列",
    "Heatmap, {rows} by {cols} cells. Arrows read them.": "熱圖，{rows} 列 {cols} 欄。方向鍵逐格讀出。",
}


def traditional(words: Mapping[str, str]) -> dict[str, str]:
    """The same keys with the words of Taiwan."""
    from opencc import OpenCC

    convert = OpenCC("s2twp").convert
    out = {}
    for key, simplified in words.items():
        text = convert(simplified)
        for theirs, ours in TERMS.items():
            text = text.replace(theirs, ours)
        out[key] = OWN.get(key, text)
    return out


def read(name: str) -> dict[str, str]:
    """A book as it is written."""
    return json.loads((BOOKS / name).read_text("utf-8"))


def write(name: str, words: Mapping[str, str]) -> None:
    """A book, a line a sentence, so that changes to it can be read."""
    rows: Iterable[str] = (f"  {json.dumps(k, ensure_ascii=False)}: {json.dumps(v, ensure_ascii=False)}" for k, v in words.items())
    (BOOKS / name).write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


if __name__ == "__main__":
    write("zh-TW.json", traditional(read("zh-CN.json")))
