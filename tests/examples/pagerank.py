"""PageRank: which page of a small web would a random reader be on most of the time?

The reader follows a link of the page at hand with probability d, and else begins anew anywhere:

    r = d P r + (1 − d) / n,     P[i, j] = 1 / (links of j) if j links to i

A page without links sends its reader anywhere. The ranks are found by doing this again and again until nothing moves any more: `fl.while_loop`, with
the change of the last round as a second state. The number of rounds is not known before the run, and comes out of the loop as well.
"""
from __future__ import annotations

import numpy as np

import flowlab as fl

DAMPING = 0.85
LINKS = {"home": ["about", "news", "shop"], "about": ["home"], "news": ["home", "shop", "blog"], "shop": ["home", "cart"], "cart": ["shop"], "blog": ["news", "archive"],
         "archive": [], "guestbook": ["home", "guestbook"]}


def transitions(links: dict[str, list[str]]) -> np.ndarray:
    """P: column j says where a reader of page j goes next."""
    place = {page: k for k, page in enumerate(links)}
    p = np.zeros((len(links), len(links)))
    for page, to in links.items():
        for other in to or links:
            p[place[other], place[page]] += 1 / len(to or links)
    return p


def pagerank_graph(tolerance: float = 1e-12) -> fl.Graph:
    """Ranks of the pages of any web: `ranks` and `rounds` from the fed `links` (pages, pages)."""
    with fl.Graph("pagerank") as g:
        p = fl.placeholder(("pages", "pages"), "float64", name="links")
        ones = fl.ones_like(p[:, 0])
        start = ones / fl.sum(ones)

        def moves(rank, change, rounds):
            return change > tolerance

        def follow(rank, change, rounds):
            after = DAMPING * (p @ rank) + (1 - DAMPING) * start
            return after, fl.sum(fl.abs(after - rank)), rounds + 1

        rank, _, rounds = fl.while_loop(moves, follow, [start, fl.sum(ones), np.array(0)], maximum=1000, name="reader")
        fl.identity(rank, name="ranks")
        fl.identity(rounds, name="rounds")
    return g


def main() -> None:
    ranks, rounds = fl.Session(pagerank_graph()).run(["ranks", "rounds"], {"links": transitions(LINKS)})
    print(f"after {rounds} rounds:")
    for page, rank in sorted(zip(LINKS, ranks), key=lambda row: -row[1]):
        print(f"{page:>10} {rank:.4f} {'█' * round(100 * rank)}")


if __name__ == "__main__":
    main()
