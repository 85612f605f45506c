import { afterEach, describe, expect, it } from "vitest";
import { BOOKS, languageOf, setLanguage, t, tn, told } from ".";

const places = (s: string): string[] => [...s.matchAll(/\{(\w+)!?\}/g)].map((m) => m[1]).sort();

afterEach(() => setLanguage("en"));

describe("the books", () => {
  it("hold the same sentences in both scripts", () => {
    expect(Object.keys(BOOKS["zh-TW"])).toEqual(Object.keys(BOOKS["zh-CN"]));
  });
  it("keep every place of a sentence", () => {
    for (const book of Object.values(BOOKS)) for (const [key, said] of Object.entries(book)) expect(places(said), key).toEqual(places(key));
  });
  it("say nothing of the other script", () => {
    const simplified = /[个们这来时说对开关闭东车马门问间见观现实节运还进远连边过选适发变张组线结给绝统续维绘缩网罗检测标权极据换损随码确积称签类约输错项预题颜颈额风验]/;
    for (const [key, said] of Object.entries(BOOKS["zh-TW"])) expect(simplified.exec(said)?.[0], key).toBeUndefined();
    const traditional = /[個們這來時說對開關東車馬門問間見觀現實節運還進遠連邊過選適發變張組線結給絕統續維繪縮網羅檢測標權極據換損隨碼確積稱籤類約輸錯項預題顏額風驗]/;
    for (const [key, said] of Object.entries(BOOKS["zh-CN"])) expect(traditional.exec(said)?.[0], key).toBeUndefined();
  });
});

describe("t", () => {
  it("says the key in English, and the book's sentence in another language", () => {
    expect(t("Removed {name}.", { name: "x" })).toBe("Removed x.");
    setLanguage("zh-CN");
    expect(t("Removed {name}.", { name: "x" })).toBe("已删除 x。");
    setLanguage("zh-TW");
    expect(t("Run")).toBe("執行");
  });
  it("says what no book has as it is", () => {
    setLanguage("zh-CN");
    expect(t("Nobody wrote {this}.", { this: "1" })).toBe("Nobody wrote 1.");
  });
  it("tells one from many in English alone", () => {
    expect([tn(1, "{n} node", "{n} nodes"), tn(1234, "{n} node", "{n} nodes")]).toEqual(["1 node", "1,234 nodes"]);
    setLanguage("zh-CN");
    expect([tn(1, "{n} node", "{n} nodes"), tn(2, "{n} node", "{n} nodes")]).toEqual(["1 个节点", "2 个节点"]);
  });
  it("keeps braces and words of a name as they are", () => {
    setLanguage("zh-CN");
    expect(t("Removed {name}.", { name: "{name} Run" })).toBe("已删除 {name} Run。");
  });
});

describe("told", () => {
  it("is the sentence itself in English", () => {
    expect(told("Removed x.")).toBe("Removed x.");
  });
  it("finds a finished sentence by its template, and leaves names alone", () => {
    setLanguage("zh-CN");
    expect(told("Removed hidden/MatMul.")).toBe("已删除 hidden/MatMul。");
    expect(told("Removed Run.")).toBe("已删除 Run。");
  });
  it("takes the most exact of several templates", () => {
    setLanguage("zh-CN");
    expect(told("Removed 3 nodes.")).toBe("已删除 3 个节点。");
    expect(told("Dropped the watch of x: it is no longer in the graph.")).toBe("已去掉对 x 的监视：它已不在图中。");
  });
  it("says what stands in a place again, where the book asks for it", () => {
    setLanguage("zh-CN");
    expect(told("Undid: connect x:0 to MatMul:a.")).toBe("已撤销：把 x:0 连到 MatMul:a。");
    setLanguage("zh-TW");
    expect(told("Undid: add MatMul.")).toBe("已復原：新增 MatMul。");
  });
  it("says several sentences one after the other", () => {
    setLanguage("zh-CN");
    expect(told("Fired y. The run is complete.")).toBe("已触发 y。运行完成。");
    expect(told("loss/Log (Log) failed: IndexError: label 11 is outside the 10 classes 0 … 9. Its inputs: x (3,). It was made in a cell of this notebook, line 10."))
      .toBe("loss/Log（Log）失败：IndexError：标签 11 不在 10 个类别 0 … 9 之内。它的输入：x (3,)。创建它的代码：本笔记本的单元格，第 10 行。");
  });
  it("minds no capital, keeps where something is, and leaves what it does not know", () => {
    setLanguage("zh-CN");
    expect(told("there is nothing to run yet.")).toBe("还没有可运行的内容。");
    expect(told("MatMul: a loop over time is a scan.")).toBe("MatMul：沿时间的循环请用 scan。");
    expect(told("Something else happened.")).toBe("Something else happened.");
  });
});

describe("languageOf", () => {
  it("reads the tags of browsers and notebooks", () => {
    expect(["zh-CN", "zh", "zh-Hans-SG", "zh-TW", "zh_TW", "zh-Hant", "zh-HK", "en-GB", "de", ""].map(languageOf)).toEqual(["zh-CN", "zh-CN", "zh-CN", "zh-TW", "zh-TW", "zh-TW", "zh-TW", "en", null, null]);
  });
});
