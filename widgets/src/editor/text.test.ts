import { describe, expect, it } from "vitest";
import { blocksOf, safe } from "./blocks";
import { tableText } from "./making";

describe("notes", () => {
  it("are read line by line", () => {
    expect(blocksOf("## Head\ntext\nmore\n- one\n- two\n1. first\n$$\nx^2\n$$\n```\n<b>\n```").map((b) => [b.kind, b.lines.length])).toEqual([
      ["h2", 1], ["p", 2], ["ul", 2], ["ol", 1], ["formula", 1], ["code", 1]]);
  });
  it("lead to https alone", () => {
    expect(["https://example.org/a", "http://example.org", "javascript:alert(1)", "data:text/html,x", "//example.org", "/etc", " https://x.org:99999"].map(safe)).toEqual([true, false, false, false, false, false, false]);
  });
});

describe("a table from a spreadsheet", () => {
  it("becomes nested lists", () => {
    expect(tableText("1\t2\r\n3\t4\r\n")).toBe("[[1,2],[3,4]]");
    expect(tableText("1,5\t−2\n3\t4e-2")).toBe("[[1.5,-2],[3,0.04]]");
    expect(tableText("1\n2\n3")).toBe("[1,2,3]");
    expect(tableText("7")).toBe("7");
    expect(tableText("TRUE\tfalse")).toBe("[true,false]");
  });
  it("is refused where it is none", () => {
    for (const text of ["name\tage\nx\t3", "1\t2\n3", "", "{}", "import os", "1 + 1", "0x10\t3", "Infinity\t1"]) expect(tableText(text)).toBeNull();
  });
});
