#!/usr/bin/env python3
"""How much of libvirt's own schema for domains the corpus says: every element in every parent that the schema allows (disk/source is
another than interface/source), and every attribute. What the corpus leaves out stands here with its reason, and a stale reason fails."""
import pathlib
import sys
import xml.etree.ElementTree as ET

SCHEMAS = pathlib.Path("/usr/share/libvirt/schemas")
RNG = "{http://relaxng.org/ns/structure/1.0}"


class Schema:
    """Parent and child of each element, and of each attribute ("@name"), that can be reached from <domain>."""

    def __init__(self, start):
        self.defines, self.pairs, self.seen = {}, set(), set()
        self.read(start, "")
        self.walk(self.defines["domain"], "")

    def read(self, name, namespace):
        root = ET.parse(SCHEMAS / name).getroot()
        self.read_grammar(root, root.get("ns", namespace))

    def read_grammar(self, grammar, namespace):
        for node in grammar:
            if node.tag == RNG + "include":
                self.read(node.get("href"), namespace)
                self.read_grammar(node, namespace)
            elif node.tag == RNG + "define":
                self.defines.setdefault(node.get("name"), []).append(node)

    def walk(self, nodes, parent):
        for node in nodes:
            tag = node.tag.removeprefix(RNG) if isinstance(node.tag, str) else ""
            if tag == "ref":
                self.enter(node.get("name"), parent)
            elif tag in ("element", "attribute"):
                self.name(node, tag, parent)
            else:
                self.walk(node, parent)

    def enter(self, name, parent):
        if (name, parent) not in self.seen:
            self.seen.add((name, parent))
            for define in self.defines.get(name, []):
                self.walk(define, parent)

    def name(self, node, tag, parent):
        names = [node.get("name")] if node.get("name") else [n.text.strip() for n in node.iter(RNG + "name")]
        for name in names:
            self.pairs.add((parent, ("@" if tag == "attribute" else "") + name))
            if tag == "element":
                self.walk(node, name)


def said(paths):
    pairs = set()
    for path in paths:
        for node in ET.parse(path).iter():
            here = node.tag.split("}")[-1]
            pairs |= {(here, "@" + key.split("}")[-1]) for key in node.keys()}
            pairs |= {(here, child.tag.split("}")[-1]) for child in node if isinstance(child.tag, str)}
    return pairs | {("", "domain")}


LEFT_OUT = {
    ("disk", "privateData"): "the schema never allows it: libvirt's own state alone holds it",
    ("source", "privateData"): "the schema never allows it: libvirt's own state alone holds it",
    ("hostdev", "teaming"): "libxml2 refuses it beside <driver>, though the schema allows it",
    ("driver", "metadata_cache"): "libxml2 needs minutes for it beside the many attributes of a disk's driver",
}


def share(kind, rows, corpus):
    print(f"{kind}: {len(rows & corpus)} of {len(rows)}")
    return len(rows & corpus) / len(rows)


def main():
    schema, corpus = Schema("domain.rng").pairs, said(sorted(pathlib.Path("tests/golden/corpus").glob("*.xml")))
    elements = {pair for pair in schema if not pair[1].startswith("@")}
    attributes = share("attributes", schema - elements, corpus)
    wrong = [f"{parent}/{name} is in no file of the corpus" for parent, name in sorted(elements - corpus - set(LEFT_OUT))]
    wrong += [f"{parent}/{name} is left out no more" for parent, name in sorted(set(LEFT_OUT) & corpus)]
    if share("elements", elements, corpus) < 0.98 or attributes < 0.95 or len(elements) < 500:
        wrong.append("the corpus says too little of the schema")
    print("\n".join(wrong))
    print(f"{int(not wrong)} passed, {int(bool(wrong))} failed")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
