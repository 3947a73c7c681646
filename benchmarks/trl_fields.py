"""The settings that TRL's configs declare, written down for the test of our migration notes.

Run with the folder of TRL's source, which is read and not imported:
`python benchmarks/trl_fields.py SITE_PACKAGES/trl > benchmarks/data/trl_fields_1.16.0.json`.
"""

import ast
import json
import sys
from pathlib import Path

# The trainers that have a namesake here, and where TRL declares their configs.
CONFIGS = {
    "SFTConfig": "trainer/sft_config.py",
    "RewardConfig": "trainer/reward_config.py",
    "DPOConfig": "trainer/dpo_config.py",
    "KTOConfig": "trainer/kto_config.py",
    "CPOConfig": "experimental/cpo/cpo_config.py",
    "ORPOConfig": "experimental/orpo/orpo_config.py",
    "RLOOConfig": "trainer/rloo_config.py",
    "GRPOConfig": "trainer/grpo_config.py",
    "OnlineDPOConfig": "experimental/online_dpo/online_dpo_config.py",
}
BASE = "trainer/base_config.py"


def declared(source: Path) -> list[str]:
    """Names of the annotated fields of a file's config class."""
    (config,) = (
        node
        for node in ast.parse(source.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Config")
    )
    return [
        line.target.id
        for line in config.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    ]


def main(trl: Path) -> None:
    """Print them as JSON; what all of TRL's configs share goes into each."""
    shared = declared(trl / BASE)
    found = {name: sorted({*shared, *declared(trl / place)}) for name, place in CONFIGS.items()}
    (beside,) = trl.parent.glob("trl-*.dist-info")
    version = beside.name.removeprefix("trl-").removesuffix(".dist-info")
    print(json.dumps({"trl": version, "fields": found}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
