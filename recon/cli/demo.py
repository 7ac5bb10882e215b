"""`recon demo`: a sample scene from its photos alone, beside the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.choices import SplatOptimisation
from recon.cli.command import Command, CommandOptions
from recon.cli.run import RunSettings, run
from recon.errors import InputError
from recon.options import like, option

_FORMATS = "mini_npz-glb-gs_ply-gs_video-depth_vis-html"


@dataclass(frozen=True, kw_only=True)
class DemoSettings(CommandOptions):
    """Reconstruct a sample scene from its photos alone and compare it with the truth: no weights, no network."""

    scene: str | None = option(None, help="Which of the sample scenes [the first].")
    out: Path | None = option(None, help="Folder for the results [outputs/demo/SCENE].")
    gs_seconds: float | None = like(SplatOptimisation, "gs_seconds", default=38.0)


def demo(settings: DemoSettings) -> None:
    """Run on the scene, then a table of how far the result is from the truth."""
    from recon.cli.comparison import print_comparison
    from recon.eval.eval_report import FILE_NAME, compare, write_comparison
    from recon.export.html import FILE_NAME as HTML_FILE
    from recon.files import scenes_folder

    names = sorted(folder.name for folder in scenes_folder().iterdir() if (folder / "images").is_dir())
    name = names[0] if settings.scene is None else settings.scene
    if name not in names:
        raise InputError(f"no sample scene {name!r}; there are {', '.join(names)}")
    scene = scenes_folder() / name
    out = Path("outputs") / "demo" / name if settings.out is None else settings.out
    photos = (scene / "images",)
    run(
        RunSettings(
            inputs=photos,
            model="mvs",
            cameras="sfm",
            export=_FORMATS,
            poster=True,
            gs_seconds=settings.gs_seconds,
            out=out,
        )
    )
    comparison = compare({name: out}, scene)
    print()
    print_comparison(comparison)
    print(f"\nthe same as JSON: {write_comparison(out / FILE_NAME, comparison)}")
    print("to look at:")
    for path in ("scene.glb", "gs_ply/0000.ply", "gs_video/0000_extend.mp4", "gs_video/0000_extend.jpg", "depth_vis"):
        print(f"  {out / path}")
    print("in a browser, with nothing to install:")
    print(out / HTML_FILE)


DEMO = Command("demo", DemoSettings, demo)
