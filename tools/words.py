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
    "單元格": "儲存格", "單擊": "按一下", "雙擊": "按兩下", "撤銷": "復原", "啟用": "激活", "影象": "影像", "迴圈神經": "循環神經", "迴圈層": "循環層", "門控迴圈": "門控循環", "函式": "函數", "歸一化": "正規化", "方差": "變異數", "均值": "平均值",
    "實時": "即時", "便籤": "便條", "標量": "純量", "查詢": "尋找", "斷點": "中斷點", "埠": "連接埠", "全域性": "全域", "區域性": "區域",
    "引數": "參數",
}
# sentences in which a row and a column are told apart: what is 行 on one side of the strait is 列 on the other
OWN: dict[str, str] = {
    "row": "列",
    "Flatten {port} to rows of {n}": "把 {port} 展平為每列 {n} 個",
    "Take the largest class of each row of {port}": "取 {port} 每列最大的類別",
    "recurrent": "循環",
    "left columns {a} ≠ right rows {b}: cannot multiply ({x}) by ({y}).": "左邊的行數 {a} ≠ 右邊的列數 {b}：({x}) 不能乘 ({y})。",
    "b needs {n} rows, or a needs {m} columns.": "b 需要 {n} 列，或者 a 需要 {m} 行。",
    "x has {n} features, kernel has {m} rows.": "x 有 {n} 個特徵，kernel 有 {m} 列。",
    "Multiply matrices: rows of a by columns of b; leading axes are a batch.": "矩陣相乘：a 的列乘 b 的行；前面的軸是批次。",
    "Split a matrix into orthogonal columns of length 1 and an upper triangle. The derivative is for matrices at least as high as wide.":
        "把矩陣分解為長度為 1 的正交行與上三角矩陣。高不小於寬時才有導數。",
    "Find x with a · x = b; b is a vector, or a matrix of columns.": "求滿足 a · x = b 的 x；b 是向量，或由行組成的矩陣。",
    "Multiply the values so far along an axis; without an axis, the values in one row.": "沿軸把到此為止的值相乘；不給軸時把所有值排成一列。",
    "Add up the values so far along an axis; without an axis, the values in one row.": "沿軸把到此為止的值相加；不給軸時把所有值排成一列。",
    "Repeat each entry along an axis so many times; without an axis, the values in one row.": "沿軸把每項重複若干次；不給軸時把所有值排成一列。",
    "Row": "列", "Column": "行", "rows": "列", "columns": "行", "row {n}": "第 {n} 列", "rows {a}–{b}": "第 {a}–{b} 列", "column {n}": "第 {n} 行", "columns {a}–{b}": "第 {a}–{b} 行",
    "One window: channel {o} at row {y}, column {x}": "一個視窗：通道 {o}，第 {y} 列、第 {x} 行",
    "Row {y}, column {x}, channel {o} of {node}: {value}": "{node} 第 {y} 列、第 {x} 行、通道 {o}：{value}",
    "Kernel row {i}, column {j}:": "卷積核第 {i} 列、第 {j} 行：",
    "It covers rows {a} to {b} and columns {c} to {d} of the input{padding}{next}.": "它覆蓋輸入的第 {a} 至 {b} 列、第 {c} 至 {d} 行{padding}{next}。",
    "The window’s gradient goes to its largest value alone, at row {y}, column {x} of the input; the others get none.": "視窗的梯度只給其中最大的值，在輸入的第 {y} 列、第 {x} 行；其他的沒有。",
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
    from flowlab.widgets.scene import palette

    write("zh-TW.json", traditional(read("zh-CN.json")))
    write("ops.zh-TW.json", traditional({label: label for label in sorted({op.label_zh for op in palette([]).ops if op.label_zh})}))
